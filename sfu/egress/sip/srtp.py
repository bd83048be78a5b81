"""SRTP with keys from the descriptions of a call (RFC 3711, RFC 4568, RFC 7714)."""

import pylibsrtp

from sfu.egress.sip.sdp import Key

_PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
}


class Sealer:
    """What is sent."""

    def __init__(self, key: Key) -> None:
        self._session = _session(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)

    def seal(self, packet: bytes) -> bytes:
        return self._session.protect(packet)

    def seal_report(self, packet: bytes) -> bytes:
        return self._session.protect_rtcp(packet)


class Opener:
    """What is received."""

    def __init__(self, key: Key) -> None:
        self._session = _session(key, pylibsrtp.Policy.SSRC_ANY_INBOUND)

    def open(self, packet: bytes) -> bytes | None:
        """None: it is not from the other end, or was here before."""
        try:
            return self._session.unprotect(packet)
        except (pylibsrtp.Error, TypeError):
            return None

    def open_report(self, packet: bytes) -> bytes | None:
        """The same for RTCP."""
        try:
            return self._session.unprotect_rtcp(packet)
        except (pylibsrtp.Error, TypeError):
            return None


def _session(key: Key, whose: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(
        key=key.material, ssrc_type=whose, srtp_profile=_PROFILES[key.suite.name]
    )
    policy.allow_repeat_tx = False
    return pylibsrtp.Session(policy=policy)

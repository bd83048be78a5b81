"""What telephones send: SIP, descriptions of calls, RTP, RTCP; any bytes."""

import contextlib

from sfu.egress.sip import call, digest, messages, rtcp, rtp, sdp
from sfu.egress.sip.dialog import CallForm
from sfu.egress.sip.digest import Login
from sfu.egress.sip_uri import MessageError, Uri

_FORM = CallForm(
    Uri.parse("sip:ann@192.0.2.9"), "sip:bob@example.com", "udp", "192.0.2.1", 5_060, (),
    Login("bob", "secret"),
)  # fmt: skip


def sip_messages(data: bytes) -> None:
    """One byte chooses how it is cut. A call whose tokens are all `t` takes what comes, and what it
    sends is SIP."""
    with contextlib.suppress(MessageError):
        message = messages.parse(data)
        message.contact()
        for name in ("www-authenticate", "proxy-authenticate"):
            challenge = digest.challenge_of(message.headers, name)
            if challenge is not None:
                digest.authorization(Login("a", "b"), challenge, "INVITE", "sip:a@b", 1, "c")
    cut = data[0] % len(data) if data else 0
    for parts in ((data,), (data[:cut], data[cut:])):
        stream = messages.MessageStream()
        with contextlib.suppress(MessageError):
            for part in parts:
                stream.feed(part)
    one = call.Call(_FORM, b"offer", lambda _offer: b"answer", lambda: "t", 0)
    for now_us in (1, 2):
        one.handle(data, ("192.0.2.9", 5_060), now_us)
        one.handle_time(now_us)
    for outgoing in one.take_outgoing():
        head = outgoing.data.partition(b"\r\n\r\n")[0]
        assert b"\n" not in head.replace(b"\r\n", b"")
        assert b"\r" not in head.replace(b"\r\n", b"")
        if not head.startswith(b"SIP/2.0"):  # answers have what the requests had
            messages.parse(outgoing.data)
    one.take_events()


def sip_descriptions(data: bytes) -> None:
    local = sdp.Local("192.0.2.1", 30_000, 1)
    for secure in (False, True):
        with contextlib.suppress(sdp.SdpError):
            remote = sdp.read(data, secure=secure)
            assert 0 < remote.port < 65_536
            assert (remote.key is not None) == secure
            local.answer(2, remote, sdp.direction_to(remote))


def sip_packets(data: bytes) -> None:
    packet = rtp.read(data)
    if packet is not None:
        assert len(packet.payload) <= len(data) - 12
        rtp.EventEar().hear(packet)
        again = rtp.read(rtp.write(packet))
        assert again == packet


def sip_reports(data: bytes) -> None:
    """A report, and one about what came before it."""
    reports = rtcp.Reports(1, "a", lambda: 0.5)
    packet = rtp.read(data)
    if packet is not None:
        reports.note_received(packet, 8_000, 1)
    reports.handle(data, 2)
    assert reports.received <= len(data) // 4
    assert len(reports.goodbye(3, 4.0, 5)) % 4 == 0

"""The report of a test call: what two clients saw, as rows of the doctor's table. Pure."""

from collections.abc import Iterator
from itertools import pairwise

from signaling.cli.call_record import CallFailure, CallRecord, MediaRecord, PathRecord
from signaling.cli.findings import Finding

TONE_HZ = 440
TONE_TOLERANCE_HZ = 5
NOTABLE_LOSS = 0.02
"""Of the packets: from here on viewers see it."""
LONG_ROUND_TRIP_MS = 300
"""From here on people interrupt each other (ITU-T G.114: 150 ms each way)."""

_REACH = {
    "refused": "Start the server, or give its address with --url.",
    "unreachable": "Check the address of --url, and the route and firewall in between.",
    "name": "Correct the host name in --url.",
    "timeout": "A firewall drops TCP to that port, or the server is overloaded: open the port.",
    "certificate": "Use the name in the certificate for --url; for an authority of your own set"
    " SSL_CERT_FILE to its certificate.",
    "tls": "Use http:// (ws://) where TLS is not set up; otherwise correct host and port.",
    "status": "Another server answers there, or the proxy does not pass WebSocket upgrades for"
    " /v1/signal: check --url and the proxy.",
    "protocol": "Another server, or another release of Sealroute, answers there: check --url.",
}
_OTHER_DATABASE = (
    "That server uses another database: run this with its --data-dir, --config or"
    " SEALROUTE_STORAGE_URL, or give a project of its own with --project."
)
_CLOCKS = "Run a time service on this machine and on the server: tokens carry times."
_BY_CODE = {
    "authentication_failed": _OTHER_DATABASE,
    "invalid_session_id": _OTHER_DATABASE,
    "session_unknown": _OTHER_DATABASE,
    "token_expired": _CLOCKS,
    "rate_limited": "A limit of [signaling] or [http]: try again later, or raise it.",
    "overloaded": "The server takes no new clients now: look at its metrics.",
    "encryption_internal": "Server or proxy changed the session's properties: no client trusts it.",
    "certificate_mismatch": "Somebody stands between client and media port, or a proxy ends DTLS.",
    "handshake_failed": "Look for what holds large UDP packets back (MTU, fragments, VPN).",
}
_SESSION_REFUSED = (
    "Check the credentials in --project; encrypted sessions need"
    " `sealroute project update --api-key KEY --e2ee`."
)
_ELSE = "Look into the server's log of this minute."
UNREACHABLE_ADVICE = (
    "Open that UDP port in every firewall in between, and set SEALROUTE_PUBLIC_IP (--public-ip) to"
    " an address that clients reach. Browsers can do with TCP to that port; this client cannot."
)
_FOLLOWS = ("media_unreachable", "handshake_failed", "request_timeout")
MISSING = Finding(
    "call: client",
    "error",
    "the package sealroute-client is not installed",
    "Install it from the source: pip install ./sdk/python. The container image has it.",
)


def report(record: CallRecord) -> list[Finding]:
    """Rows of what was reached, and one for each failure."""
    return [
        *_signaling(record),
        *(_failure(one) for one in _distinct(record)),
        *_paths(record),
        *_media(record),
        *_encryption(record),
    ]


def refused(failure: CallFailure) -> Finding:
    return _failure(failure)


def _distinct(record: CallRecord) -> Iterator[CallFailure]:
    """Each code once, without what follows from a path that is not there: its row says it."""
    is_broken = any(path.state != "connected" for path in record.paths.values())
    seen = set(_FOLLOWS) if is_broken else set()
    for one in record.failures:
        if one.code not in seen:
            seen.add(one.code)
            yield one


def _failure(one: CallFailure) -> Finding:
    if one.step == "session":
        advice = _REACH["status"] if one.reason else _SESSION_REFUSED
    elif one.code == "connect_failed":
        advice = _REACH.get(one.reason, _ELSE)
    else:
        advice = _BY_CODE.get(one.code, _ELSE)
    return Finding(f"call: {one.step}", "error", f"{one.message} ({one.code})", advice)


def _signaling(record: CallRecord) -> Iterator[Finding]:
    joined = record.joined_ms
    if len(joined) == 2:
        detail = f"{joined['sender']} ms (sender), {joined['receiver']} ms (receiver)"
        figures = {f"{name}Ms": float(ms) for name, ms in joined.items()}
        yield Finding("call: signaling", "ok", detail, figures=figures)


def _paths(record: CallRecord) -> Iterator[Finding]:
    for name, path in record.paths.items():
        yield _connected(name, path) if path.state == "connected" else _broken(name, path)
    connected = [one for one in record.paths.values() if one.state == "connected"]
    if any(one.packets for one in connected):
        yield _loss(record.paths)
        yield _round_trip(record.paths)


def _connected(name: str, path: PathRecord) -> Finding:
    return Finding(
        f"call: {name}",
        "ok",
        f"ICE and DTLS in {path.connect_ms} ms; {path.pair}",
        figures={"connectMs": float(path.connect_ms or 0)},
    )


def _broken(name: str, path: PathRecord) -> Finding:
    check = f"call: {name}"
    if path.pair:
        detail = f"DTLS {path.dtls_state}, over {path.pair}"
        return Finding(check, "error", detail, _BY_CODE["handshake_failed"])
    udp = [one for one in path.offered if one.startswith("udp")]
    if not udp:
        detail = "the server named no UDP address (ICE " + path.ice_state + ")"
        return Finding(check, "error", detail, "Set SEALROUTE_PUBLIC_IP; look into its log.")
    detail = f"media unreachable: no answer from {', '.join(udp)}"
    return Finding(check, "error", detail, UNREACHABLE_ADVICE)


def _loss(paths: dict[str, PathRecord]) -> Finding:
    # Of what was sent: the uplink's count has the lost packets in it.
    sent = {
        name: path.packets + (path.lost if name == "downlink" else 0)
        for name, path in paths.items()
    }
    shares = {name: path.lost / max(1, sent[name]) for name, path in paths.items()}
    detail = ", ".join(
        f"{name} {paths[name].lost} of {sent[name]} packets ({share:.1%})"
        for name, share in shares.items()
    )
    figures = {name: round(share, 4) for name, share in shares.items()}
    if max(shares.values()) < NOTABLE_LOSS:
        return Finding("call: loss", "ok", detail, figures=figures)
    advice = "Look for an overloaded link, policer or host between this machine and the server."
    return Finding("call: loss", "warning", detail, advice, figures)


def _round_trip(paths: dict[str, PathRecord]) -> Finding:
    check = "call: round trip"
    found = [one.round_trip_ms for one in paths.values() if one.round_trip_ms is not None]
    if not found:
        advice = "RTCP reports come every few seconds: give --seconds 10 or more."
        return Finding(check, "warning", "not measured", advice)
    detail, figures = f"{found[0]:.1f} ms", {"ms": round(found[0], 1)}
    if found[0] < LONG_ROUND_TRIP_MS:
        return Finding(check, "ok", detail, figures=figures)
    advice = "People notice it: put the server nearer to them, or look for full queues."
    return Finding(check, "warning", detail, advice, figures)


def _media(record: CallRecord) -> Iterator[Finding]:
    paths = record.paths.values()
    if len(record.paths) < 2 or any(one.state != "connected" for one in paths):
        return
    for kind, media in record.media.items():
        yield _frames(kind, media)
    if record.media["audio"].decoded:
        yield _tone(record.media["audio"].tone_hz)
    if record.media["video"].decoded:
        yield _pattern(record.media["video"].numbers)


def _frames(kind: str, media: MediaRecord) -> Finding:
    check = f"call: {kind}"
    if not media.frames:
        return Finding(check, "error", "no frame was decrypted", _ELSE)
    if media.first_ms is None:
        detail = f"{media.frames} frames were decrypted, and none could be decoded"
        return Finding(check, "error", detail, "Give --seconds 20; " + _ELSE.lower())
    detail = (
        f"first frame decrypted after {media.first_ms} ms; {media.frames} frames,"
        f" {media.bits_per_s // 1000} kbit/s"
    )
    figures = {
        "firstFrameMs": float(media.first_ms),
        "frames": float(media.frames),
        "bitsPerSecond": float(media.bits_per_s),
    }
    return Finding(check, "ok", detail, figures=figures)


def _tone(found_hz: float | None) -> Finding:
    check, sent = "call: tone", f"{TONE_HZ} Hz were sent"
    if found_hz is None:
        return Finding(check, "error", f"no tone was heard; {sent}", _ELSE)
    detail = f"{found_hz:.0f} Hz heard; {sent}"
    if abs(found_hz - TONE_HZ) <= TONE_TOLERANCE_HZ:
        return Finding(check, "ok", detail)
    return Finding(check, "error", detail, _ELSE)


def _pattern(numbers: tuple[int, ...]) -> Finding:
    check = "call: pattern"
    rising = sum(before < after for before, after in pairwise(numbers))
    detail = f"{len(numbers)} frames read, number {numbers[0]} to {numbers[-1]}"
    if rising == len(numbers) - 1:
        return Finding(check, "ok", f"{detail}, in order")
    return Finding(check, "error", f"{detail}, out of order", _ELSE)


def _encryption(record: CallRecord) -> Iterator[Finding]:
    if record.codes_are_equal is not None:
        yield _code(are_equal=record.codes_are_equal)
    if not record.states:
        return
    detail = ", ".join(f"{name}: {state}" for name, state in record.states.items())
    if set(record.states.values()) == {"encrypted"}:
        yield Finding("call: encryption", "ok", detail)
    else:
        advice = "No encrypted frame passed; the rows above say why."
        yield Finding("call: encryption", "error", detail, advice)


def _code(*, are_equal: bool) -> Finding:
    check = "call: code"
    if are_equal:
        return Finding(check, "ok", "the verification codes of both clients are equal")
    return Finding(
        check,
        "error",
        "the verification codes of both clients differ",
        "The server told them different things about the session: do not trust it.",
    )

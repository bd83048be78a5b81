"""Session descriptions of the load clients: pure text in, text out."""

from dataclasses import dataclass, field

MID_EXTENSION = 4
AUDIO_LEVEL_EXTENSION = 1
VP8_PAYLOAD_TYPE = 96
VP8_RTX_PAYLOAD_TYPE = 97
OPUS_PAYLOAD_TYPE = 111
_MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
_AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
_NOT_SPOKEN = ("transport-wide-cc", "abs-send-time", "transport-cc", "goog-remb")
"""Extensions and feedback that the load clients refuse: they neither estimate nor adapt."""


@dataclass(frozen=True, slots=True)
class LocalDescription:
    """What every description of a client says of its transport."""

    ufrag: str
    password: str
    fingerprint: str
    address: tuple[str, int] | None = None
    """A host candidate, for servers that want one."""


@dataclass(frozen=True, slots=True)
class RemoteDescription:
    """What a client needs of the server's description. `fingerprints` are (algorithm, hex)."""

    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    addresses: tuple[tuple[str, int], ...] = field(default=())


def _join(lines: list[str]) -> str:
    return "\r\n".join(lines) + "\r\n"


def _head(mids: list[str]) -> list[str]:
    return [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(mids)}",
        "a=msid-semantic: WMS *",
    ]


def _transport(local: LocalDescription, setup: str) -> list[str]:
    return [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{setup}",
        *(
            [f"a=candidate:1 1 udp 2130706431 {local.address[0]} {local.address[1]} typ host"]
            if local.address
            else []
        ),
    ]


def _video_lines(ssrc: int) -> list[str]:
    rtx = ssrc ^ 0x4000_0000
    return [
        f"a=rtpmap:{VP8_PAYLOAD_TYPE} VP8/90000",
        *(f"a=rtcp-fb:{VP8_PAYLOAD_TYPE} {kind}" for kind in ("ccm fir", "nack", "nack pli")),
        f"a=rtpmap:{VP8_RTX_PAYLOAD_TYPE} rtx/90000",
        f"a=fmtp:{VP8_RTX_PAYLOAD_TYPE} apt={VP8_PAYLOAD_TYPE}",
        f"a=ssrc-group:FID {ssrc} {rtx}",
        f"a=ssrc:{ssrc} cname:load",
        f"a=ssrc:{rtx} cname:load",
    ]


def _audio_lines(ssrc: int) -> list[str]:
    return [
        f"a=extmap:{AUDIO_LEVEL_EXTENSION} {_AUDIO_LEVEL_URI}",
        f"a=rtpmap:{OPUS_PAYLOAD_TYPE} opus/48000/2",
        f"a=fmtp:{OPUS_PAYLOAD_TYPE} minptime=10",
        f"a=ssrc:{ssrc} cname:load",
    ]


def uplink_offer(local: LocalDescription, kind: str, ssrc: int, setup: str = "actpass") -> str:
    """One sending m-line with mid 0: VP8 with retransmissions, or Opus."""
    is_video = kind == "video"
    formats = f"{VP8_PAYLOAD_TYPE} {VP8_RTX_PAYLOAD_TYPE}" if is_video else f"{OPUS_PAYLOAD_TYPE}"
    return _join(
        [
            *_head(["0"]),
            f"m={kind} 9 UDP/TLS/RTP/SAVPF {formats}",
            "c=IN IP4 0.0.0.0",
            *_transport(local, setup),
            "a=mid:0",
            f"a=extmap:{MID_EXTENSION} {_MID_URI}",
            "a=sendonly",
            "a=msid:load load",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            *(_video_lines(ssrc) if is_video else _audio_lines(ssrc)),
        ]
    )


def _sections(description: str) -> list[list[str]]:
    sections: list[list[str]] = [[]]
    for line in description.replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            sections.append([])
        if line:
            sections[-1].append(line)
    return sections


def _value(section: list[str], name: str) -> str | None:
    prefix = f"a={name}:"
    return next((line[len(prefix) :] for line in section if line.startswith(prefix)), None)


def _is_kept(line: str) -> bool:
    names = ("a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:")
    return line.startswith(names) and not any(word in line for word in _NOT_SPOKEN)


def _answered_section(section: list[str], local: LocalDescription) -> list[str]:
    media, _, protocol, formats = section[0].split(" ", 3)
    if section[0].split(" ")[1] == "0" and "a=bundle-only" not in section:
        mid = _value(section, "mid")
        return [
            f"{media} 0 {protocol} {formats}",
            "c=IN IP4 0.0.0.0",
            *([f"a=mid:{mid}"] if mid is not None else []),
            "a=inactive",
        ]
    direction = "inactive" if "a=inactive" in section else "recvonly"
    return [
        f"{media} 9 {protocol} {formats}",
        "c=IN IP4 0.0.0.0",
        *_transport(local, "active"),
        *(line for line in section[1:] if _is_kept(line)),
        f"a={direction}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
    ]


def downlink_answer(local: LocalDescription, offer: str) -> str:
    """Accepts every m-line of the server's offer for receiving."""
    sections = _sections(offer)
    answered = [_answered_section(section, local) for section in sections[1:]]
    bundled = [
        mid
        for section in answered
        if section[0].split(" ")[1] != "0" and (mid := _value(section, "mid")) is not None
    ]
    return _join([*_head(bundled), *(line for section in answered for line in section)])


def remote_description(description: str) -> RemoteDescription:
    """ICE credentials, fingerprints and IPv4 candidates. ValueError: one is missing."""
    sections = _sections(description)
    used = [s for s in sections if not s or not s[0].startswith("m=") or s[0].split(" ")[1] != "0"]
    lines = [line for section in used for line in section]
    ufrag, password = _value(lines, "ice-ufrag"), _value(lines, "ice-pwd")
    if ufrag is None or password is None:
        raise ValueError("the server's description has no ICE credentials")
    fingerprints = tuple(
        (algorithm.lower(), digest.replace(":", "").lower())
        for line in lines
        if line.startswith("a=fingerprint:")
        for algorithm, digest in [line.removeprefix("a=fingerprint:").split(" ", 1)]
    )
    addresses = []
    for line in lines:
        parts = line.removeprefix("a=candidate:").split(" ")
        is_udp = line.startswith("a=candidate:") and parts[2].lower() == "udp"
        if is_udp and parts[1] == "1" and ":" not in parts[4]:
            addresses.append((parts[4], int(parts[5])))
    if not fingerprints or not addresses:
        raise ValueError("the server's description has no fingerprint or no IPv4 candidate")
    return RemoteDescription(ufrag, password, fingerprints, tuple(dict.fromkeys(addresses)))

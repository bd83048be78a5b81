"""The hostile server's SDP as plain data, so that each rule of it can be broken by itself."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.hostile.media import FINGERPRINT, LiteIce, addresses

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"


@dataclass(slots=True)
class Section:
    """One m-line of a client's description."""

    kind: str
    port: int
    mid: str
    lines: list[str]

    @property
    def codecs(self) -> dict[int, str]:
        """Payload type → name, in the order of preference."""
        names = {
            int(number): name
            for number, name in re.findall(r"^a=rtpmap:(\d+) (\S+)", self.text, re.MULTILINE)
        }
        order = [int(word) for word in self.lines[0].split()[3:] if word.isdigit()]
        return {number: names.get(number, "") for number in order}

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def ssrcs(self) -> set[int]:
        return {int(number) for number in re.findall(r"^a=ssrc:(\d+)", self.text, re.MULTILINE)}

    def extension(self, uri: str) -> int | None:
        found = re.search(rf"^a=extmap:(\d+)(?:/\w+)? {re.escape(uri)}", self.text, re.MULTILINE)
        return int(found[1]) if found else None

    def format(self, payload_type: int) -> str:
        """Its parameters."""
        found = re.search(rf"^a=fmtp:{payload_type} (.*)$", self.text, re.MULTILINE)
        return found[1] if found else ""

    def payload_type(self, name: str) -> int | None:
        return next((n for n, mime in self.codecs.items() if mime.lower() == name.lower()), None)

    @property
    def direction(self) -> str:
        found = re.search(r"^a=(sendrecv|sendonly|recvonly|inactive)$", self.text, re.MULTILINE)
        return found[1] if found else "sendrecv"


def sections(sdp: str) -> list[Section]:
    made: list[list[str]] = []
    for line in sdp.replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            made.append([])
        if made and line:
            made[-1].append(line)
    return [_section(lines) for lines in made]


def _section(lines: list[str]) -> Section:
    kind, port = lines[0][2:].split()[:2]
    mid = next((line[6:] for line in lines if line.startswith("a=mid:")), "")
    return Section(kind, int(port), mid, lines)


def fingerprint(sdp: str) -> str:
    found = re.search(r"^a=fingerprint:(.*?)\r?$", sdp, re.MULTILINE)
    return found[1] if found else ""


@dataclass(slots=True)
class Line:
    """One m-line that the server writes. `formats`: payload type → rtpmap."""

    kind: str
    mid: str
    formats: dict[int, str]
    direction: str
    extensions: dict[int, str] = field(default_factory=dict)
    ssrc: int | None = None
    cname: str = "liar"
    extra: list[str] = field(default_factory=list)
    feedback: bool = True
    port: int = 9
    """0: it is rejected."""
    h264: str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"

    def write(self, ice: LiteIce, setup: str, prints: list[str]) -> list[str]:
        if self.kind == "application":
            head = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
        else:
            numbers = " ".join(map(str, self.formats))
            head = f"m={self.kind} {self.port} UDP/TLS/RTP/SAVPF {numbers}"
        lines = [head, "c=IN IP4 0.0.0.0", f"a=mid:{self.mid}"]
        lines += [f"a=ice-ufrag:{ice.ufrag}", f"a=ice-pwd:{ice.password}"]
        lines += [f"a=fingerprint:{value}" for value in prints]
        lines.append(f"a=setup:{setup}")
        if self.kind == "application":
            lines.append("a=sctp-port:5000")
        else:
            lines += self._media()
        lines += self.extra
        for number, address in enumerate(addresses(), 1):
            priority = 2_130_706_431 - 256 * number
            lines.append(f"a=candidate:{number} 1 udp {priority} {address} {ice.port} typ host")
        lines.append("a=end-of-candidates")
        return lines

    def _media(self) -> list[str]:
        lines = [f"a={self.direction}", "a=rtcp-mux"]
        lines += [f"a=extmap:{number} {uri}" for number, uri in self.extensions.items()]
        for number, name in self.formats.items():
            lines.append(f"a=rtpmap:{number} {name}")
            if self.kind == "video" and self.feedback:
                lines += [f"a=rtcp-fb:{number} nack pli", f"a=rtcp-fb:{number} ccm fir"]
            if name.startswith("H264"):
                lines.append(f"a=fmtp:{number} {self.h264}")
        if self.ssrc is not None and self.direction in ("sendonly", "sendrecv"):
            lines.append(f"a=msid:{self.cname} {self.mid}-{self.ssrc}")
            lines.append(f"a=ssrc:{self.ssrc} cname:{self.cname}")
        return lines


def broken_rules(honest: list[Line], told: list[Line]) -> set[str]:
    """What one description says that the other does not, by the names of the rules."""
    broken = set() if len(honest) == len(told) else {"m-lines"}
    broken |= {"kind" for line in told if line.kind not in ("audio", "video")}
    for one, other in zip(honest, told, strict=False):
        broken |= {rule for rule, read in RULES.items() if read(one) != read(other)}
    return broken


RULES: dict[str, Callable[[Line], object]] = {
    "kind": lambda line: line.kind,
    "mid": lambda line: line.mid,
    "direction": lambda line: line.direction,
    "port": lambda line: line.port,
    "codec": lambda line: sorted(line.formats.values()),
    "payload-type": lambda line: sorted(line.formats) if line.formats else None,
    "extension": lambda line: line.extensions,
    "ssrc": lambda line: line.ssrc,
    "lines": lambda line: [text for text in line.extra if not text.startswith("a=rid:")],
    "rid": lambda line: [text for text in line.extra if text.startswith("a=rid:")],
}


@dataclass(frozen=True, slots=True)
class Carried:
    """What an offer and its message say of an m-line."""

    ssrc: int
    subscriber_id: str
    told_stream_id: str


def broken_uses(before: dict[str, Carried], now: dict[str, Carried]) -> set[str]:
    """An m-line that is given to another or taken away while nobody left it, with another SSRC."""
    pairs = [(before[mid], now[mid]) for mid in before.keys() & now.keys()]
    broken = {"ssrc" for one, other in pairs if one.ssrc != other.ssrc}
    return broken | {
        "mid"
        for one, other in pairs
        if (one.subscriber_id, one.told_stream_id) != (other.subscriber_id, other.told_stream_id)
    }


HONEST_PRINTS = (f"sha-256 {FINGERPRINT}",)


def describe(
    lines: list[Line], ice: LiteIce, setup: str, prints: tuple[str, ...] = HONEST_PRINTS
) -> str:
    mids = " ".join(line.mid for line in lines)
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite"]
    head.append(f"a=group:BUNDLE {mids}")
    body = [text for line in lines for text in line.write(ice, setup, list(prints))]
    return "\r\n".join([*head, *body, ""])


def answer_lines(offer: str, codecs: tuple[str, ...] = ("opus/48000/2", "VP8/90000")) -> list[Line]:
    """What an honest server takes of an uplink's offer: one codec for each m-line."""
    made = []
    for section in sections(offer):
        number = next((n for c in codecs if (n := section.payload_type(c)) is not None), None)
        chosen = {} if number is None else {number: section.codecs[number]}
        mid_extension = section.extension(MID_URI)
        line = Line(
            section.kind,
            section.mid,
            chosen or {0: "PCMU/8000"},
            "recvonly" if section.direction in ("sendonly", "sendrecv") else "inactive",
            {} if mid_extension is None else {mid_extension: MID_URI},
        )
        if number is not None:
            line.h264 = section.format(number) or line.h264
        made.append(line)
    return made

"""What the server's own processes, member services and other nodes say once somebody has taken them
over, and what those hear from a server that somebody has; any bytes."""

import contextlib

from sfu.egress import member_lines
from sfu.egress.caption_lines import CaptionDownReader, CaptionLine, CaptionUpReader
from sfu.egress.caption_reports import CaptionReports
from sfu.egress.connector_lines import ConnectorDownReader, ConnectorUpReader
from sfu.egress.connector_reports import ConnectorReports
from sfu.egress.control import DownReader, LineError, LineReader
from sfu.egress.frame_records import MAX_FRAME_BYTES, FrameAssembler, FrameRecord, wanted_key_frame
from sfu.egress.member_reports import MemberReports
from sfu.egress.render_lines import RenderDownReader
from sfu.egress.sip_lines import RedirectLine, SipDownReader, SipUpReader
from sfu.egress.sip_reports import SipReports
from sfu.egress.sip_uri import MessageError, Uri
from sfu.egress.style_lines import StyleReader
from signaling.domain.errors import PeerProtocolError
from signaling.egress.members import Member, MemberSocket
from signaling.links.envelope import GATE_READER, HOME_READER, MAX_ENVELOPE_BYTES, write

_DOWN: tuple[type[LineReader], ...] = (
    DownReader, ConnectorDownReader, CaptionDownReader, SipDownReader, RenderDownReader,
    StyleReader,
)  # fmt: skip
ARCHIVE = "00000000-0000-4000-8000-000000000003"


def link_messages(data: bytes) -> None:
    """The first byte chooses the end of the link. What is read is written and read again."""
    reader = HOME_READER if data[:1] == b"h" else GATE_READER
    try:
        message = reader.read(data[1:])
    except PeerProtocolError:
        return
    written = write(message)
    assert len(written) <= MAX_ENVELOPE_BYTES
    assert reader.read(written) == message


def connector_lines(data: bytes) -> None:
    """The first byte chooses whether the application's side may speak."""
    reader, reports = ConnectorUpReader(), ConnectorReports(bidirectional=data[:1] == b"{")
    with contextlib.suppress(LineError):
        for line in data.removeprefix(b"\n").split(b"\n"):
            reports.check(reader.decode(line))


def caption_lines(data: bytes) -> None:
    """Nothing that is shown to people has control characters, or no end."""
    reader, reports = CaptionUpReader(), CaptionReports(partials=data[:1] == b"{")
    with contextlib.suppress(LineError):
        for line in data.removeprefix(b"\n").split(b"\n"):
            said = reader.decode(line)
            reports.check(said)
            if isinstance(said, CaptionLine):
                assert 1 <= len(said.text) <= 1_000
                assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in said.text)


def sip_lines(data: bytes) -> None:
    reader, reports = SipUpReader(), SipReports()
    with contextlib.suppress(LineError):
        for line in data.split(b"\n"):
            said = reader.decode(line)
            reports.check(said)
            if isinstance(said, RedirectLine):
                with contextlib.suppress(MessageError):
                    Uri.parse(said.target)


def down_lines(data: bytes) -> None:
    """What a process hears. The first byte chooses which process."""
    if data:
        reader = _DOWN[data[0] % len(_DOWN)]()
        with contextlib.suppress(LineError):
            for line in data[1:].split(b"\n"):
                reader.decode(line)


class _Run:
    """An archive that a member records."""

    archive, connection = ARCHIVE, None

    def __init__(self) -> None:
        self._reports = MemberReports()
        self.ended = 0

    def handle(self, line: member_lines.ArchiveReport) -> None:
        self._reports.check(line)
        assert line.archive == self.archive
        self.ended += isinstance(line, member_lines.MemberDoneLine | member_lines.MemberFailedLine)

    def lose(self) -> None:
        """Nothing is lost here."""


def member_reports(data: bytes) -> None:
    """Lines of a member service: of its own archives alone. Each ends once."""
    sent: list[str] = []
    member = Member("100", ["archive"], MemberSocket(sent.append, sent.clear), 0.0)
    run = _Run()
    member.begin(run)
    with contextlib.suppress(LineError):
        for line in data.decode("utf-8", "replace").split("\n"):
            member.handle(line, 0.0)
    assert run.ended <= 1
    assert not sent


def member_orders(data: bytes) -> None:
    """Lines of a server, as a member service reads them."""
    with contextlib.suppress(LineError):
        for line in data.decode("utf-8", "replace").split("\n"):
            read = member_lines.read_to_member(line)
            assert member_lines.read_to_member(member_lines.encode(read)) == read


def frame_records(data: bytes) -> None:
    """Datagrams, each behind its length in two bytes: frames on their way to a file."""
    assembler, rest = FrameAssembler(), data
    with contextlib.suppress(ValueError):
        while rest:
            length = int.from_bytes(rest[:2])
            datagram, rest = rest[2 : 2 + length], rest[2 + length :]
            wanted_key_frame(datagram)
            record = assembler.take(datagram)
            assert not isinstance(record, FrameRecord) or len(record.data) <= MAX_FRAME_BYTES

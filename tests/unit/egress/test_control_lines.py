import json
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.egress import forks, uploads
from sfu.egress.caption_lines import CaptionDownReader, CaptionUpReader
from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.connector_lines import ConnectorDownReader, ConnectorUpReader
from sfu.egress.control import (
    MAX_LINE_BYTES,
    NOT_JSON,
    DoneLine,
    DownReader,
    FailedLine,
    FinishLine,
    JobLine,
    LineError,
    LineWriter,
    ProgressLine,
    ReadyLine,
    RecordingLine,
    RecordLine,
    Up,
    UpReader,
)
from sfu.egress.deaths import Deaths
from sfu.egress.member_lines import read_from_member, read_to_member
from sfu.egress.render_lines import RenderDownReader, RenderUpReader
from sfu.egress.sip_lines import SipDownReader, SipUpReader
from sfu.egress.style_lines import StyleReader, StyleUpReader

JOB = JobLine("a", "/f", "s", "n", 1, 2, 3, paused_at_us=4, streams=[{"stream": "x"}])
SAMPLES = {
    type(line): line
    for line in (
        JOB,
        RecordLine(on=True, at_us=1),
        FinishLine("user initiated"),
        ReadyLine(7),
        RecordingLine(-5),
        ProgressLine(1, 2, {"paused": 3}),
        DoneLine(1),
        FailedLine("storage", "text"),
    )
}
TOO_MUCH = {
    int: (str(2**53 + 1), str(2**63), "1" + "0" * 40, str(-(2**63))),
    str: (f'"{"x" * 5_000}"',),
    dict: (f'{{"paused": {2**63}}}', '{"paused": 1' + "0" * 40 + "}"),
}


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, ControlSocket(theirs, DownReader())
    ours.close()
    theirs.close()


def test_lines_come_as_they_were_sent(pair):
    server, child = pair
    writer = LineWriter()
    lines = [JOB, RecordLine(on=False, at_us=7), FinishLine("user initiated")]
    sent = b"".join(map(writer.encode, lines))
    server.sendall(sent[:20])
    assert child.poll() == []
    server.sendall(sent[20:])
    assert child.poll(1) == lines
    child.send(ReadyLine())
    child.send(ProgressLine(1, 2), must_arrive=False)
    reader = UpReader()
    first, second = server.recv(1_000).splitlines()
    assert [reader.decode(first), reader.decode(second)] == [ReadyLine(), ProgressLine(1, 2)]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"nonsense\n",
        b'{"n":1,"body":{"line":"unknown"}}\n',
        b'{"n":2,"body":{"line":"finish","reason":"x"}}\n',
        b'{"n":1,"body":{"line":"finish"}}\n',
        b'{"n":1,"body":{"line":"record","on":"yes","at_us":1}}\n',
        b"[" * 5_000 + b"\n",
        b"\xff\xfe\n",
        b'{"n":1,"body":{"line":"finish","reason":"\x93"}}\n',
    ],
)
def test_what_is_no_line_ends_the_connection(pair, line):
    server, child = pair
    server.sendall(line)
    assert child.poll(1) == []
    assert child.closed
    child.send(ReadyLine())
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(1)


def test_a_line_without_an_end_is_bounded(pair):
    server, child = pair
    server.setblocking(False)
    sent = 0
    while not child.closed and sent < 2 * MAX_LINE_BYTES:
        sent += server.send(b"x" * 65_536)
        child.poll(1)
    assert child.closed


def test_the_end_of_the_server_is_seen(pair):
    server, child = pair
    server.close()
    assert child.poll(1) == []
    assert child.closed
    child.send(ReadyLine())


def test_progress_does_not_wait_for_a_server_that_does_not_read(pair):
    server, child = pair
    for number in range(100_000):
        child.send(ProgressLine(number, 0), must_arrive=False)
    assert not child.closed
    reader = UpReader()
    received = b""
    server.setblocking(False)
    try:
        while True:
            received += server.recv(65_536)
    except BlockingIOError:
        pass
    for line in received.splitlines():
        reader.decode(line)


@given(st.binary(max_size=200))
def test_no_bytes_are_another_error(line):
    for reader in (UpReader(), DownReader()):
        with pytest.raises(LineError):
            reader.decode(line)


DEEP = b"[" * 50_000 + b"]" * 50_000
"""msgspec counts levels also where no type names the member, and has an error of its own."""
READERS = (
    UpReader, DownReader, ConnectorUpReader, ConnectorDownReader, CaptionUpReader,
    CaptionDownReader, SipUpReader, SipDownReader, RenderUpReader, RenderDownReader, StyleUpReader,
    StyleReader,
)  # fmt: skip
KINDS = (
    "progress", "finish", "beat", "leave", "listening", "leave", "beat", "leave", "beat", "leave",
    "boxes", "style",
)  # fmt: skip


@pytest.mark.parametrize(("reader", "kind"), list(zip(READERS, KINDS, strict=True)))
def test_brackets_within_brackets_are_no_line(reader, kind):
    for member in (b"x", b"streams", b"counts", b"static_fields"):
        line = b'{"n":1,"body":{"line":"%s","%s":%s}}' % (kind.encode(), member, DEEP)
        with pytest.raises(LineError):
            reader().decode(line)


@pytest.mark.parametrize("read", [read_from_member, read_to_member])
def test_neither_are_they_one_of_a_member_service(read):
    for kind in ("offer", "archive", "registered"):
        with pytest.raises(LineError):
            read(f'{{"line":"{kind}","x":{DEEP.decode()}}}')


def test_nor_an_answer_of_a_zygote_or_an_upload():
    with pytest.raises(NOT_JSON):
        forks.read_answer(b'{"number":1,"pid":2,"x":' + DEEP + b"}")
    assert uploads.read_answer(DEEP) == "unreachable"


@pytest.mark.parametrize(
    "line",
    [
        DoneLine(-1),
        FailedLine("other", "text"),
        FailedLine("storage", "x" * 1_000),
        ProgressLine(-1, 0),
        DoneLine(2**63),
        ProgressLine(2**63, 0),
        ProgressLine(0, 2**63),
        ProgressLine(0, 0, {"paused": 2**63}),
        RecordingLine(2**63),
        RecordingLine(-(2**63)),
    ],
)
def test_values_that_no_child_has_are_refused(line):
    with pytest.raises(LineError):
        UpReader().decode(LineWriter().encode(line))


@pytest.mark.parametrize("kind", list(SAMPLES), ids=lambda kind: kind.__name__)
def test_no_number_and_no_text_of_a_line_is_without_a_bound(kind):
    """A number that storage cannot hold would be the fault of the process that reads it."""
    line = SAMPLES[kind]
    reader = UpReader if isinstance(line, Up) else DownReader
    assert reader().decode(LineWriter().encode(line)) == line
    for name, value in msgspec.structs.asdict(line).items():
        for wrong in TOO_MUCH.get(type(value), ()):
            body = msgspec.to_builtins(line) | {name: "@"}
            sent = json.dumps({"n": 1, "body": body}).replace('"@"', wrong)
            with pytest.raises(LineError):
                reader().decode(sent.encode())


@pytest.mark.parametrize("reader", [UpReader, DownReader])
def test_the_number_of_a_line_has_a_bound(reader):
    body = {UpReader: '{"line":"ready"}', DownReader: '{"line":"finish","reason":"x"}'}[reader]
    with pytest.raises(LineError, match="not a control line"):
        reader().decode(b'{"n":1%s,"body":%s}' % (b"0" * 40, body.encode()))


def test_three_deaths_in_a_minute_are_enough():
    deaths = Deaths()
    assert [deaths.add(now) for now in (0, 30, 61, 90, 91)] == [True, True, True, False, False]
    assert deaths.add(500)

"""Every entrance of the server, and what one input to it may cost before anybody is known.

The tables name each route, message and kind of datagram; what has no row fails a test here. The
worst inputs of each are made by a generator and measured: at most 1 µs of CPU and 16 bytes of
memory for each byte of input, beside a small start, and 20 ms for one input.
"""

import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest

from config.settings import HttpSettings
from sfu.sdp.errors import SdpError
from sfu.sdp.parse import MAX_BYTES, parse
from signaling.domain.errors import DomainError
from signaling.hls.folders import Folders
from signaling.hls.serving import HlsServing
from signaling.http.stranger_frames import MAX_CONTROL_FRAMES, MAX_FRAMES, StrangerFrames
from signaling.protocol.codec import (
    MAX_FIRST_MESSAGE_BYTES,
    MAX_MESSAGE_BYTES,
    Encoding,
    decode,
)
from signaling.protocol.shapes import CLIENT_MESSAGES, struct_of
from signaling.rest import bodies
from signaling.rest.admin_api import Properties, PublicKey, Rotation, _Call
from signaling.rest.rooms import MAX_BODY_BYTES as MAX_ROOM_BYTES
from signaling.rest.rooms import _name as room_of_body
from signaling.rest.routes import ROUTES
from signaling.rest.whip import WhipGate
from signaling.websocket.gate import STRANGER_BYTES
from tests.machine_speed import within
from tests.rest_server import open_rest_server

INPUT_CPU_S, CPU_S_PER_BYTE, CPU_S_AT_ALL = 0.020, 1e-6, 0.001
MEMORY_PER_BYTE, MEMORY_AT_ALL = 16, 65_536
MEMORY_WITH_CREDENTIALS = 1_048_576
"""REST reads a body after it has checked the credentials: an application may cost a little more."""
REPEATS = 7
"""The fastest counts: what else the machine does makes a run slower, never faster."""
ROOT = Path(__file__).parents[2]
MAX_REST_BYTES = HttpSettings().max_body_bytes
Reader = Callable[[bytes], object]


def _nothing(_body: bytes) -> None:
    """The route reads no body."""


def _sdp(body: bytes) -> object:
    return parse(body.decode("utf-8", "replace"))


# Routes outside the table of REST: method and path → what reads the body, and its limit.
HTTP: dict[tuple[str, str], tuple[Reader, int]] = {
    ("GET", "/healthz"): (_nothing, 0),
    ("GET", "/readyz"): (_nothing, 0),
    ("GET", "/openapi.json"): (_nothing, 0),
    ("GET", "/metrics"): (_nothing, 0),
    ("GET", "/v1/signal"): (_nothing, 0),
    ("GET", "/v1/member"): (_nothing, 0),
    ("POST", "/v1/rooms"): (room_of_body, MAX_ROOM_BYTES),
    ("POST", "/v1/rooms/{session}"): (room_of_body, MAX_ROOM_BYTES),
    ("GET", "/archives/{id}/{link}/archive.zip"): (_nothing, 0),
    ("GET", "/archives/{id}/{link}/archive.mp4"): (_nothing, 0),
    ("GET", "/hls/{id}/{key}/{file}"): (_nothing, 0),
    ("OPTIONS", "/hls/{id}/{key}/{file}"): (_nothing, 0),
    # Everything else: REST by its own table, files, and 404.
    ("*", "/{path}"): (_nothing, 0),
    ("*", "/whip/{session}"): (_sdp, MAX_BYTES),
    ("*", "/whep/{session}/{stream}"): (_sdp, MAX_BYTES),
    ("*", "/whip/{session}/resource/{resource}"): (_sdp, MAX_BYTES),
    ("*", "/whep/{session}/{stream}/resource/{resource}"): (_sdp, MAX_BYTES),
}
# Client messages whose cost goes on after they were decoded, and what bounds that.
_SDP = "tests/unit/sfu/test_sdp_cost.py"
_FAN_OUT = "tests/unit/signaling/test_signals.py"
_OWN = "tests/unit/signaling/test_intake.py"
MESSAGES = {
    "hello": "tests/unit/signaling/test_membership.py",
    "publish": _SDP,
    "unpublish": _OWN,
    "updateStream": _FAN_OUT,
    "declareKids": _OWN,
    "subscribe": _OWN,
    "downlinkAnswer": _SDP,
    "restartIce": _SDP,
    "updateSubscriber": _OWN,
    "unsubscribe": _OWN,
    "peerDescription": "tests/unit/signaling/test_relaying.py",
    "peerCandidate": "tests/unit/signaling/test_relaying.py",
    "signal": _FAN_OUT,
    "forceDisconnect": _OWN,
    "forceUnpublish": _OWN,
    "forceMuteStream": _OWN,
    "forceMuteAll": _FAN_OUT,
    "e2eeReady": _FAN_OUT,
    "e2eeState": _OWN,
    "ping": _OWN,
    "bye": _OWN,
}
# Kinds of datagrams, and of connections on the media port: where their cost is bounded.
_BY_SOCKET = "tests/unit/native/test_datagram_cost.py"
DATAGRAMS = dict.fromkeys(("Stun", "Dtls", "Rtp", "Rtcp", "Unknown"), _BY_SOCKET)
FRAMING = (_BY_SOCKET, "native/fuzz/fuzz_targets")


# --- every entrance has a row -----------------------------------------------------------------


def _routes(app: object) -> set[tuple[str, str]]:
    found = set()
    for route in app.router.routes():  # type: ignore[attr-defined]
        if route.method != "HEAD":
            path = re.sub(r"\{(\w+):[^}]*\}+\)?", r"{\1}", route.resource.canonical)
            found.add((route.method, path))
    return found


def test_every_body_of_the_admin_api_is_one_that_is_measured() -> None:
    read = re.findall(r"call\.read\((\w+)\)", (ROOT / "signaling/rest/admin_api.py").read_text())
    assert set(read) == {"Properties", "Rotation", "PublicKey"}


async def test_every_http_route_has_a_row(tmp_path: Path) -> None:
    server = await open_rest_server(tmp_path)
    media = WhipGate(None, None, HttpSettings(), server.metrics).routes()  # type: ignore[arg-type]
    named = _routes(server.app) | _routes(server.operations)
    named |= {(route.method, route.path) for route in media}
    named |= _routes(HlsServing(Folders(tmp_path), print).app())
    await server.store.close()
    admin = {row for row in named if row[1].startswith("/admin/v1")}
    assert named - admin == set(HTTP)
    assert admin


def test_every_rest_route_reads_by_a_reader_that_is_measured() -> None:
    assert {route.read_body for route in ROUTES} <= {reader for reader, _ in REST_READERS}


def test_every_message_of_a_client_has_a_row() -> None:
    assert {struct_of(cls).tag for cls in CLIENT_MESSAGES} == set(MESSAGES)


def test_every_kind_of_datagram_has_a_row() -> None:
    source = (ROOT / "native/transport/src/demux.rs").read_text()
    (kinds,) = re.findall(r"pub enum PacketKind \{(.*?)\n\}", source, re.DOTALL)
    assert set(re.findall(r"^\s+(\w+),", kinds, re.MULTILINE)) == set(DATAGRAMS)


def test_what_the_rows_name_is_there() -> None:
    for place in {*MESSAGES.values(), *DATAGRAMS.values(), *FRAMING}:
        assert (ROOT / place).exists(), place


# --- and keeps to its cost --------------------------------------------------------------------


def _filled(most: int, head: bytes, unit: bytes, tail: bytes = b"") -> bytes:
    return head + unit * ((most - len(head) - len(tail)) // len(unit)) + tail


def worst_json(most: int) -> list[bytes]:
    units = (b"[],", b"{},", b"0,", b'"ab",', b"1.5,", b"null,", b'{"a":0},', b"[[[]]],")
    lists = [_filled(most, b'{"a":[', unit, b"0]}") for unit in units]
    names = b"{" + b",".join(b'"%x":0' % number for number in range(most // 9))[: most - 2] + b"}"
    texts = (b"\\ud83d\\ude00", b"\\u0000", b"x", b'"' + b",", b'\\"')
    return [
        *lists,
        names,
        *(_filled(most, b'{"name":"', text, b'"}') for text in texts),
        b"[" * most,
        b" " * most,
        b"9" * most,
        b'{"a":' * (most // 5),
    ]


def worst_forms(most: int) -> list[bytes]:
    most = min(most, bodies.MAX_FORM_BYTES)
    return [_filled(most, b"a=", unit) for unit in (b"%41", b"+", b"%", b"&b=", b"x")]


def worst_msgpack(most: int, tag: str) -> list[bytes]:
    start = b"\x83" + msgpack.packb("t") + msgpack.packb(tag) + msgpack.packb("id") + b"\x01"
    items = (b"\xc0", b"\x80", b"\x90", b"\xa3abc", b"\xca\0\0\0\0", b"\xdc\x10\x00", b"\x91")
    start += msgpack.packb("a")
    arrays = [_filled(most, start + b"\xdc\x0f\xff", item) for item in items]
    few = [start + b"\xdc\x03\x00" + item * 768 for item in items[:5]]
    text = start + msgpack.packb("x" * (most - len(start) - 5))
    return [*arrays, *few, text, start + b"\xdf\x00\xff\xff\xff" * (most // 5 - 10)]


REST_READERS: list[tuple[Reader, list[bytes]]] = [
    (bodies.json_fields, worst_json(MAX_REST_BYTES)),
    (bodies.form_or_json_fields, [*worst_json(MAX_REST_BYTES), *worst_forms(MAX_REST_BYTES)]),
    (bodies.no_fields, [b"x" * MAX_REST_BYTES]),
]


def _use(reader: Reader, data: bytes) -> None:
    try:
        reader(data)
    except (DomainError, SdpError):
        return


def _check(reader: Reader, data: bytes, at_all: int = MEMORY_AT_ALL) -> None:
    took = []
    allowed_s = min(INPUT_CPU_S, CPU_S_AT_ALL + len(data) * CPU_S_PER_BYTE)
    for _ in range(REPEATS):
        begin = time.thread_time()
        _use(reader, data)
        took.append(time.thread_time() - begin)
        if took[-1] < allowed_s / 2:
            break
    assert within(min(took), allowed_s), data[:40]
    tracemalloc.start()
    try:
        _use(reader, data)
        assert tracemalloc.get_traced_memory()[1] < at_all + MEMORY_PER_BYTE * len(data), data[:40]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "most", [1_000, pytest.param(16_384, marks=pytest.mark.long), MAX_REST_BYTES]
)
@pytest.mark.parametrize("number", range(len(REST_READERS)))
def test_bodies_of_rest_keep_to_their_cost(number: int, most: int) -> None:
    reader, _ = REST_READERS[number]
    forms = worst_forms(most) if reader is bodies.form_or_json_fields else []
    for data in [*worst_json(most), *forms]:
        _check(reader, data, MEMORY_WITH_CREDENTIALS)


def worst_properties(most: int) -> list[bytes]:
    units = (b'"",', b'"https://a.b",', b'"\\u00e9",')
    return [
        *worst_json(most),
        *(_filled(most, b'{"allowedOrigins":[', unit, b'""]}') for unit in units),
        _filled(most, b'{"allowedOrigins":[]', b',"allowedOrigins":[]', b"}"),
        _filled(most, b'{"publicKey":"', b"\\n", b'"}'),
    ]


@pytest.mark.parametrize("shape", [Properties, Rotation, PublicKey])
@pytest.mark.parametrize("most", [1_000, MAX_REST_BYTES])
def test_bodies_of_the_admin_api_keep_to_their_cost(shape: type, most: int) -> None:
    for data in worst_properties(most):
        _check(lambda body: _Call("", "", body).read(shape), data, MEMORY_WITH_CREDENTIALS)


@pytest.mark.parametrize(
    "row", [row for row, (reader, _) in HTTP.items() if reader is not _nothing]
)
def test_bodies_of_other_routes_keep_to_their_cost(row: tuple[str, str]) -> None:
    reader, most = HTTP[row]
    for data in worst_json(most):
        _check(reader, data)


def _read_msgpack(data: bytes) -> object:
    return decode(data, Encoding.MSGPACK)


def _read_json(data: bytes) -> object:
    return decode(data, Encoding.JSON)


@pytest.mark.parametrize("tag", MESSAGES)
@pytest.mark.parametrize("most", [MAX_FIRST_MESSAGE_BYTES, MAX_MESSAGE_BYTES])
def test_messages_keep_to_their_cost(tag: str, most: int) -> None:
    for data in worst_msgpack(most, tag):
        _check(_read_msgpack, data)
    head = b'{"t":"%s","id":1,"a":[' % tag.encode()
    for unit in (b"[],", b"{},", b"0,", b'"ab",', b"1.5,"):
        _check(_read_json, _filled(most, head, unit, b"0]}"))
        _check(_read_json, _filled(4_000, head, unit, b"0]}"))


# --- frames of WebSockets ---------------------------------------------------------------------

_PING, _PART, _MORE = b"\x89\x80\0\0\0\0", b"\x01\x80\0\0\0\0", b"\x00\x80\0\0\0\0"
_SEGMENT_BYTES = 250_000
# What strangers send in one segment, or in one write behind the upgrade.
FRAMES = {
    "control frames": _PING * (_SEGMENT_BYTES // len(_PING)),
    "several frames in one segment": _PART + _MORE * (_SEGMENT_BYTES // len(_MORE)),
    "control frames within the bytes of a stranger": _PING * (STRANGER_BYTES // len(_PING)),
    "fragments within the bytes of a stranger": _PART + _MORE * (STRANGER_BYTES // 6 - 1),
}


def _stranger(data: bytes) -> object:
    return StrangerFrames(STRANGER_BYTES).takes(data)


@pytest.mark.parametrize("row", FRAMES)
def test_frames_are_refused_at_little_cost_before_they_are_parsed(row: str) -> None:
    assert not _stranger(FRAMES[row])
    _check(_stranger, FRAMES[row])


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = b"\xfe" + size.to_bytes(2)
    else:
        length = b"\xff" + size.to_bytes(8)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


@pytest.mark.parametrize("pieces", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("sent", "fine"),
    [
        (_frame(1, b"x" * MAX_FIRST_MESSAGE_BYTES), True),
        (_frame(9, b"x" * 125) * MAX_CONTROL_FRAMES + _frame(1, _PING * 100), True),
        (_frame(9, b"") * (MAX_CONTROL_FRAMES + 1), False),
        (_frame(0, b"x" * 200) * MAX_FRAMES, True),
        (_frame(0, b"x" * 200) * (MAX_FRAMES + 1), False),
        (_frame(2, b"x" * 70_000)[:STRANGER_BYTES], True),
        (_frame(2, b"x" * 70_000)[: STRANGER_BYTES + 1], False),
    ],
)
def test_frames_of_a_stranger_are_counted_however_they_are_cut(
    sent: bytes, fine: bool, pieces: int
) -> None:
    frames = StrangerFrames(STRANGER_BYTES)
    size = -(-len(sent) // pieces)
    cut = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert all(frames.takes(piece) for piece in cut) is fine

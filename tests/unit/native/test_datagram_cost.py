"""What a datagram or a byte of a stranger costs the worker's thread, in CPU and in memory, through
a real socket. CPU of the thread alone counts, so a busy machine changes nothing."""

import contextlib
import random
import resource
import socket
import struct
import threading
import time
from pathlib import Path

import msgspec
import pytest

from sfu import _native
from sfu.core_api import WorkerSettings

DATAGRAM_BYTES, DATAGRAMS, AT_ONCE = 1_472, 8_000, 50
DATAGRAM_CPU_S = 100e-6
"""A fifteenth of 1 µs a byte; most of it is the kernel's."""
TCP_BYTES, TCP_CPU_S_PER_BYTE = 4_000_000, 0.2e-6
GROWN_BYTES = 8_000_000
RNG = random.Random(5)


def _stun(attributes: bytes) -> bytes:
    """A binding request with a fingerprint's place left empty."""
    return struct.pack("!HHI", 1, len(attributes), 0x2112A442) + RNG.randbytes(12) + attributes


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _filled(head: bytes) -> bytes:
    return head + RNG.randbytes(DATAGRAM_BYTES - len(head))


_ROOM = DATAGRAM_BYTES - 20
WORST = {
    "Stun, attributes of no length": _stun(_attribute(0x8022, b"") * (_ROOM // 4)),
    "Stun, unknown user": _stun(_attribute(6, b"x" * 508 + b":y") + _attribute(8, bytes(20))),
    "Stun, long user": _stun(_attribute(6, b"x" * (_ROOM - 4))),
    "Dtls": b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", 1_400) + b"\1" + RNG.randbytes(1_399),
    "Dtls, empty records": (b"\x16\xfe\xfd" + bytes(10)) * (DATAGRAM_BYTES // 13),
    "Rtp": _filled(b"\x9f\x60\0\1\0\0\0\1\0\0\0\2" + bytes(60) + b"\xbe\xde\1\x50"),
    "Rtcp": (b"\x80\xc9\0\1\0\0\0\1") * (DATAGRAM_BYTES // 8),
    "Unknown": _filled(b"\xff"),
}


def test_each_kind_of_datagram_has_its_worst() -> None:
    source = Path("native/transport/src/demux.rs").read_text()
    kinds = source.partition("pub enum PacketKind {")[2].partition("\n}")[0]
    named = {
        line.strip(" ,")
        for line in kinds.splitlines()
        if line.startswith("    ") and "/" not in line
    }
    assert {name.partition(",")[0] for name in WORST} == named


class Core:
    """A worker, and what its thread has used."""

    def __init__(self) -> None:
        before = self._threads()
        settings = WorkerSettings(host="127.0.0.1", port=0, tcp=True)
        self.worker = _native.Worker(msgspec.msgpack.encode(settings))
        (self._thread,) = self._threads() - before

    @staticmethod
    def _threads() -> set[str]:
        return {entry.name for entry in Path("/proc/self/task").iterdir()}

    def cpu_s(self) -> float:
        text = Path(f"/proc/self/task/{self._thread}/schedstat").read_text()
        return int(text.split()[0]) / 1e9

    def taken(self) -> int:
        return sum(n for name, n in self.worker.counters().items() if name.startswith("drop."))


@pytest.fixture
def core():
    running = Core()
    yield running
    running.worker.close()


def _wait(condition) -> None:
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s, "the worker does not take what is sent"
        threading.Event().wait(0.001)


@pytest.mark.parametrize("name", WORST)
def test_a_strangers_datagram_costs_little_and_leaves_nothing(core, name) -> None:
    datagram = WORST[name]
    assert len(datagram) <= DATAGRAM_BYTES
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before_s = core.cpu_s()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(("127.0.0.1", core.worker.local_port))
        for sent in range(AT_ONCE, DATAGRAMS + 1, AT_ONCE):
            for _ in range(AT_ONCE):
                stranger.send(datagram)
            # Each has a named reason, and none is answered.
            _wait(lambda sent=sent: core.taken() >= sent)
        stranger.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            assert not stranger.recv(2_000)
    assert core.taken() == DATAGRAMS
    assert (core.cpu_s() - before_s) / DATAGRAMS < DATAGRAM_CPU_S
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024
    assert grown < GROWN_BYTES


@pytest.mark.parametrize("frame", [b"\0\0", b"\0\1\xff", b"\5\xdc" + bytes(1_500), b"\xff\xff"])
def test_a_strangers_bytes_over_tcp_cost_little_and_leave_nothing(core, frame) -> None:
    """The framing of RFC 4571: empty, small, largest and too large."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before_s, sent = core.cpu_s(), 0
    chunk = frame * (60_000 // len(frame))
    while sent < TCP_BYTES:
        with socket.socket() as stranger:
            stranger.connect(("127.0.0.1", core.worker.local_port))
            # Who talks nonsense is closed: a new connection then.
            with contextlib.suppress(ConnectionError):
                for _ in range(8):
                    stranger.sendall(chunk)
                    sent += len(chunk)
            sent += len(chunk)
    assert (core.cpu_s() - before_s) / sent < TCP_CPU_S_PER_BYTE
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024
    assert grown < GROWN_BYTES

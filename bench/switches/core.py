"""The forwarding core in memory and virtual time, behind the pipes of `sealroute-virtual`."""

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).resolve().parent.parent.parent
UPLINK = 1
FIRST_SUBSCRIBER = 100
FIRST_SINK_SSRC = 0x9000
PAYLOAD_TYPE = 96
RTX_PAYLOAD_TYPE = 97


class CoreError(Exception):
    """The core could not be built, or it ended."""


def build() -> Path:
    """Errors: CoreError."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise CoreError("cargo is missing: make build installs it")
    command = [cargo, "build", "--release", "--quiet", "--package", "sealroute-virtual", "-j", "2"]
    if subprocess.run(command, cwd=ROOT / "native", check=False).returncode != 0:
        raise CoreError("the virtual session could not be built")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "native" / "target"))
    return target / "release" / "sealroute-virtual"


@dataclass(frozen=True, slots=True)
class Side:
    """What one side of a session negotiated."""

    nack: bool = True
    rtx: bool = True
    extensions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setup:
    codec: str
    kids: tuple[str, ...]
    rids: tuple[str, ...]
    subscribers: int
    uplink: Side
    downlink: Side
    ssrc: int | None = None

    def json(self) -> bytes:
        sides = {
            name: {"nack": side.nack, "rtx": side.rtx, "extensions": side.extensions}
            for name, side in (("uplink", self.uplink), ("downlink", self.downlink))
        }
        plain = {
            "codec": self.codec, "opaque": True, "kids": list(self.kids), "rids": list(self.rids),
            "ssrc": self.ssrc, "subscribers": self.subscribers,
        }  # fmt: skip
        return json.dumps(plain | sides).encode()


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet that the core sent. `is_rtcp`: a compound; else RTP."""

    to: int
    is_rtcp: bool
    data: bytes


class VirtualCore:
    """Owner of the process. Use as a context."""

    def __init__(self, binary: Path) -> None:
        self._process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input: IO[bytes] = self._process.stdin
        self._output: IO[bytes] = self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._input.close()
        self._output.close()
        code = self._process.wait(10)
        if code != 0 and kind is None:
            raise CoreError(f"the virtual session ended with {code}")

    def set_up(self, setup: Setup) -> None:
        self._write(b"S", setup.json())

    def rtp(self, packet: bytes) -> None:
        self._write(b"R", packet)

    def rtcp(self, handle: int, compound: bytes) -> None:
        self._write(b"C", struct.pack("!Q", handle) + compound)

    def prefer(self, subscriber: int, **limits: float) -> None:
        self._write(b"W", struct.pack("!Q", subscriber) + json.dumps(limits).encode())

    def allocate(self, subscriber: int, layer: tuple[int, int, int] | None) -> None:
        self._write(b"A", struct.pack("!Q", subscriber) + bytes(layer or ()))

    def step(self, microseconds: int) -> list[Sent]:
        """Time passes; gives all that was sent since the last step."""
        self._write(b"P", struct.pack("!I", microseconds))
        self._input.flush()
        sent = []
        while (record := self._read())[0] != b"e":
            (to,) = struct.unpack_from("!Q", record[1])
            sent.append(Sent(to, record[0] == b"c", record[1][8:]))
        return sent

    def counters(self) -> dict[str, int]:
        counters = self._ask(b"Q", b"")
        assert isinstance(counters, dict)
        return counters

    def parse_layers_allocations(self, values: Sequence[bytes]) -> list[object]:
        """`None`: refused."""
        return self._ask_all(b"L", values)

    def parse_dependency_descriptors(self, values: Sequence[bytes]) -> list[object]:
        """Each with the structure of the last accepted one that had one; empty: forget it."""
        return self._ask_all(b"D", values)

    def _ask(self, kind: bytes, body: bytes) -> object:
        return self._ask_all(kind, [body])[0]

    def _ask_all(self, kind: bytes, bodies: Sequence[bytes]) -> list[object]:
        """As many as the pipe has room for: they are written before an answer is read."""
        for body in bodies:
            self._write(kind, body)
        self._input.flush()
        return [json.loads(self._read()[1]) for _ in bodies]

    def _write(self, kind: bytes, body: bytes) -> None:
        self._input.write(struct.pack("!I", len(body) + 1) + kind + body)

    def _read(self) -> tuple[bytes, bytes]:
        head = self._output.read(5)
        if len(head) < 5:
            raise CoreError("the virtual session ended")
        (length,) = struct.unpack_from("!I", head)
        return head[4:], self._output.read(length - 1)

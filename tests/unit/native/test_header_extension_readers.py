"""The core's readers of layer extensions against a second implementation, value by value.

More of them: `DESCRIPTORS=1000000 pytest tests/unit/native/test_header_extension_readers.py`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from bench.switches.core import VirtualCore, build
from tests.unit.native.descriptor_reader import (
    DependencyReader,
    read_layers_allocation,
)

VALUES = int(os.environ.get("DESCRIPTORS", "6000"))
BATCH = 100
pytestmark = pytest.mark.timeout(max(120, VALUES // 500))


class Writer:
    """Bits, most significant first."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.bits = ""

    def f(self, value: int, width: int) -> None:
        self.bits += f"{value:0{width}b}" if width else ""

    def any(self, width: int) -> int:
        value = self.random.getrandbits(width) if width else 0
        self.f(value, width)
        return value

    def ns(self, value: int, values: int) -> None:
        width = values.bit_length()
        short = (1 << width) - values
        if value < short:
            self.f(value, width - 1)
        else:
            self.f((value + short) >> 1, width - 1)
            self.f((value + short) & 1, 1)

    def bytes(self) -> bytes:
        text = self.bits + "0" * (-len(self.bits) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def write_structure(writer: Writer) -> tuple[int, int, int, int]:
    """Gives offset, targets, templates and chains."""
    random = writer.random
    offset = writer.any(6)
    targets = random.choice((1, 2, 3, 4, 9, 32))
    writer.f(targets - 1, 5)
    templates, spatial, temporal = 1, 0, 0
    while random.random() < 0.75 and templates < 64:
        step = random.choice((0, 1, 1, 2))
        if (step == 1 and temporal == 7) or (step == 2 and spatial == 3):
            break
        spatial, temporal = (spatial + 1, 0) if step == 2 else (spatial, temporal + (step == 1))
        writer.f(step, 2)
        templates += 1
    writer.f(3, 2)
    for _ in range(templates * targets):
        writer.any(2)
    for _ in range(templates):
        while random.random() < 0.5:
            writer.f(1, 1)
            writer.any(4)
        writer.f(0, 1)
    chains = random.randint(0, targets)
    writer.ns(chains, targets + 1)
    if chains:
        for _ in range(targets):
            writer.ns(random.randrange(chains), chains)
        for _ in range(templates * chains):
            writer.any(4)
    with_sizes = writer.any(1)
    for _ in range((spatial + 1) * with_sizes):
        writer.any(16)
        writer.any(16)
    return offset, targets, templates, chains


def dependency_descriptors(random: Random) -> Iterator[bytes]:
    """Valid ones that go on from each other; the reader may have refused the structure."""
    offset, targets, templates, chains = 0, 1, 1, 0
    while True:
        writer = Writer(random)
        writer.any(2)
        place = len(writer.bits)
        writer.any(22)
        if random.random() < 0.6:
            brings = random.random() < 0.3
            active, dtis, differences, chained = (random.random() < 0.3 for _ in range(4))
            writer.f(int(f"{brings:d}{active:d}{dtis:d}{differences:d}{chained:d}", 2), 5)
            if brings:
                offset, targets, templates, chains = write_structure(writer)
            writer.any(targets * active)
            writer.any(2 * targets * dtis)
            while differences and random.random() < 0.6:
                size = random.randint(1, 3)
                writer.f(size, 2)
                writer.any(4 * size)
            writer.f(0, 2 * differences)
            writer.any(8 * chains * chained)
        template = f"{(offset + random.randrange(templates)) % 64:06b}"
        writer.bits = writer.bits[:place] + template + writer.bits[place + 6 :]
        yield writer.bytes()


def layers_allocations(random: Random) -> Iterator[bytes]:
    while True:
        streams = random.randint(1, 4)
        shared = random.choice((0, random.randrange(1, 16)))
        masks = [shared or random.randrange(16) for _ in range(streams)]
        value = bytes([random.randrange(streams) << 6 | streams - 1 << 4 | shared])
        writer = Writer(random)
        for mask in masks if not shared else ():
            writer.f(mask, 4)
        value += writer.bytes() if writer.bits else b""
        layers = [random.randint(1, 4) for mask in masks for bit in range(4) if mask >> bit & 1]
        writer = Writer(random)
        for count in layers:
            writer.f(count - 1, 2)
        value += writer.bytes() if writer.bits else b""
        for _ in range(sum(layers)):
            rate = random.getrandbits(random.choice((7, 14, 21, 28)))
            while rate > 127:
                value += bytes([rate & 127 | 128])
                rate >>= 7
            value += bytes([rate])
        if random.random() < 0.6:
            value += random.randbytes(5 * len(layers))
        yield value


def mutated(value: bytes, random: Random) -> bytes:
    """Half of them as they are; never empty."""
    changed = bytearray(value)
    for _ in range(random.choice((0, 0, 0, 1, 1, 3))):
        kind = random.randrange(4)
        at = random.randrange(len(changed))
        if kind == 0:
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed[at] = random.choice((0, 255, 128, random.randrange(256)))
        elif kind == 2:
            del changed[max(1, at) :]
        else:
            changed += random.randbytes(random.randint(1, 4))
    return bytes(changed)


@pytest.fixture(scope="module")
def core() -> Iterator[VirtualCore]:
    binary: Path = build()
    with VirtualCore(binary) as core:
        yield core


def test_dependency_descriptors_are_read_as_a_second_reader_does(core: VirtualCore) -> None:
    random = Random(20)
    reader = DependencyReader()
    made = dependency_descriptors(random)
    accepted = 0
    for _ in range(VALUES // BATCH):
        values = [mutated(next(made), random) for _ in range(BATCH)]
        for value, found in zip(values, core.parse_dependency_descriptors(values), strict=True):
            try:
                expected: object = reader.read(value)
            except ValueError:
                expected = None
            accepted += expected is not None
            assert found == expected, value.hex()
    assert VALUES // 4 < accepted < VALUES


def test_layers_allocations_are_read_as_a_second_reader_does(core: VirtualCore) -> None:
    random = Random(21)
    made = layers_allocations(random)
    accepted = 0
    for _ in range(VALUES // BATCH):
        values = [mutated(next(made), random) for _ in range(BATCH)]
        for value, found in zip(values, core.parse_layers_allocations(values), strict=True):
            try:
                expected: object = read_layers_allocation(value)
            except ValueError:
                expected = None
            accepted += expected is not None
            assert found == expected, value.hex()
    assert VALUES // 4 < accepted < VALUES


def test_a_descriptor_without_a_structure_before_it_is_refused(core: VirtualCore) -> None:
    core.parse_dependency_descriptors([b""])
    assert core.parse_dependency_descriptors([b"\xc0\x00\x01"]) == [None]

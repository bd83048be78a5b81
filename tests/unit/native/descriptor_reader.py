"""A second reader of two header extensions, written from their specifications alone: slow, plain,
and of another make than the core's. A refusal is a `ValueError`."""

from dataclasses import dataclass, field


class Bits:
    def __init__(self, data: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def f(self, width: int) -> int:
        """f(n) of the AV1 specification."""
        if self._at + width > len(self._text):
            raise ValueError("too short")
        text = self._text[self._at : self._at + width]
        self._at += width
        return int(text, 2) if text else 0

    def ns(self, values: int) -> int:
        """ns(n) of the AV1 specification, section 4.10.7."""
        w, x = 0, values
        while x != 0:
            x >>= 1
            w += 1
        m = (1 << w) - values
        v = self.f(w - 1)
        if v < m:
            return v
        return (v << 1) - m + self.f(1)


@dataclass
class Template:
    spatial: int
    temporal: int
    dtis: list[int] = field(default_factory=list)


@dataclass
class Structure:
    offset: int
    dt_count: int
    templates: list[Template] = field(default_factory=list)
    chains: int = 0
    resolutions: list[tuple[int, int]] = field(default_factory=list)

    def target_layers(self) -> list[list[int]]:
        """decode_target_layers() of appendix A.8.2."""
        layers = []
        for target in range(self.dt_count):
            present = [t for t in self.templates if t.dtis[target] != 0]
            spatial = max((t.spatial for t in present), default=0)
            temporal = max((t.temporal for t in present), default=0)
            layers.append([spatial, temporal])
        return layers


def _templates(bits: Bits) -> list[Template]:
    """template_layers() of appendix A.8.2."""
    templates = [Template(0, 0)]
    while (following := bits.f(2)) != 3:
        last = templates[-1]
        if following == 2:
            templates.append(Template(last.spatial + 1, 0))
        else:
            templates.append(Template(last.spatial, last.temporal + following))
        if len(templates) > 64:
            raise ValueError("more templates than ids")
        if templates[-1].spatial > 3 or templates[-1].temporal > 7:
            raise ValueError("layers beyond the format's")
    return templates


def _chains(bits: Bits, structure: Structure) -> int:
    """template_chains() of appendix A.8.2."""
    chains = bits.ns(structure.dt_count + 1)
    if chains:
        for _ in range(structure.dt_count):
            bits.ns(chains)
        for _ in range(len(structure.templates) * chains):
            bits.f(4)
    return chains


def _structure(bits: Bits) -> Structure:
    """template_dependency_structure() of appendix A.8.2."""
    structure = Structure(bits.f(6), bits.f(5) + 1)
    structure.templates = _templates(bits)
    for template in structure.templates:
        template.dtis = [bits.f(2) for _ in range(structure.dt_count)]
    for _ in structure.templates:
        while bits.f(1):
            bits.f(4)
    structure.chains = _chains(bits, structure)
    if bits.f(1):
        for _ in range(structure.templates[-1].spatial + 1):
            width, height = bits.f(16) + 1, bits.f(16) + 1
            # The core's sizes have 16 bits: the largest stands for one more.
            structure.resolutions.append((min(width, 0xFFFF), min(height, 0xFFFF)))
    return structure


def _custom(bits: Bits, flags: list[int], structure: Structure, template: Template) -> list[int]:
    """frame_dtis(), frame_fdiffs() and frame_chains(), where the frame has its own."""
    dtis, differences, chains = flags
    indications = template.dtis
    if dtis:
        indications = [bits.f(2) for _ in range(structure.dt_count)]
    while differences and (size := bits.f(2)):
        bits.f(4 * size)
    for _ in range(structure.chains if chains else 0):
        bits.f(8)
    return indications


class DependencyReader:
    """Keeps the structure between descriptors, as the format asks."""

    def __init__(self) -> None:
        self.structure: Structure | None = None

    def read(self, value: bytes) -> dict[str, object]:
        """dependency_descriptor(sz) of appendix A.8.2, in the words of `sealroute-virtual`."""
        bits = Bits(value)
        start, end, template_id, number = bits.f(1), bits.f(1), bits.f(6), bits.f(16)
        has_structure, has_active, *customs = [bits.f(1) if len(value) > 3 else 0 for _ in range(5)]
        structure = _structure(bits) if has_structure else self.structure
        if structure is None:
            raise ValueError("no structure")
        active = (1 << structure.dt_count) - 1 if has_structure else None
        if has_active:
            active = bits.f(structure.dt_count)
        index = (template_id + 64 - structure.offset) % 64
        if index >= len(structure.templates):
            raise ValueError("no such template")
        template = structure.templates[index]
        dtis = _custom(bits, customs, structure, template)
        self.structure = structure
        brought = {
            "targets": structure.target_layers(),
            "resolutions": [list(size) for size in structure.resolutions],
        }
        return {
            "start": bool(start),
            "end": bool(end),
            "number": number,
            "layer": [template.spatial, template.temporal],
            "indications": "".join("-DSR"[dti] for dti in dtis),
            "active": active,
            "structure": brought if has_structure else None,
        }


def _fields(value: bytes, at: int, width: int, count: int) -> tuple[list[int], int]:
    """Numbers of a few bits, the last byte filled up."""
    size = -(-count * width // 8)
    text = "".join(f"{byte:08b}" for byte in value[at : at + size])
    if len(text) < 8 * size:
        raise ValueError("too short")
    return [int(text[width * i : width * i + width], 2) for i in range(count)], at + size


def _sizes(rest: bytes, count: int) -> list[tuple[list[int] | None, int | None]]:
    """Width, height and frame rate of each layer, or of none."""
    if not rest:
        return [(None, None)] * count
    if len(rest) != 5 * count:
        raise ValueError("sizes of some layers only")
    found: list[tuple[list[int] | None, int | None]] = []
    for at in range(0, len(rest), 5):
        width = int.from_bytes(rest[at : at + 2], "big") + 1
        height = int.from_bytes(rest[at + 2 : at + 4], "big") + 1
        if max(width, height) > 0xFFFF:
            raise ValueError("a size beyond 16 bits")
        found.append(([width, height], rest[at + 4]))
    return found


def read_layers_allocation(value: bytes) -> dict[str, object]:
    """video-layers-allocation00, in the words of `sealroute-virtual`."""
    if not value:
        raise ValueError("too short")
    streams: list[list[list[object] | None]] = [[None] * 4 for _ in range(4)]
    if value == b"\x00":
        return {"stream": 0, "layers": streams}
    stream, count, shared = value[0] >> 6, (value[0] >> 4 & 3) + 1, value[0] & 15
    masks, at = [shared] * count, 1
    if shared == 0:
        masks, at = _fields(value, at, 4, count)
    active = [(s, layer) for s in range(count) for layer in range(4) if masks[s] >> layer & 1]
    temporal, at = _fields(value, at, 2, len(active))
    rates = []
    for layers in temporal:
        for _ in range(layers + 1):
            rate, at = _leb128(value, at)
        rates.append(rate)
    sizes = _sizes(value[at:], len(active))
    for index, (of, layer) in enumerate(active):
        streams[of][layer] = [temporal[index] + 1, rates[index], *sizes[index]]
    return {"stream": stream, "layers": streams}


def _leb128(value: bytes, at: int) -> tuple[int, int]:
    """At most four bytes: more would be more than any link."""
    number = 0
    for index in range(4):
        if at + index >= len(value):
            raise ValueError("too short")
        number += (value[at + index] & 127) << (7 * index)
        if value[at + index] < 128:
            return number, at + index + 1
    raise ValueError("a rate without end")

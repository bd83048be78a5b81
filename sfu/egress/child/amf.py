"""AMF0, in which RTMP writes its commands; pure. What cannot be read is a `ValueError`."""

import struct
from collections.abc import Callable, Mapping

Value = float | bool | str | None | Mapping[str, "Value"]
_NUMBER, _BOOLEAN, _STRING, _OBJECT, _NULL, _UNDEFINED = 0, 1, 2, 3, 5, 6
_ECMA_ARRAY, _END, _STRICT_ARRAY, _DATE = 8, 9, 10, 11
_MAX_DEPTH = 8
_MAX_VALUES = 256
"""A server has a few things to say."""


def encoded(*values: Value) -> bytes:
    return b"".join(_value(value) for value in values)


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return bytes([_BOOLEAN, value])
    if isinstance(value, str):
        return bytes([_STRING]) + _text(value)
    if value is None:
        return bytes([_NULL])
    if isinstance(value, Mapping):
        members = b"".join(_text(name) + _value(one) for name, one in value.items())
        return bytes([_OBJECT]) + members + bytes([0, 0, _END])
    return struct.pack(">Bd", _NUMBER, value)


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > 0xFFFF:
        raise ValueError("the text is too long")
    return len(data).to_bytes(2) + data


def decoded(data: bytes) -> list[Value]:
    """Lists are read and left out: no answer of a server needs them."""
    reader = _Reader(data)
    found: list[Value] = []
    while reader.at < len(data):
        found.append(reader.value(0))
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data
        self._values = 0

    def value(self, depth: int) -> Value:
        self._values += 1
        if depth > _MAX_DEPTH or self._values > _MAX_VALUES:
            raise ValueError("the command is too large")
        kind = self._take(1)[0]
        read = _READERS.get(kind)
        if read is None:
            raise ValueError("the command has a value of an unknown kind")
        return read(self, depth)

    def _number(self, depth: int) -> float:
        del depth
        return float(struct.unpack(">d", self._take(8))[0])

    def _boolean(self, depth: int) -> bool:
        del depth
        return self._take(1) != b"\x00"

    def _string(self, depth: int) -> str:
        del depth
        return self._text()

    def _array(self, depth: int) -> Mapping[str, Value]:
        self._take(4)  # a count, which is a hint
        return self._members(depth)

    def _list(self, depth: int) -> None:
        for _ in range(int.from_bytes(self._take(4))):
            self.value(depth + 1)

    def _date(self, depth: int) -> None:
        del depth
        self._take(10)

    def _nothing(self, depth: int) -> None:
        del depth

    def _members(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while True:
            name = self._text()
            if not name and self._data[self.at : self.at + 1] == bytes([_END]):
                self.at += 1
                return found
            found[name] = self.value(depth + 1)

    def _text(self) -> str:
        return self._take(int.from_bytes(self._take(2))).decode(errors="replace")

    def _take(self, count: int) -> bytes:
        taken = self._data[self.at : self.at + count]
        if len(taken) < count:
            raise ValueError("the command is cut off")
        self.at += count
        return taken


_READERS: Mapping[int, Callable[[_Reader, int], Value]] = {
    _NUMBER: _Reader._number,  # noqa: SLF001 - the table of this class
    _BOOLEAN: _Reader._boolean,  # noqa: SLF001
    _STRING: _Reader._string,  # noqa: SLF001
    _OBJECT: _Reader._members,  # noqa: SLF001
    _NULL: _Reader._nothing,  # noqa: SLF001
    _UNDEFINED: _Reader._nothing,  # noqa: SLF001
    _ECMA_ARRAY: _Reader._array,  # noqa: SLF001
    _STRICT_ARRAY: _Reader._list,  # noqa: SLF001
    _DATE: _Reader._date,  # noqa: SLF001
}

"""SIP messages as text (RFC 3261 sections 7 and 25); pure.

What peers send is hostile until it is read: every size is bounded, and a message that lacks what
each message must have is a `MessageError`. Real peers are read as they are: folded lines, compact
names, host names of any letters and digits, line feeds alone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sfu.egress.sip_uri import (
    MessageError,
    Uri,
    parameters_of,
    split_outside_quotes,
)

MAX_MESSAGE_BYTES = 65_535
MAX_HEADERS = 200
_VERSION = "SIP/2.0"
_COMPACT = {
    "c": "content-type",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "t": "to",
    "v": "via",
}
_REQUIRED = ("via", "from", "to", "call-id", "cseq")
_CSEQ = re.compile(r"(\d{1,10})\s+([A-Z]{1,32})")
_METHOD = re.compile(r"[A-Z]{1,32}")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Address:
    """Of From, To, Contact, Route: a URI with parameters, its display name left out."""

    uri: Uri
    parameters: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Errors: `MessageError`."""
        before, bracket, rest = _unquoted_partition(text, "<")
        if bracket:
            uri, closing, parameters = rest.partition(">")
            if not closing:
                raise MessageError("an address is not closed")
        else:  # parameters are the header's then
            uri, _, parameters = before.partition(";")
            parameters = f";{parameters}"
        return cls(Uri.parse(uri.strip()), parameters_of(parameters))

    @property
    def tag(self) -> str | None:
        return dict(self.parameters).get("tag")


def _unquoted_partition(text: str, letter: str) -> tuple[str, str, str]:
    is_quoted, is_escaped = False, False
    for at, one in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif is_quoted and one == "\\":
            is_escaped = True
        elif one == '"':
            is_quoted = not is_quoted
        elif one == letter and not is_quoted:
            return text[:at], letter, text[at + 1 :]
    return text, "", ""


class Headers:
    """In order; names are compared without case."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._pairs = list(pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def get(self, name: str) -> str | None:
        """The first value."""
        return next(iter(self.lines(name)), None)

    def lines(self, name: str) -> list[str]:
        return [value for one, value in self._pairs if one.lower() == name]

    def items(self, name: str) -> list[str]:
        """Values of all lines, each line split at its commas."""
        return [item for line in self.lines(name) for item in split_outside_quotes(line, ",")]


@dataclass(frozen=True, slots=True)
class Message:
    headers: Headers
    body: bytes = b""

    @property
    def call_id(self) -> str:
        return self.headers.get("call-id") or ""

    @property
    def cseq(self) -> tuple[int, str]:
        found = _CSEQ.fullmatch(self.headers.get("cseq") or "")
        return (int(found[1]), found[2]) if found else (0, "")

    @property
    def branch(self) -> str:
        """Of the topmost Via."""
        via = next(iter(self.headers.items("via")), "")
        return dict(parameters_of(via.partition(";")[2])).get("branch") or ""

    def tag_of(self, name: str) -> str | None:
        """Of From or To."""
        return Address.parse(self.headers.get(name) or "").tag

    def contact(self) -> Uri | None:
        """Where the peer is reached."""
        for item in self.headers.items("contact"):
            try:
                return Address.parse(item).uri
            except MessageError:
                continue
        return None


@dataclass(frozen=True, slots=True)
class Request(Message):
    method: str = field(kw_only=True)
    uri: str = field(kw_only=True)

    def encode(self) -> bytes:
        return _encoded(f"{self.method} {self.uri} {_VERSION}", self)


@dataclass(frozen=True, slots=True)
class Response(Message):
    status: int = field(kw_only=True)
    reason: str = field(default="", kw_only=True)

    def encode(self) -> bytes:
        return _encoded(f"{_VERSION} {self.status} {self.reason}", self)


def _encoded(first: str, message: Message) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in message.headers)]
    lines.append(f"Content-Length: {len(message.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + message.body


def parse(data: bytes) -> Request | Response:
    """A whole message. What follows its body is ignored. Errors: `MessageError`."""
    found = _END_OF_HEADERS.search(data)
    if found is None or len(data) > MAX_MESSAGE_BYTES:
        raise MessageError("not a SIP message")
    first, headers = _parsed_head(data[: found.start()])
    length = content_length(headers)
    body = data[found.end() :]
    if length is not None:
        if length > len(body):
            raise MessageError("a body is cut off")
        body = body[:length]
    return _message(first, headers, body)


def _parsed_head(head: bytes) -> tuple[str, Headers]:
    lines = head.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", " ").split("\n")
    pairs: list[tuple[str, str]] = []
    for line in lines[1:]:
        if line[:1] in (" ", "\t") and pairs:
            name, value = pairs[-1]
            pairs[-1] = (name, f"{value} {line.strip()}")
            continue
        name, separator, value = line.partition(":")
        name = name.strip()
        if not separator or not name or len(pairs) >= MAX_HEADERS:
            raise MessageError("not a header")
        pairs.append((_COMPACT.get(name.lower(), name), value.strip()))
    return lines[0], Headers(pairs)


def _message(first: str, headers: Headers, body: bytes) -> Request | Response:
    message: Request | Response
    one, _, rest = first.partition(" ")
    two, _, three = rest.partition(" ")
    if one == _VERSION:
        if not re.fullmatch(r"[1-6]\d\d", two, re.ASCII):
            raise MessageError("no such status")
        message = Response(headers, body, status=int(two), reason=three.strip())
    elif three.strip() == _VERSION and _METHOD.fullmatch(one):
        message = Request(headers, body, method=one, uri=two)
    else:
        raise MessageError("neither a request nor a response")
    if any(headers.get(name) is None for name in _REQUIRED) or message.cseq == (0, ""):
        raise MessageError("a header is missing")
    if not message.branch and isinstance(message, Response):
        raise MessageError("no transaction")
    for name in ("from", "to"):
        message.tag_of(name)
    return message


def content_length(headers: Headers) -> int | None:
    """Errors: `MessageError`."""
    text = headers.get("content-length")
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise MessageError("no length")
    return int(text)


class MessageStream:
    """Messages of a TCP or TLS connection (RFC 3261 section 18.3)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete. Errors: `MessageError`; the connection is of no use
        then."""
        self._buffer += data
        found: list[bytes] = []
        while True:
            while self._buffer.startswith((b"\r", b"\n")):  # between messages, to keep it open
                del self._buffer[:1]
            end = _END_OF_HEADERS.search(self._buffer)
            if end is None:
                break
            _, headers = _parsed_head(bytes(self._buffer[: end.start()]))
            length = end.end() + (content_length(headers) or 0)
            if length > MAX_MESSAGE_BYTES:
                raise MessageError("a message is too long")
            if len(self._buffer) < length:
                break
            found.append(bytes(self._buffer[:length]))
            del self._buffer[:length]
        if len(self._buffer) > MAX_MESSAGE_BYTES:
            raise MessageError("a message is too long")
        return found

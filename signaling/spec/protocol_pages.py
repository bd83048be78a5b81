"""The pages of `docs/protocol/`, from the table of messages and the table of errors.

`python -m signaling.spec.protocol_pages FOLDER` writes them.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as shape

from config.settings import SignalingSettings
from signaling.domain import intake, signals
from signaling.domain.errors import ERRORS, ERRORS_BY_REQUEST, FLOOD, ErrorCode, sdk_error
from signaling.protocol import codec
from signaling.protocol.messages import (
    E2EE_FORMAT,
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
    Message,
)
from signaling.protocol.shapes import (
    CLIENT_MESSAGES,
    SERVER_MESSAGES,
    all_structs,
    is_message,
    struct_of,
)
from signaling.spec.client_rules import ANSWERS

_DEFAULTS = SignalingSettings()


def _limits() -> str:
    rows = [
        ("bytes of a message", f"{codec.MAX_MESSAGE_BYTES:,}", "message_too_large"),
        ("bytes of the first message", f"{codec.MAX_FIRST_MESSAGE_BYTES:,}", "message_too_large"),
        ("values and names in a message", f"{codec.MAX_VALUES:,}", "invalid_message"),
        ("levels of nesting", codec.MAX_DEPTH, "invalid_message"),
        ("items of an array", f"{codec.MAX_ARRAY_ITEMS:,}", "invalid_message"),
        ("members of a map", codec.MAX_MAP_MEMBERS, "invalid_message"),
        ("integers, either sign", f"{codec.MAX_INTEGER:,}", "invalid_message"),
        ("members named like a secret, anywhere", 0, "secret_refused"),
        ("bytes of a signal's type", signals.MAX_TYPE_BYTES, "signal_too_long"),
        ("bytes of a signal's data", f"{signals.MAX_DATA_BYTES:,}", "signal_too_long"),
        ("bytes of an encrypted signal", f"{signals.MAX_ENCRYPTED_BYTES:,}", "signal_too_long"),
        ("messages of one client per second *", f"{_DEFAULTS.messages_per_s:g}", "rate_limited"),
        ("messages of one client at once *", _DEFAULTS.message_burst, "rate_limited"),
        ("bytes of one client per second *", f"{_DEFAULTS.bytes_per_s:,}", "rate_limited"),
        ("bytes of one client at once *", f"{_DEFAULTS.byte_burst:,}", "rate_limited"),
        (
            "bytes to others, by one client, per second *",
            f"{_DEFAULTS.fan_out_bytes_per_s:,}",
            "rate_limited",
        ),
        ("bytes to others at once *", f"{_DEFAULTS.fan_out_burst:,}", "rate_limited"),
        ("refusals of one client at once", f"{intake.PATIENCE:g}", "message_flood"),
        ("joins with one token per minute *", _DEFAULTS.joins_per_token_per_min, "rate_limited"),
        ("resumes of one connection at once", f"{intake.RESUMES_AT_ONCE:g}", "overloaded"),
        ("resumes of one connection per second", f"{intake.RESUMES_PER_S:g}", "overloaded"),
        ("joins into a session per second *", f"{_DEFAULTS.joins_per_s:g}", "rate_limited"),
        ("connections in a session *", _DEFAULTS.connections_per_session, "connection_limit"),
        ("streams of one client *", _DEFAULTS.streams_per_connection, "stream_limit"),
        ("subscribers of one client *", _DEFAULTS.subscribers_per_connection, "subscriber_limit"),
    ]
    return "".join(f"| {what} | {limit} | `{code}` |\n" for what, limit, code in rows)


_GENERATED = """\
<!-- Generated from signaling/protocol/ and signaling/domain/errors.py: edit those, `make docs`. -->
"""

_INTRODUCTION = f"""\
# The signaling protocol, version 2

{_GENERATED}
A client uses this protocol to join a session, publish, subscribe, send signals and moderate. No
media and no key passes here: media flows over the peer connections that the messages negotiate,
and encryption secrets stay in the clients (see [e2ee.md](../e2ee.md)).

| page | contents |
|---|---|
| this page | transport, requests and answers, resuming, media, limits |
| [Requests](requests.md) | each message of a client, and its answer |
| [Messages of the server](server-messages.md) | answers and events |
| [Parts of messages](parts.md) | types that several messages share |
| [Errors and close codes](errors.md) | what the server refuses, and what a client does then |

## Transport

`GET /v1/signal` opens a WebSocket (RFC 6455). The subprotocol names version and encoding;
the server refuses an upgrade that names neither of these two (`upgrade_invalid`), so a client of
another version gets no WebSocket:

| subprotocol | one message is | byte strings |
|---|---|---|
| `{SUBPROTOCOL_MSGPACK}` | a binary frame with one MessagePack map | `bin` |
| `{SUBPROTOCOL_JSON}` | a text frame with one JSON object, for debugging | base64 |

A message is a map. Its member `t` names the message; the other members are in the tables of the
following pages, in camelCase. An unknown member of a message is an error. An unknown member of a
part is ignored, so that parts can grow. An absent member has the default of its table. Messages
have no compression, no extension types and no duplicate members.

## Requests and answers

- The first message is `hello`, within {_DEFAULTS.hello_timeout_ms:,} ms. The answer is `welcome`.
  If the server refuses, the answer is `error`, and the WebSocket ends with the close code of the
  error table.
- Every message of a client is a request and carries a sequence number `id` that the client chooses
  (0 to 2^31-1; count up). The server answers each request with exactly one message whose `re` is
  that number: `error`, or the message that the table of requests names.
- The server does not read messages far beyond the rate limits. Their `error` has no `re`, and a
  client that continues is disconnected (`message_flood`).
- Messages of the server without `re` are events. They arrive in the order in which things happen.
- A client may have many requests outstanding.

## Keep-alive and resuming

- The client sends `ping` every `keepAliveMs` of `welcome` ({_DEFAULTS.keep_alive_ms:,} unless
  configured). After 2.5 silent intervals, either side treats the WebSocket as lost. Before that,
  after 1.5, the server sends a WebSocket ping frame (RFC 6455 section 5.5.2): a client whose
  WebSocket answers it is not silent, however busy its program is.
- A client that loses its WebSocket stays in the session for `graceMs`
  ({_DEFAULTS.grace_ms:,} unless configured), and its media continues. It opens a new WebSocket and
  sends `hello` with the `resume` of its last `welcome`. Each `resume` works until the client sends
  a message over the new WebSocket: if the new `welcome` is lost as well, the client tries again.
  An attempt with a lower `id` than that of a later one is refused: the client gave it up.
- `welcome` with `resumed` true has the current state of the session and a new `resume`. Missed
  signals, answers and mutes follow, and so does an unanswered `downlinkOffer`.
- If the connection no longer exists, the server refuses (`resume_unknown`) and no other client is
  notified. The client then joins, publishes and subscribes again.
- A WebSocket can be dead for seconds before either side notices. `received` of `hello` counts the
  messages that arrived over the last WebSocket after its `welcome`; the server sends the later ones
  again. Requests after `lastRequest` of `welcome` did not arrive: the client sends them again.
- `bye` leaves at once: the others get `connectionDestroyed` with the reason `clientDisconnected`.
  After the grace time the reason is `networkDisconnected`.

## Media

- Uplink: the client offers (`publish`) and the server answers (`published`). The offer of a later
  stream contains the m-lines of the earlier ones. `streamCreated` notifies every client, including
  the publisher, when media can flow.
- Downlink: after `subscribe` the server offers (`downlinkOffer`) and the client answers with the
  same `offerId` (`downlinkAnswer`). The server waits for the answer before its next offer.
- In an end-to-end encrypted session, `e2ee.formats` of `hello` must contain `"{E2EE_FORMAT}"`. A
  `publish` must have `e2eeFormat` `"{E2EE_FORMAT}"` and key ids (`kids`) for every track. The
  server drops packets of frames that are not encrypted under a declared key (`notEncrypted`).

## Limits

| what | limit | error |
|---|---|---|
{_limits()}
\\* unless configured otherwise, in the section `signaling` of the settings.
"""

_REQUESTS = f"""\
# Requests

{_GENERATED}
Members named `id` (of requests) and `re` (of answers) are left out of the tables.

| request | answered by |
|---|---|
"""


_ERRORS = f"""\
# Errors and close codes

{_GENERATED}
## Errors

`code` is stable and for programs; `message` is for people and may change. The SDKs raise `name` and
`number`. The close code ends the WebSocket when a `hello` fails. A later error leaves the WebSocket
open, unless the client keeps breaking the rules.

| code | name | number | close code | message |
|---|---|---|---|---|
"""

_ENDS = f"""
## Close codes

"Ends": the client reports the end to the application and does not reconnect by itself.
"Comes back": the client resumes its connection. If the server does not know the connection any
more, the Python client joins again; the browser client ends with `networkDisconnected`, and the
application decides.

| code | meaning | the client |
|---|---|---|
| 1000 | after `bye`, and after `disconnected` with the reason `clientDisconnected` | ends |
| 1009 | a frame is larger than a message may be | ends |
| 1011 | the server failed | comes back |
| 1012 | after `disconnected` with the reason `serverShutdown` | comes back, as another connection |
| 4000 + status | `hello` failed: the code of the error table | see the code |
| 4400 | also after 20 invalid messages | ends |
| 4403 | after `disconnected` with the reason `forceDisconnected` | ends |
| {FLOOD} | kept sending beyond the rate limits (`message_flood`): the connection is gone | ends |
| 4408 | silent, or resumed on another WebSocket (`networkDisconnected`) | comes back |
| none | a client that does not read its messages is dropped | comes back |
"""

_LAST_CLIENT_CODE = ErrorCode.TRANSPORT_CLOSED


def pages() -> dict[str, str]:
    """The text of each page, by its file name."""
    return {
        "index.md": _INTRODUCTION,
        "requests.md": "".join(
            [_REQUESTS, _request_table(), *(_section(struct_of(cls)) for cls in CLIENT_MESSAGES)]
        ),
        "server-messages.md": "".join(
            [
                f"# Messages of the server\n\n{_GENERATED}",
                *(_section(struct_of(cls)) for cls in SERVER_MESSAGES),
            ]
        ),
        "parts.md": "".join(
            [f"# Parts of messages\n\n{_GENERATED}", *(_section(struct) for struct in _PARTS)]
        ),
        "errors.md": "".join(
            [_ERRORS, *(_error_line(code) for code in _client_codes()), _by_request(), _ENDS]
        ),
    }


def write(folder: Path) -> None:
    """Writes the pages to `folder` and removes others."""
    texts = pages()
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _request_table() -> str:
    return "".join(
        f"| {_link(_tag(cls))} | {_link(ANSWERS.get(_tag(cls), 'ok'))} |\n"
        for cls in CLIENT_MESSAGES
    )


_PARTS = [struct for struct in all_structs() if not is_message(struct)]


def _tag(cls: type[Message]) -> str:
    return str(struct_of(cls).tag)


def _title(struct: shape.StructType) -> str:
    return str(struct.tag if is_message(struct) else struct.cls.__name__)


def _link(title: str) -> str:
    return f"[`{title}`]({_PAGE_OF[title]}#{title.lower()})"


def _section(struct: shape.StructType) -> str:
    lines = [f"\n## {_title(struct)}\n\n{_prose(struct)}\n"]
    fields = [field for field in struct.fields if field.name not in {"id", "re"}]
    if not fields:
        return "".join(lines)
    lines.append("\n| member | type | default |\n|---|---|---|\n")
    lines.extend(
        f"| `{field.encode_name}` | {_type(field.type)} | {_default(field)} |\n" for field in fields
    )
    return "".join(lines)


def _prose(struct: shape.StructType) -> str:
    """The docstring, with names as on the wire."""
    text = inspect.getdoc(struct.cls)
    if not text:
        raise TypeError(f"{struct.cls.__name__} is not documented")
    return re.sub(r"`([A-Za-z][A-Za-z_]*)`", lambda found: f"`{_wire_name(found[1])}`", text)


def _wire_name(name: str) -> str:
    if name in _TITLES:
        return _TITLES[name]
    head, *tail = name.rstrip("_").split("_")
    return head + "".join(word.capitalize() for word in tail)


_PAGE_OF = {
    **{_tag(cls): "requests.md" for cls in CLIENT_MESSAGES},
    **{_tag(cls): "server-messages.md" for cls in SERVER_MESSAGES},
    **{_title(struct): "parts.md" for struct in _PARTS},
}
_TITLES = {struct.cls.__name__: _title(struct) for struct in all_structs()}


def _default(field: shape.Field) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT:
        if field.default_factory is msgspec.NODEFAULT:
            return "unchanged"
        value = field.default_factory()
    text = msgspec.json.encode(value).decode()
    return f"`{text}`"


def _range(low: int | None, high: int | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if low == high:
        return f", {low:,} {unit}"
    if low is None:
        return f", at most {high:,} {unit}"
    return f", {low:,} to {high:,} {unit}"


def _number(word: str) -> Callable[[Any], str]:
    def words(type_: Any) -> str:  # noqa: ANN401 - chosen by type in the table below
        high = type_.le if type_.lt is None else type_.lt - 1
        return word + _range(type_.ge, high, "").rstrip()

    return words


def _sized(word: str, unit: str) -> Callable[[Any], str]:
    return lambda t: word + _range(t.min_length, t.max_length, unit)


def _tuple(type_: Any) -> str:  # noqa: ANN401 - as above
    count = _range(type_.min_length, type_.max_length, "items")
    return f"array of ({_type(type_.item_type)}){count}"


def _any_of(options: Iterable[Any]) -> str:
    return " or ".join(_type(option) for option in options)


_WORDS: dict[type[shape.Type], Callable[[Any], str]] = {
    shape.BoolType: lambda _: "boolean",
    shape.IntType: _number("integer"),
    shape.FloatType: _number("number"),
    shape.StrType: _sized("text", "characters"),
    shape.BytesType: _sized("byte string", "bytes"),
    shape.NoneType: lambda _: "null",
    shape.StructType: lambda t: _link(t.cls.__name__),
    shape.LiteralType: lambda t: ", ".join(f'`"{value}"`' for value in t.values),
    shape.VarTupleType: _tuple,
    shape.UnionType: lambda t: _any_of(t.types),
    shape.DictType: lambda t: f"map of ({_type(t.key_type)}) to ({_type(t.value_type)})",
}


def _type(type_: shape.Type) -> str:
    return _WORDS[type(type_)](type_)


def _client_codes() -> Iterable[ErrorCode]:
    """The codes that the WebSocket can answer; the others are for REST only."""
    codes = list(ErrorCode)
    return codes[: codes.index(_LAST_CLIENT_CODE) + 1]


def _error_line(code: ErrorCode) -> str:
    row, (name, number) = ERRORS[code], sdk_error(code)
    return f"| `{code.value}` | `{name}` | {number} | {row.close_code} | {code.message} |\n"


def _by_request() -> str:
    lines = [
        "\nSome failures have a different name for these requests:\n\n",
        "| code | request | name | number |\n|---|---|---|---|\n",
    ]
    for (code, tag), (name, number) in ERRORS_BY_REQUEST.items():
        lines.append(f"| `{code.value}` | {_link(tag)} | `{name}` | {number} |\n")
    return "".join(lines)


if __name__ == "__main__":
    write(Path(sys.argv[1]))

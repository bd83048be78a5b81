"""What nodes say to each other over a link: one table, from which docs/links.md is made.

A link has a direction: who opened it is the *gate*, at which clients' WebSockets end; the other end
is the *home*, where their sessions are. `client` is the number of a client's WebSocket, which the
gate gives and which means something on this link alone. `e` is the epoch of the session's home, as
the gate learned it or the home holds it. Members that a node does not know are ignored.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

PROTOCOL: Final = 1
"""The newest version of this table that this release speaks, and the oldest."""
MAX_FRAME_BYTES = 1_000_000
"""Of a client's message, or of messages to clients: an envelope has room for the rest."""
MAX_RECEIVERS = 4_000

Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Client = Annotated[int, Meta(ge=1, le=2**53 - 1, description="The client's number on this link")]
Epoch = Annotated[int, Meta(ge=0, le=2**62, description="The epoch of the session's home")]
Frame = Annotated[bytes, Meta(max_length=MAX_FRAME_BYTES)]
Text = Annotated[str, Meta(max_length=255)]


class LinkMessage(msgspec.Struct, tag_field="k", omit_defaults=True, kw_only=True):
    """An envelope. Its member `k` names its kind."""


class Hello(LinkMessage, tag="hello"):
    """Gate and home: the first message of either. `incarnation` is that of the row which has the
    certificate that this end showed; `proto` the version that it speaks."""

    node: Text
    incarnation: Epoch
    release: Text
    proto: Number


class Ping(LinkMessage, tag="ping"):
    """Either: once a second. A link without a message for two seconds is lost."""


class Join(LinkMessage, tag="join"):
    """Gate: a client's `hello`, also one that resumes. The home verifies its token again. `s` is
    the session, `json` the client's encoding, `origin` that of its page."""

    id: Number
    client: Client
    s: Text
    e: Epoch
    hello: Frame
    json: bool = False
    origin: Annotated[str, Meta(max_length=2_048)] | None = None


class Joined(LinkMessage, tag="joined"):
    """Home: the client's connection is here; its `welcome` came before, as `deliver`."""

    re: Number


class Refused(LinkMessage, tag="refused"):
    """Home: the client may not join, or the gate asked the wrong node (`home_away`). `e`: the
    highest epoch of the session that this node has seen, if it is higher."""

    re: Number
    code: Text
    message: Annotated[str, Meta(max_length=1_024)] = ""
    e: Epoch = 0


class Request(LinkMessage, tag="request"):
    """Gate: a message of a client that has joined, as the client sent it."""

    client: Client
    e: Epoch
    frame: Frame


class Answer(LinkMessage, tag="answer"):
    """Gate: an error that it has for the client, in order with the home's messages. `frame` is an
    `error` of the client protocol, in msgpack."""

    client: Client
    e: Epoch
    frame: Frame


class Detached(LinkMessage, tag="detached"):
    """Gate: the client's WebSocket is gone. Its connection stays for the grace time."""

    client: Client


class Expel(LinkMessage, tag="expel"):
    """Gate: the client floods it; its connection ends at once."""

    client: Client
    e: Epoch


class Deliver(LinkMessage, tag="deliver"):
    """Home: bytes for the WebSockets of these clients, who have the same encoding: `count` frames
    of RFC 6455. `more`: the rest of them follows, for these alone. `signal`: of a kind that clients
    send to each other without end."""

    to: Annotated[tuple[Client, ...], Meta(min_length=1, max_length=MAX_RECEIVERS)]
    e: Epoch
    frame: Frame
    count: Number = 1
    more: bool = False
    signal: bool = False


class Close(LinkMessage, tag="close"):
    """Home: the client's connection has ended, for a reason of the client protocol."""

    client: Client
    e: Epoch
    reason: Text


class Charged(LinkMessage, tag="charged"):
    """Home: it refused a request of the client for its rate; the gate counts such."""

    client: Client


FROM_GATE: Final = (Hello, Ping, Join, Request, Answer, Detached, Expel)
FROM_HOME: Final = (Hello, Ping, Joined, Refused, Deliver, Close, Charged)
MESSAGES: Final = tuple(dict.fromkeys((*FROM_GATE, *FROM_HOME)))

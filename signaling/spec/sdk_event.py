"""What a row of the table of SDK events says."""

from dataclasses import dataclass
from typing import Literal

Target = Literal["Session", "Publisher", "Subscriber"]


@dataclass(frozen=True, slots=True)
class Member:
    """A field of an event in Python."""

    name: str
    type: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class PythonEvent:
    """An event's class in the Python SDK. Several targets may share it."""

    cls: str
    members: tuple[Member, ...] = ()
    about: str | None = None


@dataclass(frozen=True, slots=True)
class SdkEvent:
    """`web`: what its event has in the browser SDK, as TypeScript. None: that SDK has no such
    event. `relays`: the server's message that it repeats. `clear_only`: in an end-to-end encrypted
    session the message cannot be true, and the user is told so in the place of the event."""

    target: Target
    name: str
    web: str | None = None
    python: PythonEvent | None = None
    web_about: str | None = None
    relays: str | None = None
    clear_only: bool = False

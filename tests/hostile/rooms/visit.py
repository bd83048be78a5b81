"""People in a room, what they see, and what must never be."""

import asyncio
import base64
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.hostile.call import until
from tests.hostile.drivers.remote import Remote
from tests.hostile.lie import Lie, Message
from tests.hostile.member import Member
from tests.hostile.rooms.server import PageServer

SCRIPT = Path(__file__).parents[1] / "drivers" / "rooms.mjs"
SECRET = "canary secret of the link"
PATIENCE_S = 90.0
"""Slow is no failure on a machine that other tests slow down; never is."""
LOOK_S = 0.15
MAX_SHOWN_CHARS = 64
"""A name in the page, and what stands around it."""
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"

_numbers = itertools.count(1)


@dataclass(slots=True)
class Visitor:
    """One page. `seen`: what it showed at the newest look."""

    remote: Remote
    name: str
    number: int = field(default_factory=lambda: next(_numbers))
    seen: dict[str, Any] = field(default_factory=dict)

    async def look(self) -> dict[str, Any]:
        self.seen = await self.remote.ask("look", self.number)
        return self.seen

    async def press(self, selector: str) -> None:
        await self.remote.ask("press", self.number, selector)

    async def evaluate(self, script: str) -> Any:
        return await self.remote.ask("evaluate", self.number, script)

    async def write(self, text: str) -> None:
        await self.remote.ask("fill", self.number, "#message", text)
        await self.remote.ask("submit", self.number, "#chat-form")

    async def enter(self) -> None:
        await self.remote.ask("fill", self.number, "#name", self.name)
        await self.remote.ask("submit", self.number, "#join-form")

    async def until(self, holds: Callable[[dict[str, Any]], object], what: str) -> None:
        """Errors: AssertionError, with what did not come and what stands there instead."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds(await self.look()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} does not see {what}, but {self.shown()}")
            await asyncio.sleep(LOOK_S)

    def shown(self) -> dict[str, Any]:
        hidden = ("asked", "store", "faults")
        return {key: value for key, value in self.seen.items() if key not in hidden}

    def tile(self, name: str) -> dict[str, Any]:
        """Errors: StopIteration where nobody has this name."""
        return next(tile for tile in self.seen["tiles"] if tile["name"] == name)

    @property
    def said(self) -> str:
        return "\n".join(self.seen["noted"]["said"])


class Visit:
    """A room and who is in it."""

    def __init__(self, server: PageServer, remote: Remote, lie: Lie) -> None:
        self.server, self.remote = server, remote
        self.room = server.open_page(lie)
        self.visitors: list[Visitor] = []

    async def person(self, name: str) -> Visitor:
        """In the lobby."""
        visitor = Visitor(self.remote, name)
        link = f"{self.server.page_url}/?room={self.room.session_id}#{quote(SECRET)}"
        await self.remote.ask("open", visitor.number, link)
        self.visitors.append(visitor)
        return visitor

    async def join(self, name: str) -> Visitor:
        """In the call, and encrypted."""
        visitor = await self.person(name)
        await visitor.enter()
        await visitor.until(lambda seen: seen["mood"] == "encrypted", "that it is encrypted")
        return visitor

    async def two(self) -> tuple[Visitor, Visitor]:
        """An honest call of two who see each other, encrypted."""
        ada, bob = await self.join("Ada"), await self.join("Bob")
        for one, other in ((ada, bob), (bob, ada)):
            await one.until(lambda seen, o=other: sees(seen, o.name), f"{other.name}, encrypted")
        return ada, bob

    def member(self, visitor: Visitor) -> Member:
        """The server's view of a page's newest connection."""
        named = [m for m in self.room.everybody if f'"{visitor.name}"' in m.info()["data"]]
        return named[-1]

    async def invent(self, to: Member, connection_id: str, data: str) -> None:
        """Somebody who is not there."""
        told = {"connectionId": connection_id, "creationTime": 1, "data": data}
        to.write({"t": "connectionCreated", "connection": told})

    async def settle(self, visitor: Visitor) -> None:
        """Returns once the page has read all that its server said before."""
        name = f"Witness {next(_numbers)}"
        await self.invent(self.member(visitor), name, f'{{"name":"{name}"}}')
        await visitor.until(lambda seen: f"{name} joined" in str(seen["noted"]["said"]), name)
        gone = told("connectionDestroyed", connectionId=name, reason="clientDisconnected")
        self.member(visitor).write(gone)

    async def cut(self, visitor: Visitor, code: int, words: bytes = b"") -> Member:
        """Closes the WebSocket of a page, and returns whom it belonged to."""
        member = self.member(visitor)
        if member.socket is None:
            raise AssertionError(f"{visitor.name} is not connected")
        await member.socket.close(code=code, message=words)
        self.room.lied("close")
        return member

    # --- verdict -----------------------------------------------------------------------------

    async def faults(self) -> list[str]:
        """What must never be, whatever the server does."""
        found = []
        for member in self.room.everybody:
            leaks = member.judge.verdict()
            found += [f"{len(leaks)} leaks on the wire, the first: {leaks[0]}"] if leaks else []
        for visitor in self.visitors:
            seen = await visitor.look()
            found += [f"{visitor.name}: {fault}" for fault in self._faults_of(seen)]
        found += [f"the server has the secret: {one[:200]!r}" for one in self._given_away()]
        return found

    def _faults_of(self, seen: dict[str, Any]) -> list[str]:
        found = [f"an error that nobody caught: {fault}" for fault in seen["faults"]]
        found += [f"a dialog: {one}" for one in seen["noted"]["dialogs"]]
        found += [f"asked of another server: {u}" for u in seen["asked"] if not self._is_ours(u)]
        found += [f"the page keeps the secret: {seen['store']}"] if holds(seen["store"]) else []
        if seen["strange"]:
            found.append(f"{seen['strange']} elements that texts of others made")
        shown = repr([seen["tiles"], seen["participants"], seen["messages"], seen["noted"]])
        found += (
            [f"a text turns the direction of others: {shown}"] if set(shown) & set(BIDI) else []
        )
        found += [f"a name of {len(one)} characters" for one in _long_names(seen)]
        return found

    def _is_ours(self, url: str) -> bool:
        return url.startswith((self.server.page_url, "blob:", "data:"))

    def _given_away(self) -> list[bytes]:
        return [one for one in self.server.heard if holds(one)]

    async def close(self) -> None:
        for visitor in self.visitors:
            await self.remote.ask("close", visitor.number)
        await self.room.close()


def sees(seen: dict[str, Any], name: str) -> bool:
    return any(
        tile["name"] == name and tile["encryption"] == "encrypted" and tile["isPlaying"]
        for tile in seen["tiles"]
    )


def holds(text: bytes | str) -> bool:
    """Whether the secret is in a text, as people would write or send it."""
    data = text.encode() if isinstance(text, str) else text
    plain = SECRET.encode()
    shapes = (plain, quote(SECRET).encode(), SECRET.replace(" ", "+").encode())
    return any(one in data for one in (*shapes, base64.b64encode(plain).rstrip(b"=")[:-1]))


def _long_names(seen: dict[str, Any]) -> list[str]:
    names = [tile["name"] for tile in seen["tiles"]]
    return [name for name in names if len(name) > MAX_SHOWN_CHARS]


def told(kind: str, **members: Any) -> Message:
    return {"t": kind, **members}


__all__ = ["SECRET", "Visit", "Visitor", "sees", "told", "until"]

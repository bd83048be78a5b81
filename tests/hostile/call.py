"""A call between real clients over the hostile server, and what is judged of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from tests.hostile import content, passed, seeing
from tests.hostile.content import ADA, BOB, Person, Seen
from tests.hostile.lie import Lie
from tests.hostile.member import Member
from tests.hostile.passed import Passed
from tests.hostile.server import HostileServer
from tests.hostile.tracks import DownLine, Stream, UpTrack

SECRET = "correct horse battery"
NEW_SECRET = "staple that was not in it"
PATIENCE_S = 10.0
AFTER_S = 6.0
"""How long a call may take to go on after a lie, or its users to hear why it does not."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as an application sees it. `code`: of the Python SDK; of the browser's its name,
    which begins with OT_."""

    code: str
    words: str


class Client(Protocol):
    """What a driver gives: one client in one session, and what its user heard and saw."""

    kind: str
    person: Person
    codec: str
    """In which it sends video."""
    told: list[str]
    problems: list[Problem]
    uncoded: list[str]
    """Errors without a code of the product: nobody can act on them."""
    signals: list[dict[str, Any]]
    played: dict[str, list[Seen]]
    heard: dict[str, list[Seen]]
    passed: list[Passed]
    changed_s: float
    """When the newest promise of a new secret resolved."""
    streams: list[str]

    async def connect(self) -> bool: ...
    async def publish(self) -> str | None: ...
    async def unpublish(self) -> None: ...
    async def set_secret(self, secret: str, *, immediate: bool = False) -> None: ...
    async def signal(self, data: str, to: str | None = None) -> None: ...
    async def mute(self, muted: bool) -> None: ...
    async def unsubscribe(self, stream_id: str) -> None: ...
    async def prefer_size(self, stream_id: str, width: int, height: int) -> None: ...
    async def doubt(self) -> None: ...
    async def code(self) -> str: ...
    async def is_encrypted(self) -> bool: ...
    async def close(self) -> None: ...


class Driver(Protocol):
    """Makes clients of one kind."""

    kind: str

    async def client(self, url: str, token: str, secret: str | None, person: Person) -> Client: ...
    async def close(self) -> None: ...


async def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Errors: AssertionError, with what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about in {seconds:.0f} s")
        await asyncio.sleep(0.03)


class Call:
    """Ada publishes, Bob watches. `mark`: what counts as after the lie begins there."""

    def __init__(self, server: HostileServer, driver: Driver, lie: Lie, codec: str = "vp8") -> None:
        self.server, self.driver, self.kind = server, driver, driver.kind
        self.room = server.open(lie, codec)
        self.clients: list[Client] = []
        self.stream_id = ""
        self._given_up: list[tuple[Client, int, bool]] = []
        self._told: dict[int, int] = {}
        self._problems: dict[int, int] = {}

    # --- people ----------------------------------------------------------------------------

    async def person(self, who: Person, secret: str | None = SECRET) -> Client:
        client = await self.driver.client(
            self.server.url + self.room.path, self.room.token, secret, who
        )
        client.codec = self.room.video_codec
        self.clients.append(client)
        return client

    async def join(self, who: Person) -> Client:
        client = await self.person(who, None if self.room.is_clear else SECRET)
        if not await client.connect():
            raise AssertionError(f"{who.name} could not join: {client.told}")
        return client

    @property
    def ada(self) -> Client:
        return self.clients[0]

    @property
    def bob(self) -> Client:
        return self.clients[1]

    def member(self, client: Client) -> Member:
        """The server's view of a client: it joined as the n-th."""
        return self.room.everybody[self.clients.index(client)]

    async def live(self) -> None:
        """An honest call is up: Bob sees and hears Ada."""
        await self.join(ADA)
        await self.join(BOB)
        self.stream_id = await self.ada.publish() or ""
        await until(lambda: self.sees(self.bob, self.stream_id, 4), "the honest call")
        await until(lambda: self.hears(self.bob, self.stream_id, 4), "the honest call's audio")
        self.mark()

    def mark(self) -> None:
        self._told = {id(client): len(client.told) for client in self.clients}
        self._problems = {id(client): len(client.problems) for client in self.clients}

    def gives_up(self, client: Client, hint: int, *, at_switch: bool = False) -> None:
        """No frame may be encrypted under this secret after the promise of the new one resolved;
        `at_switch`: after the track's first frame under another. Frames that were encrypted before
        may still be on their way: the judge knows them by the tap."""
        self._given_up.append((client, hint, at_switch))

    # --- what the server has ---------------------------------------------------------------

    @property
    def stream(self) -> Stream:
        return self.room.streams[self.stream_id]

    def track(self, kind: str) -> UpTrack:
        return self.stream.tracks[kind]

    def line(self, kind: str) -> DownLine:
        """Bob's m-line of Ada's stream."""
        lines = self.member(self.bob).lines
        return next(line for line in lines if line.kind == kind and line.stream_id)

    # --- what people have seen -------------------------------------------------------------

    def sees(self, client: Client, stream_id: str, count: int, since_s: float = 0.0) -> bool:
        """New frames: one that stays on the screen is looked at again and again."""
        seen = client.played.get(stream_id, [])
        before = {one.number for one in seen if one.at_s <= since_s}
        since = {one.number for one in seen if one.at_s > since_s and one.number is not None}
        return len(since - before) >= count

    def hears(self, client: Client, stream_id: str, count: int, since_s: float = 0.0) -> bool:
        """Single tones; what is lost is none."""
        heard = client.heard.get(stream_id, [])
        return len([one for one in heard if one.number is not None and one.at_s > since_s]) >= count

    def told(self, client: Client) -> list[str]:
        """What a user heard since the mark."""
        return list(client.told[self._told.get(id(client), 0) :])

    def problems(self, client: Client) -> list[Problem]:
        """What went wrong for a user since the mark."""
        return list(client.problems[self._problems.get(id(client), 0) :])

    def told_all(self) -> list[str]:
        return [name for client in self.clients for name in self.told(client)]

    async def goes_on(self, seconds: float = AFTER_S, *, has_audio: bool = True) -> bool:
        """Bob sees Ada's video again, made after now, and hears her."""
        since_s = time.monotonic()

        def has_come() -> bool:
            sees = self.sees(self.bob, self.stream_id, 3, since_s)
            return sees and (not has_audio or self.hears(self.bob, self.stream_id, 3, since_s))

        try:
            await until(has_come, "", seconds)
        except AssertionError:
            return False
        return True

    # --- verdict ---------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """What must never be, whatever the server does."""
        found = []
        for member in () if self.room.is_clear else self.room.everybody:
            leaks = member.judge.verdict()
            if leaks:
                found.append(f"{len(leaks)} leaks on the wire, the first: {leaks[0]}")
        for client in self.clients:
            found += self._wrongly_played(client)
            found += [] if self.room.is_clear else self._wrongly_decrypted(client)
            found += [f"an error without a code: {error}" for error in client.uncoded]
        return found

    def _wrongly_decrypted(self, client: Client) -> list[str]:
        """The tap knows encrypted frames alone."""
        return [
            *self._past_the_tap(client),
            *self._past_who_looks(client),
            *self._late(client)[:3],
            *passed.given_twice(client.passed)[:3],
        ]

    def _late(self, client: Client) -> list[str]:
        found = []
        for one, hint, at_switch in self._given_up:
            ids = self.member(one).judge.ids if one is client else {}
            for (of, track), old in ids.items():
                if of == hint:
                    new = [i for (h, t), i in ids.items() if (h, t) != (of, track) and t == track]
                    at_s = passed.first_sent(one.passed, new) if at_switch else one.changed_s
                    found += passed.sent_after(one.passed, old, at_s)
        return found

    def _wrongly_played(self, client: Client) -> Iterable[str]:
        for stream_id, seen in client.played.items():
            owner = self._owner(stream_id)
            yield from content.wrong_images(seen, owner)[:3]
        for stream_id, seen in client.heard.items():
            yield from content.wrong_tones(seen, self._owner(stream_id))[:3]

    def _past_the_tap(self, client: Client) -> list[str]:
        """The tap is in the way of everything that is played. What it notes may come late on a busy
        machine: it is not compared frame by frame."""
        played = {"video": client.played, "audio": client.heard}
        passed_ = Counter(one.kind for one in client.passed if one.role == "receive")
        return [
            f"{kind} was played that did not pass the tap"
            for kind, streams in played.items()
            if any(s.number is not None for seen in streams.values() for s in seen)
            and not passed_[kind]
        ]

    def _past_who_looks(self, client: Client) -> list[str]:
        found = []
        if client in self._joined():
            wire = seeing.by_kind(self.member(client).judge.ids)
            if self.room.video_codec != "vp8":
                del wire["video"]  # its payloads are not put together as the tap has them
            found += seeing.past_the_tap(wire, seeing.noted(client.passed, "send"))
        for stream_id in client.played.keys() | client.heard.keys():
            owner = self.room.owners.get(stream_id)
            if owner is not None:
                wire = seeing.by_kind(owner.judge.ids)
                of = {"video": client.played, "audio": client.heard}
                seen = {kind: all_[stream_id] for kind, all_ in of.items() if stream_id in all_}
                played = {k: sum(s.number is not None for s in some) for k, some in seen.items()}
                found += seeing.past_the_judge(wire, played)
        return found

    def _joined(self) -> list[Client]:
        """Those that the server has met, in its order."""
        return self.clients[: len(self.room.everybody)]

    def _owner(self, stream_id: str) -> Person:
        member = self.room.owners.get(stream_id)
        if member is None:
            return content.NOBODY
        return self.clients[self.room.everybody.index(member)].person

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self.clients))
        await self.room.close()

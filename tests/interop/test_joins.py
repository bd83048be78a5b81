"""People who join at once with the Python client: everybody sees and hears everybody, but for video
that the server withholds from a machine that is too slow for it, and says so.

JOINS: how often for each number of people; JOIN_SEED: the first round's seed.
"""

import asyncio
import os
import random
from itertools import chain

import pytest
from sealroute_client import Session, Subscriber
from sealroute_client.events import StreamCreated

from tests.served import NEEDS_THE_MEDIA_CORE, Server
from tests.what_was_reported import Reported, dump, explain_what_is_paused, frames_of, is_paused

pytestmark = [
    pytest.mark.interop,
    NEEDS_THE_MEDIA_CORE,
]

ROUNDS = int(os.environ.get("JOINS", "2"))
FIRST_SEED = int(os.environ.get("JOIN_SEED", "1"))
MAX_GAP_S = 0.4
ROOMS = 4
"""Used in turn: to make one takes longer than a round in it."""
ALL_THERE_S = 90.0
"""Eight clients encode and decode 64 tracks in one process, beside other tests."""


class Person:
    """Joins, publishes and subscribes to every stream, as an application does."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.reported = Reported(session)
        self.subscriptions: list[asyncio.Task[object]] = []
        self.subscribers: dict[str, Subscriber] = {}
        session.on(StreamCreated, lambda event: self.subscribe(event.stream))

    def subscribe(self, stream) -> None:
        async def run() -> None:
            self.subscribers[stream["streamId"]] = await self.session.subscribe(stream)

        self.subscriptions.append(asyncio.create_task(run()))

    async def come(self, gap_s: float) -> None:
        await asyncio.sleep(gap_s)  # real time: people come when they come
        await self.session.connect()
        await self.session.publish()

    @property
    def met(self) -> int:
        """Streams of others that play, or wait for frames."""
        return len(self.subscribers)

    @property
    def waits_for(self) -> list[tuple[Subscriber, str]]:
        """Subscriptions and kinds without a decrypted frame."""
        return [
            (one, kind)
            for one in self.subscribers.values()
            for kind in ("audio", "video")
            if not frames_of(one).get(kind)
        ]

    @property
    def seen_and_seen(self) -> int:
        """Streams of others with decrypted frames of both kinds."""
        return self.met - len({one for one, _ in self.waits_for})

    async def leave(self) -> None:
        await self.session.disconnect()
        await asyncio.gather(*self.subscriptions)


@pytest.fixture
async def server(tmp_path):
    running = Server(tmp_path / "data", e2ee=True, config={"SEALROUTE_SIGNALING_JOINS_PER_S": "50"})
    await running.start()
    yield running
    await running.stop()


@pytest.mark.parametrize(
    "size", [2, pytest.param(3, marks=pytest.mark.long), pytest.param(8, marks=pytest.mark.long)]
)
@pytest.mark.timeout(60 + 100 * ROUNDS)
async def test_all_who_join_at_once_see_and_hear_each_other(server, size) -> None:
    rooms = []
    for _ in range(min(ROUNDS, ROOMS)):
        await server.new_session()
        rooms.append((server.session_id, [await server.token() for _ in range(size)]))
    for seed in range(FIRST_SEED, FIRST_SEED + ROUNDS):
        gaps = random.Random(f"{size} {seed}")
        server.session_id, tokens = rooms[seed % len(rooms)]
        people = [Person(server.client(server.session_id, token)) for token in tokens]
        try:
            await asyncio.gather(*(one.come(gaps.uniform(0, MAX_GAP_S)) for one in people))
            async with asyncio.timeout(ALL_THERE_S):
                while any(one.seen_and_seen < size - 1 for one in people):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            counts = [one.seen_and_seen for one in people]
            waiting = dict.fromkeys(chain.from_iterable(one.waits_for for one in people), 0)
            if any(one.met < size - 1 for one in people) or not all(
                is_paused(watching, kind) for watching, kind in waiting
            ):
                known = await dump(server, [one.reported for one in people])
                pytest.fail(
                    f"JOIN_SEED={seed}: of {size - 1} others are seen and heard: {counts}\n{known}"
                )
            await explain_what_is_paused(server, waiting)
        finally:
            await asyncio.gather(*(one.leave() for one in people))

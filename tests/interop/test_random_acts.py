"""Two Python clients publish, unpublish, subscribe, unsubscribe, mute and change the secret in any
order, in live calls: no call of the SDK is lost, no stream stays black, nothing is left open.

RANDOM_RUNS: how often; RANDOM_SEED: the first run's seed.
"""

import asyncio
import logging
import os
import random
from collections.abc import Coroutine

import aiohttp
import pytest
from sealroute_client import Publisher, SealrouteError, Session, Subscriber

from bench.ports import free_port
from tests.descriptors import open_descriptors
from tests.served import NEEDS_THE_MEDIA_CORE, SECRET, Server
from tests.what_was_reported import (
    Reported,
    Waiting,
    dump,
    explain_what_is_paused,
    frames_of,
    is_paused,
)

pytestmark = [
    pytest.mark.interop,
    NEEDS_THE_MEDIA_CORE,
]

logger = logging.getLogger(__name__)
RUNS = int(os.environ.get("RANDOM_RUNS", "2"))
FIRST_SEED = int(os.environ.get("RANDOM_SEED", "1"))
ACTS = 14
CALL_S = 60.0
"""Several changes of secret, one after the other, each with a request without an answer."""
PLAYS_S = 20.0
LEFT_S = 10.0
"""What clients left behind is gone from the server within that time."""
OF_CLIENTS = (
    "sealroute_connections",
    "sealroute_streams",
    "sealroute_media_transports",
    "sealroute_media_publishers",
    "sealroute_media_subscribers",
)
SECRETS = (SECRET, "another secret for all", "a third secret for all")


class Actor:
    """What one application does with its Session; every call is awaited at the end."""

    def __init__(self, session: Session, chance: random.Random) -> None:
        self.session = session
        self.reported = Reported(session)
        self._chance = chance
        self.publishers: list[Publisher] = []
        self.subscribers: list[Subscriber] = []
        self._calls: list[asyncio.Task[None]] = []
        self._ended: set[str] = set()

    def act(self) -> None:
        chosen = self._chance.choice(
            (self._publish, self._unpublish, self._subscribe, self._subscribe, self._unsubscribe,
             self._mute, self._flicker)
        )  # fmt: skip
        chosen()

    def start(self, call: Coroutine[None, None, None]) -> None:
        async def bounded() -> None:
            try:
                async with asyncio.timeout(CALL_S):
                    await call
            except SealrouteError:
                pass  # its answer: a coded error

        self._calls.append(asyncio.create_task(bounded()))

    def _publish(self) -> None:
        async def call() -> None:
            self.publishers.append(await self.session.publish())

        if len(self.publishers) < 2:
            self.start(call())

    def _unpublish(self) -> None:
        if self.publishers:
            self.start(self.session.unpublish(self._take(self.publishers)))

    def _subscribe(self) -> None:
        async def call(stream: str) -> None:
            self.subscribers.append(await self.session.subscribe(stream))

        if self.session.streams:
            self.start(call(self._chance.choice(sorted(self.session.streams))))

    def _unsubscribe(self) -> None:
        if self.subscribers:
            self.start(self.session.unsubscribe(self._take(self.subscribers)))

    def _flicker(self) -> None:
        """Subscribes, unsubscribes and subscribes again at once."""

        async def call(stream: str) -> None:
            await self.session.unsubscribe(await self.session.subscribe(stream))

        if self.session.streams:
            stream = self._chance.choice(sorted(self.session.streams))
            self.start(call(stream))
            self._subscribe()

    def _mute(self) -> None:
        if self.publishers:
            publisher = self._chance.choice(self.publishers)
            is_on = self._chance.random() < 0.5
            kind = self._chance.choice((publisher.publish_audio, publisher.publish_video))
            self.start(kind(is_on))

    def _take(self, things):
        return things.pop(self._chance.randrange(len(things)))

    async def answered(self) -> None:
        await asyncio.gather(*self._calls)


async def everything_plays(server: Server, actors: tuple[Actor, Actor]) -> None:
    """Each subscription to what is still published shows frames that are new."""
    sent = {one.stream_id: one for actor in actors for one in actor.publishers}
    waiting: Waiting = {}
    for actor in actors:
        for watching in actor.subscribers:
            publisher = sent.get(watching.stream_id)
            if publisher is not None and not watching.is_ended.is_set():
                for kind in ("audio", "video"):
                    if not publisher.is_muted(kind):
                        waiting[watching, kind] = frames_of(watching).get(kind, 0)
    deadline_s = asyncio.get_running_loop().time() + PLAYS_S
    while waiting:
        waiting = {
            (watching, kind): before
            for (watching, kind), before in waiting.items()
            if frames_of(watching).get(kind, 0) <= before + 3
        }
        if asyncio.get_running_loop().time() > deadline_s:
            black = [(w.stream_id, kind) for w, kind in waiting if not is_paused(w, kind)]
            if black:
                known = await dump(server, [actor.reported for actor in actors])
                raise AssertionError(f"nothing new is shown of {black}\n{known}")
            await explain_what_is_paused(server, waiting)
            return
        await asyncio.sleep(0.05)


async def run(server: Server, seed: int) -> None:
    chance = random.Random(seed)
    await server.new_session()
    sessions = (await server.join(), await server.join())
    actors = (Actor(sessions[0], chance), Actor(sessions[1], chance))
    try:
        actors[0].start(_first_stream(actors[0]))
        for _ in range(ACTS):
            if chance.random() < 0.15:
                secret, is_immediate = chance.choice(SECRETS), chance.random() < 0.5
                for actor in chance.sample(actors, 2):
                    change = actor.session.set_encryption_secret(secret, immediate=is_immediate)
                    actor.start(change)
            else:
                chance.choice(actors).act()
            # Real time: sometimes in the same turn, sometimes when the one before is done.
            await asyncio.sleep(chance.choice((0, 0, 0.02, 0.1, 0.4)))
        await asyncio.gather(*(actor.answered() for actor in actors))
        await everything_plays(server, actors)
    finally:
        await asyncio.gather(*(session.disconnect() for session in sessions))
    assert [len(session._peers._open) for session in sessions] == [0, 0]
    await nothing_is_left_on(server)


async def nothing_is_left_on(server: Server) -> None:
    """Everybody has gone: the server has no client, stream or transport any more."""
    deadline_s = asyncio.get_running_loop().time() + LEFT_S
    url = f"http://127.0.0.1:{server.environment['SEALROUTE_OPERATIONS_PORT']}/metrics"
    async with aiohttp.ClientSession() as http:
        while True:
            async with http.get(url) as answer:
                samples = [line.split(" ") for line in (await answer.text()).splitlines()]
            left = {name[0]: float(name[-1]) for name in samples if name[0] in OF_CLIENTS}
            assert set(left) == set(OF_CLIENTS)
            if not any(left.values()):
                return
            assert asyncio.get_running_loop().time() < deadline_s, left
            await asyncio.sleep(0.1)


async def _first_stream(actor: Actor) -> None:
    actor.publishers.append(await actor.session.publish())


@pytest.fixture
async def server(tmp_path):
    config = {
        "SEALROUTE_SIGNALING_JOINS_PER_S": "50",
        "SEALROUTE_OPERATIONS_PORT": str(free_port()),
    }
    running = Server(tmp_path / "data", e2ee=True, config=config)
    await running.start()
    yield running
    await running.stop()


@pytest.mark.timeout(60 + 60 * RUNS)
async def test_whatever_two_clients_do_every_call_ends_and_every_stream_plays(server) -> None:
    before = open_descriptors("socket:")
    for seed in range(FIRST_SEED, FIRST_SEED + RUNS):
        try:
            await run(server, seed)
        except BaseException as error:
            error.add_note(f"RANDOM_SEED={seed}")
            raise
    assert open_descriptors("socket:") - before == set()

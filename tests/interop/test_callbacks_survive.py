"""A serving process is killed while it delivers to a flaky application: every event arrives."""

import asyncio
import json
import os
import random
import sys
from collections import Counter, defaultdict

import aiohttp
import pytest
import vonage_jwt
from aiohttp import web

from tests.served import Server, until

pytestmark = pytest.mark.interop

SESSIONS = 4
FAILURES_BEFORE_KILL = 6
FAILURES_OF_ONE = 3
"""Each doubles the time until the next attempt: five in a row would be half a minute."""
VISITS = 10
"""Of one visitor and life of the server: a lane delivers one event at a time."""
TIMEOUT_S = 1.0
STILL_S = 40.0
"""A busy machine may need long, but not so long for a single event: what hides an attempt that a
kill cut short, and the longest wait for the next one, are ten seconds together."""


class Application:
    """Receives callbacks, but fails often: errors, silence, connections cut."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.flaky = True
        self.secret = ""
        self.order = defaultdict(list)
        self.ids = set()
        self.failures = 0
        self.failed = Counter()
        self.forged = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        token = request.headers["Authorization"].removeprefix("Bearer ")
        if not vonage_jwt.verify_signature(token, self.secret):
            self.forged += 1
        event_id = request.headers["Sealroute-Event-Id"]
        trouble = self.chance.random() if self.flaky else 1.0
        if trouble < 0.5 and self.failed[event_id] < FAILURES_OF_ONE:
            self.failures += 1
            self.failed[event_id] += 1
            if trouble < 0.1:
                request.transport.abort()
            elif trouble < 0.2:
                await asyncio.sleep(TIMEOUT_S * 1.5)
            return web.Response(status=503)
        if event_id not in self.ids:
            self.ids.add(event_id)
            reported = json.loads(body)
            thing = reported.get("stream") or reported.get("connection") or {}
            self.order[reported["sessionId"]].append((reported["event"], thing.get("id")))
        return web.Response()


class Node(Server):
    """A server that can be killed and started again on the same folder."""

    def __init__(self, folder) -> None:
        super().__init__(folder, e2ee=True)

    async def serve(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "signaling", "serve", "--data-dir", str(self.folder)),
            *("--host", "127.0.0.1", "--port", self.url.rpartition(":")[2]),
            *("--media-port", "0", "--log-level", "error"),
            env={
                **os.environ,
                "SEALROUTE_CALLBACKS_ALLOWED_NETWORKS": "127.0.0.0/8",
                "SEALROUTE_CALLBACKS_TIMEOUT_MS": str(int(TIMEOUT_S * 1000)),
            },
        )
        async with aiohttp.ClientSession() as http, asyncio.timeout(STILL_S):
            while True:
                try:
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


# A visit takes a while, so that the queue is one that can be worked off.
PAUSE_S = 0.05


class Visitor:
    """Joins and leaves, and notes what the server has told it: that much has happened."""

    def __init__(self, node: Node, http: aiohttp.ClientSession, session: str, token: str) -> None:
        self.node, self.http, self.session, self.token = node, http, session, token
        self.happened: list[tuple[str, str]] = []

    async def visit(self) -> None:
        async with self.http.ws_connect(
            self.node.url + "/v1/signal", protocols=("sealroute.v2.json",)
        ) as socket_:
            hello = {"t": "hello", "id": 1, "apiKey": self.node.api_key, "sessionId": self.session}
            await socket_.send_json(
                {
                    **hello,
                    "token": self.token,
                    "sdk": {"name": "test", "version": "1"},
                    "e2ee": {"formats": ["e2ee/2"]},
                }
            )
            own = (await self._expect(socket_, "welcome"))["connection"]["connectionId"]
            self.happened.append(("connectionCreated", own))
            await socket_.send_json({"t": "bye", "id": 2})
            await self._expect(socket_, "ok")
            self.happened.append(("connectionDestroyed", own))

    async def _expect(self, socket_, tag: str) -> dict:
        while True:
            message = await socket_.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionResetError("the server is gone")
            found = json.loads(message.data)
            if found["t"] == tag:
                return found

    async def keep_visiting(self) -> None:
        """Some times, or until the server is gone."""
        try:
            for _ in range(VISITS):
                await self.visit()
                await asyncio.sleep(PAUSE_S)
        except (ConnectionError, aiohttp.ClientError):
            return


@pytest.fixture
async def application():
    made = Application(seed=4)
    app = web.Application()
    app.router.add_post("/events", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    yield made
    await runner.cleanup()


async def prepared(node: Node, application: Application) -> list[tuple[str, str]]:
    """A project whose events go to the application, and sessions with a token for each."""
    os.environ["SEALROUTE_CALLBACKS_ALLOWED_NETWORKS"] = "127.0.0.0/8"
    ask = node.ask
    try:
        project = await asyncio.to_thread(ask, "project", "create", "--e2ee")
        node.api_key = key = project["apiKey"]
        for words in (("add", "--api-key", key, "--url", application.url),):
            await asyncio.to_thread(ask, "callbacks", *words)
    finally:
        del os.environ["SEALROUTE_CALLBACKS_ALLOWED_NETWORKS"]
    secret = await asyncio.to_thread(ask, "callbacks", "secret", "--api-key", key)
    application.secret = secret["signatureSecret"]
    rooms = []
    for _ in range(SESSIONS):
        made = await asyncio.to_thread(ask, "session", "create", "--api-key", key, "--e2ee")
        token = await asyncio.to_thread(ask, "token", "--session", made["sessionId"])
        rooms.append((made["sessionId"], token["token"]))
    return rooms


def in_order(part: list, whole: list) -> bool:
    rest = iter(whole)
    return all(one in rest for one in part)


def unlike(visitor: Visitor, application: Application) -> dict[str, object] | None:
    """Where what arrived departs from what happened; None where it does not."""
    arrived = application.order[visitor.session]
    rest = iter(arrived)
    for number, one in enumerate(visitor.happened):
        if one not in rest:
            return {
                "missing": sum(one not in set(arrived) for one in visitor.happened),
                "first": number,
                "event": one,
                "arrived": arrived.index(one) if one in arrived else None,
                "behind": arrived[-3:],
            }
    return None


async def drained(node: Node, visitors: list[Visitor], application: Application) -> None:
    """Returns once nothing waits any more and everything has arrived. It takes what the machine
    takes; the test fails when nothing has come for a while, and says what is missing."""
    loop = asyncio.get_running_loop()
    seen, since = -1, loop.time()
    while True:
        queue = await asyncio.to_thread(node.ask, "callbacks", "queue")
        missing = [found for one in visitors if (found := unlike(one, application))]
        if not queue["waiting"] and not missing:
            return
        if len(application.ids) != seen:
            seen, since = len(application.ids), loop.time()
        assert loop.time() < since + STILL_S, (queue, missing)
        await asyncio.sleep(0.5)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
async def test_every_event_arrives_in_order_through_kills_of_the_server(
    tmp_path, application, kills
):
    node = Node(tmp_path)
    rooms = await prepared(node, application)
    async with aiohttp.ClientSession() as http:
        visitors = [Visitor(node, http, session, token) for session, token in rooms]
        for _ in range(kills):
            await node.serve()
            before = sum(len(one.happened) for one in visitors)
            visits = [asyncio.create_task(one.keep_visiting()) for one in visitors]
            failed = application.failures
            await until(
                lambda: application.failures >= failed + FAILURES_BEFORE_KILL,  # noqa: B023
                STILL_S,
            )
            assert sum(len(one.happened) for one in visitors) > before
            await node.kill()
            await asyncio.gather(*visits)
        application.flaky = False
        await node.serve()
        try:
            await drained(node, visitors, application)
        finally:
            await node.kill()
    assert application.forged == 0
    for visitor in visitors:
        arrived = application.order[visitor.session]
        assert visitor.happened
        assert in_order(visitor.happened, arrived)
        created = [one for event, one in arrived if event == "connectionCreated"]
        destroyed = [one for event, one in arrived if event == "connectionDestroyed"]
        assert sorted(created) == sorted(destroyed)
        assert len(set(created)) == len(created)
        assert [event for event, _ in arrived if event.startswith("session")][::2] == [
            "sessionCreated"
        ] * (sum(event.startswith("session") for event, _ in arrived) // 2)

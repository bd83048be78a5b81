"""Receivers that keep a server waiting: sockets of this machine that never answer, and names that
nobody resolves."""

import asyncio
import contextlib
import socket
import threading

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sfu.target_policy import TargetPolicy, networks
from signaling.callbacks.names import Names
from signaling.callbacks.sender import Result, Sender
from tests.callback_world import OTHER, PROJECT, World

LOCAL = TargetPolicy(networks("127.0.0.0/8"))
CALLBACKS = 64
LONG_S = 600


@pytest.fixture
async def receiver():
    """Its `arrived` ends once a callback is there."""
    arrived = asyncio.Event()

    async def handle(request):
        await request.read()
        arrived.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", handle)
    server = TestServer(app)
    server.arrived = arrived
    await server.start_server(shutdown_timeout=0.1)
    yield server
    await server.close()


@pytest.fixture
def silent():
    """Addresses that take connections and never answer."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(CALLBACKS)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
            one.listen()
        yield [f"http://127.0.0.1:{one.getsockname()[1]}/" for one in sockets]


async def test_as_many_silent_receivers_as_a_project_may_have_hold_up_no_other_project(
    store, tmp_path, receiver, silent
):
    sender = Sender(LOCAL, timeout_s=LONG_S, connections=64)
    world = World(store, tmp_path, sender)
    for number, url in enumerate(silent):
        await world.register(f"{number}", url)
    await world.register("other", str(receiver.make_url("/")), project=OTHER)
    for number in range(CALLBACKS):
        world.note(f"s{number}")
    world.note("theirs", project=OTHER)
    await world.flush()
    async with asyncio.timeout(20):
        while not receiver.arrived.is_set():
            await world.deliverer.turn()
            await asyncio.sleep(0.01)
    assert len(world.deliverer._attempts) <= 49
    await world.abandon()
    await sender.close()
    world.journal.close(empty=True)


class Nameserver:
    """Answers for no name under `silent.test` until it is `released`."""

    def __init__(self):
        self.released = threading.Event()
        self.under_way = 0
        self.most = 0

    def __call__(self, host, port, family):
        if host.endswith("silent.test"):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self.released.wait()
            self.under_way -= 1
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def nameserver():
    made = Nameserver()
    yield made
    made.released.set()


@pytest.fixture
async def sender(nameserver):
    made = Sender(LOCAL, timeout_s=LONG_S, connections=64, names=Names(64, nameserver))
    yield made
    await made.close()


def post(sender, project, url):
    return sender.post(project, url, "event-1", b"{}", 1_700_000_000)


async def test_names_that_nobody_resolves_hold_up_neither_other_projects_nor_the_loops_threads(
    sender, nameserver, receiver
):
    waiting = [
        asyncio.create_task(post(sender, PROJECT, f"http://{number}.silent.test/"))
        for number in range(48)
    ]
    async with asyncio.timeout(20):
        while nameserver.under_way < 8:  # noqa: ASYNC110 - threads tell nobody
            await asyncio.sleep(0.01)
        await asyncio.to_thread(lambda: None)
        answer = await post(sender, OTHER, f"http://app.test:{receiver.port}/")
    assert answer.result is Result.DELIVERED
    nameserver.released.set()
    found = await asyncio.gather(*waiting)
    assert {sent.result for sent in found} == {Result.UNREACHABLE}
    assert nameserver.most == 8


async def test_a_lookup_counts_until_its_thread_is_free_though_nobody_waits_for_it(
    sender, nameserver
):
    first = [
        asyncio.create_task(post(sender, PROJECT, f"http://{number}.silent.test/"))
        for number in range(8)
    ]
    async with asyncio.timeout(20):
        while nameserver.under_way < 8:  # noqa: ASYNC110 - threads tell nobody
            await asyncio.sleep(0.01)
    for task in first:
        task.cancel()
    await asyncio.gather(*first, return_exceptions=True)
    more = asyncio.create_task(post(sender, PROJECT, "http://more.silent.test/"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert nameserver.most == 8
    nameserver.released.set()
    assert (await more).result is Result.UNREACHABLE


@pytest.mark.parametrize("label", ["a" * 64, "é" * 60])
async def test_a_name_that_is_none_is_unreachable(label):
    with pytest.raises(OSError):
        await Names(8).resolve(f"{label}.test", 80)

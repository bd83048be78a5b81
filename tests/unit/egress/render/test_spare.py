"""A spare browser: there in time, once, and ended when nobody needs it."""

import asyncio

import pytest

from sfu.egress.render.devtools import BrowserError
from sfu.egress.render.spare import Spare


class FakeBrowser:
    def __init__(self, failure=None):
        self.over = asyncio.Event()
        self.may_start = asyncio.Event()
        self.ended = False
        self._failure = failure

    async def start(self):
        await self.may_start.wait()
        if self._failure:
            raise self._failure


class World:
    def __init__(self, failure=None):
        self.made = []
        self._failure = failure
        self.spare = Spare(self._make, self._end)

    def _make(self):
        self.made.append(FakeBrowser(self._failure))
        return self.made[-1]

    async def _end(self, browser):
        browser.ended = True

    async def begun(self):
        self.spare.prepare(0)
        self.spare.prepare(0)
        while not self.made:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return self.made[0]


async def test_nobody_asked_for_one():
    world = World()
    assert await world.spare.take() is None
    await world.spare.close()
    assert world.made == []


async def test_it_is_taken_once_and_then_the_takers():
    world = World()
    browser = await world.begun()
    browser.may_start.set()
    assert await world.spare.take() is browser
    assert await world.spare.take() is None
    await world.spare.close()
    assert (len(world.made), browser.ended) == (1, False)


async def test_one_that_is_starting_is_waited_for():
    world = World()
    browser = await world.begun()
    taking = asyncio.create_task(world.spare.take())
    await asyncio.sleep(0)
    assert not taking.done()
    browser.may_start.set()
    assert await taking is browser


async def test_one_that_has_not_begun_is_not_waited_for():
    world = World()
    world.spare.prepare(1_000)
    await asyncio.sleep(0)
    assert await world.spare.take() is None
    assert world.made == []


@pytest.mark.parametrize("how", ["fails", "crashed"])
async def test_one_that_is_gone_is_not_given(how):
    world = World(BrowserError("none") if how == "fails" else None)
    browser = await world.begun()
    browser.may_start.set()
    if how == "crashed":
        browser.over.set()
    assert await world.spare.take() is None
    assert browser.ended


@pytest.mark.parametrize("started", [True, False])
async def test_it_ends_with_its_render(started):
    world = World()
    browser = await world.begun()
    if started:
        browser.may_start.set()
        await asyncio.sleep(0)
    await world.spare.close()
    assert browser.ended


async def test_a_render_that_ends_while_it_waits_leaves_none():
    world = World()
    browser = await world.begun()
    taking = asyncio.create_task(world.spare.take())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await world.spare.close()
    assert browser.ended

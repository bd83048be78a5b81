"""Renders in real processes that say what none says, hang, or are gone."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from config.render_settings import RenderSettings
from sfu.egress.jobs import EgressError
from sfu.egress.render_jobs import NodeAddresses, RenderJob
from sfu.egress.renders import ZYGOTE_MODULE, Browsers, Renders
from tests.unit.egress.jobs import WAIT_S

LIAR = str(Path(__file__).with_name("render_zygote.py"))
NODE = NodeAddresses(("127.0.0.1", 1), secure=False, media={})
JOB = RenderJob("http://127.0.0.1:1/", "1", "2_s", "token", "n", 640, 480, NODE)


class Listener:
    def __init__(self):
        self.noticed = []
        self.over = asyncio.Event()

    def on_published(self, connection, stream):
        self.noticed.append((connection, stream))

    def on_crashed(self):
        self.noticed.append("crashed")

    def on_beat(self):
        self.noticed.append("beat")

    def on_over(self, end):
        self.noticed.append(end)
        self.over.set()


@pytest.fixture
async def egress_of():
    made = []

    def make(*program, chromium="/no/browser", silence_s=30.0, spare_after_s=5.0, **settings):
        made.append(
            Renders(
                RenderSettings(**settings),
                Browsers(chromium, "/no/jail"),
                program=(sys.executable, *program),
                silence_s=silence_s,
                spare_after_s=spare_after_s,
            )
        )
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def ended(egress):
    listener = Listener()
    egress.start(JOB, listener)
    async with asyncio.timeout(WAIT_S):
        await listener.over.wait()
    return listener.noticed


async def test_without_a_browser_three_are_tried_and_the_render_is_over(egress_of):
    egress = egress_of("-m", ZYGOTE_MODULE)
    *before, end = await ended(egress)
    assert [one for one in before if one != "beat"] == ["crashed", "crashed"]
    assert end.how == "start"
    assert egress.counters()["crashes"] == 2


@pytest.mark.parametrize("lie", ["twice", "early", "long", "number", "flood", "garbage"])
async def test_a_process_that_says_what_none_says_is_killed(egress_of, lie):
    egress = egress_of(LIAR, lie)
    *_, end = await ended(egress)
    assert end.how == "process"


async def test_a_process_that_hangs_is_killed_and_so_is_its_successor(egress_of):
    *before, end = await ended(egress_of(LIAR, "hang", silence_s=0.2))
    assert (before, end.how) == (["crashed"], "process")


async def test_a_process_that_is_killed_has_one_successor_and_one_that_leaves_is_silent(egress_of):
    egress = egress_of(LIAR, "wait")
    listener, other = Listener(), Listener()
    egress.start(JOB, listener)
    leaving = egress.start(JOB, other)
    async with asyncio.timeout(WAIT_S):
        while not (listener.noticed and other.noticed):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    leaving.leave()
    os.kill(int(listener.noticed[0][0]), signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        while len(listener.noticed) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert listener.noticed[1] == "crashed"
        os.kill(int(listener.noticed[2][0]), signal.SIGKILL)
        await listener.over.wait()
        await asyncio.wait({leaving.task})
    assert listener.noticed[-1].how == "process"
    assert egress.counters()["crashes"] == 1
    assert not other.over.is_set()


async def until(holds):
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def shows(listener):
    """The processes that showed the page, in order."""
    return [int(one[0]) for one in listener.noticed if isinstance(one, tuple)]


def processes(egress):
    """Those of all renders."""
    zygote = egress._tools.zygote.pid
    return {int(one) for one in Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()}


async def test_the_process_that_waits_takes_over_from_one_that_is_killed(egress_of):
    egress, listener = egress_of(LIAR, "wait", spare_after_s=0), Listener()
    egress.start(JOB, listener)
    await until(lambda: len(shows(listener)) == 1 and len(processes(egress)) == 2)
    (waiting,) = processes(egress) - set(shows(listener))
    os.kill(shows(listener)[0], signal.SIGKILL)
    await until(lambda: len(shows(listener)) == 2)
    assert shows(listener)[1] == waiting
    assert listener.noticed.count("crashed") == 1
    await until(lambda: len(processes(egress)) == 2)
    await egress.close()
    assert not listener.over.is_set()


async def test_a_process_that_waits_and_ends_with_the_other_one_is_no_second_crash(egress_of):
    egress, listener = egress_of(LIAR, "wait", spare_after_s=0), Listener()
    egress.start(JOB, listener)
    await until(lambda: len(shows(listener)) == 1 and len(processes(egress)) == 2)
    both = processes(egress)
    for pid in both:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: len(shows(listener)) == 2)
    assert shows(listener)[1] not in both
    assert not listener.over.is_set()


async def test_no_process_waits_where_the_operator_wants_none(egress_of):
    egress, listener = egress_of(LIAR, "wait", spare_after_s=0, spare=False), Listener()
    egress.start(JOB, listener)
    await until(lambda: len(shows(listener)) == 1)
    await asyncio.sleep(0.2)
    assert processes(egress) == set(shows(listener))


async def test_there_is_room_for_so_many(egress_of):
    egress = egress_of(LIAR, "wait", max=1)
    egress.start(JOB, Listener())
    with pytest.raises(EgressError) as failure:
        egress.start(JOB, Listener())
    assert failure.value.code == "no_capacity"


def test_no_secret_of_a_job_is_shown():
    job = RenderJob("http://a/?secret", "1", "2_s", "token", "n", 640, 480, NODE)
    assert "secret" not in repr(job)
    assert "token" not in repr(job)

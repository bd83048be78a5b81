"""Runs that have a process each: their cap, their end, and what their processes count."""

import asyncio
from collections import Counter

import pytest

from sfu.egress.jobs import EgressError
from sfu.egress.run_lines import LeaveLine
from sfu.egress.runs import RunProcess, Runs


class Link:
    def __init__(self):
        self.sent = []
        self.killed = False

    def send(self, line):
        self.sent.append(line)

    async def close(self, *, kill):
        self.killed = kill


class Zygote:
    closed = False

    async def close(self):
        self.closed = True


class Run:
    def __init__(self):
        self.task = asyncio.get_running_loop().create_task(asyncio.Event().wait())

    def leave(self):
        self.task.cancel()


async def test_there_is_room_for_so_many_and_again_when_one_has_ended():
    zygote = Zygote()
    runs = Runs(zygote, 2, "full")
    first = runs.start(Run)
    runs.start(Run)
    with pytest.raises(EgressError, match="full") as refused:
        runs.start(Run)
    assert refused.value.code == "no_capacity"
    first.leave()
    await asyncio.wait({first.task})
    await asyncio.sleep(0)
    last = runs.start(Run)
    assert runs.totals == {"starts": 3}
    await runs.close()
    assert last.task.cancelled()
    assert zygote.closed
    with pytest.raises(EgressError):
        runs.start(Run)


def test_each_process_counts_from_its_beginning():
    totals = Counter()
    process = RunProcess(totals, 1.0)
    for counts in ({"a": 2}, {"a": 5, "b": 1}):
        process.count(counts.items())
    process.begin(Link())
    process.count({"a": 1}.items())
    process.count({"a": 0}.items())
    assert totals == {"a": 6, "b": 1}


async def test_the_goodbye_takes_its_time_and_is_said_once():
    link, process, run = Link(), RunProcess(Counter(), 60.0), Run()
    process.begin(link)
    for _ in range(2):
        process.leave(run.task)
    assert process.left
    assert link.sent == [LeaveLine()]
    await asyncio.sleep(0)
    assert not run.task.done()
    await process.end()
    assert link.killed
    assert not process.send(LeaveLine())
    run.leave()


async def test_what_has_no_process_ends_at_once():
    process, run = RunProcess(Counter(), 60.0), Run()
    process.leave(run.task)
    await asyncio.wait({run.task})
    assert run.task.cancelled()

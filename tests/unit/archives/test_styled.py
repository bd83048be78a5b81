"""Archives with custom layouts: the stylesheet is read when the streams change, and only then."""

import asyncio
from dataclasses import replace

from sfu.egress.composition import Composition, Layout, Placed
from sfu.egress.stylesheets import StylesheetError, StylesheetsBusyError
from signaling.domain import commands as c
from signaling.domain.errors import ErrorCode
from signaling.egress.styles import MAX_WAITING
from tests.archive_world import refused
from tests.conversation import settle
from tests.fakes.stylesheets import STRIPE

STYLED = Composition(1_280, 720, Layout("custom", stylesheet="stream {}"))


def placed(job):
    """The layouts that a job got, each as its streams from above."""
    return [[one.stream for one in layout.placed] for layout in job.layouts]


async def test_a_new_stream_and_a_new_class_are_given_their_places(world):
    _, first = await world.publisher()
    record = await world.start(composition=STYLED)
    assert world.stylesheets.asked[0].root == "archive"
    await settle()
    job = world.job(record)
    assert placed(job) == [[first]]
    assert job.layouts[0].placed == (Placed(first, 0, 0, 1_280, STRIPE),)
    assert job.layouts[0].stylesheet is None
    _, second = await world.publisher()
    await settle()
    assert placed(job)[1:] == [[first, second]]
    asked = len(world.stylesheets.asked)
    await world.house.joined()  # who says nothing changes nothing
    await settle()
    assert len(world.stylesheets.asked) == asked
    world.house.actor.apply(c.SetLayoutClasses(((second, ("focus",)),)))
    await settle()
    assert [one.classes for one in world.stylesheets.asked[-1].streams] == [(), ("focus",)]
    await world.archives.stop(world.project, record.id)


async def test_what_changes_while_a_stylesheet_is_read_is_read_once_more(world):
    _, first = await world.publisher()
    record = await world.start(composition=STYLED)
    await settle()
    before = len(world.stylesheets.asked)
    world.stylesheets.is_slow = True
    others = [(await world.publisher())[1] for _ in range(4)]
    await settle()
    assert len(world.stylesheets.asked) == before + 1
    world.stylesheets.is_slow = False
    world.stylesheets.answer()
    await settle()
    assert len(world.stylesheets.asked) == before + 2
    assert placed(world.job(record))[-1] == [first, *others]


async def test_streams_stay_where_they_are_while_a_stylesheet_cannot_be_read(world):
    _, first = await world.publisher()
    record = await world.start(composition=STYLED)
    await settle()
    world.stylesheets.faults["stream {}"] = StylesheetsBusyError("it is late")
    await world.publisher()
    await settle()
    assert placed(world.job(record)) == [[first]]
    del world.stylesheets.faults["stream {}"]
    _, third = await world.publisher()
    await settle()
    assert placed(world.job(record))[-1][-1] == third


async def test_a_stylesheet_that_is_wrong_starts_nothing(world):
    await world.publisher()
    world.stylesheets.faults["stream {}"] = StylesheetError("declaration", 3)
    await refused(world.start(composition=STYLED), ErrorCode.INVALID_STYLESHEET)
    assert await world.files.ids() == []
    assert not world.egress.jobs
    refusals = world.metrics.stylesheets_refused.labels("declaration")
    assert refusals._value.get() == 1


async def test_a_layout_is_changed_to_a_stylesheet_and_back(world):
    _, first = await world.publisher()
    record = await world.start(composition=replace(STYLED, layout=Layout("pip")))
    job, change = world.job(record), world.archives.set_layout
    world.stylesheets.faults["wrong"] = StylesheetError(None, None)
    wrong = change(world.project, record.id, Layout("custom", stylesheet="wrong"))
    await refused(wrong, ErrorCode.INVALID_STYLESHEET)
    assert job.layouts == []
    custom = Layout("custom", stylesheet="right")
    await change(world.project, record.id, custom)
    await settle()
    assert placed(job) == [[first]]
    assert (await world.stored(record)).composition.layout == custom
    await change(world.project, record.id, Layout("bestFit"))
    await world.publisher()
    await settle()
    assert [one.type for one in job.layouts] == ["custom", "bestFit"]


async def test_a_late_answer_does_not_undo_a_later_layout(world):
    await world.publisher()
    record = await world.start(composition=STYLED)
    await settle()
    world.stylesheets.is_slow = True
    await world.publisher()
    await settle()
    await world.archives.set_layout(world.project, record.id, Layout("pip"))
    world.stylesheets.answer()
    await settle()
    assert [one.type for one in world.job(record).layouts] == ["custom", "pip"]


async def test_one_project_that_asks_and_asks_is_told_to_wait(world):
    await world.publisher()
    world.stylesheets.is_slow = True
    starts = [
        asyncio.create_task(world.start(composition=STYLED, tag=str(at)))
        for at in range(MAX_WAITING + 1)
    ]
    await settle()
    assert len(world.stylesheets.asked) == 1
    await refused(world.start(composition=STYLED, tag="late"), ErrorCode.OVERLOADED)
    for one in starts:
        one.cancel()
    await asyncio.gather(*starts, return_exceptions=True)

"""From an event to the outbox: what is queued for whom, and what a full or absent store costs."""

import asyncio

import pytest

from signaling.domain.callbacks import Callback
from signaling.domain.errors import ErrorCode, Unavailable
from signaling.storage.sqlite import open_sqlite
from tests.callback_world import BROKEN, OTHER, PROJECT


async def test_nothing_is_queued_for_a_project_that_asked_for_nothing(world):
    world.note("s")
    await world.run()
    assert world.receiver.tries == []
    assert (await world.store.callbacks.queue_figures()).waiting == 0


async def test_events_of_a_project_without_callbacks_ask_neither_disk_nor_storage(
    world, monkeypatch
):
    asked = []
    for name in ("read", "write"):

        async def refuse(work, name=name):
            asked.append(name)

        monkeypatch.setattr(world.store.callbacks._database, name, refuse)
    woken = []
    world.recorder.queue = woken.append
    for event in ("sessionCreated", "connectionCreated", "streamCreated", "connectionDestroyed"):
        world.note("s", event)
    assert list(world.recorder._spool) == []
    assert [path.stat().st_size for path in (world.folder / "j").glob("*.jsonl")] == [0, 0, 0]
    await world.flush()
    assert (asked, woken) == ([], [])


async def test_a_callback_that_another_process_registers_counts_from_the_next_look(world, tmp_path):
    other = await open_sqlite(tmp_path)
    await other.callbacks.add_callback(
        Callback("c", PROJECT.api_key, "all", "all", "http://app.test/x", 0)
    )
    await other.close()
    world.note("s", "sessionCreated")
    await world.run()
    world.note("s", "connectionCreated")
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == ["connectionCreated"]


async def test_a_callback_that_is_registered_while_the_storage_is_read_counts(world, monkeypatch):
    callbacks = world.store.callbacks
    real = callbacks._database.read

    async def read(work):
        found = await real(work)
        await world.register()
        return found

    monkeypatch.setattr(callbacks._database, "read", read)
    assert await callbacks.look(0) is False
    assert callbacks.may_have_callbacks(PROJECT.api_key)


async def test_the_end_of_what_was_reported_is_noted_without_a_callback(world):
    """Otherwise the next process would report it as open until the last one was killed."""
    await world.register()
    world.note("s", "sessionCreated")
    await world.run()
    await world.store.callbacks.remove_callback(PROJECT.api_key, "c")
    await world.store.callbacks.look(0)
    world.note("s", "sessionDestroyed")
    assert not world.journal.has_open(PROJECT.api_key)
    world.journal.close(empty=False)
    world.start()
    await world.register()
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == [
        "sessionCreated",
        "sessionDestroyed",
    ]


async def test_nobody_looks_for_deliveries_when_an_event_concerns_no_callback(world):
    await world.register(group="archive")
    woken = []
    world.recorder.queue = woken.append
    world.note("s", "sessionCreated")
    await world.flush()
    assert woken == []


async def test_a_storage_that_is_away_for_a_while_costs_no_event(world, monkeypatch):
    await world.register()
    real, refused = world.store.callbacks.queue, []

    async def queue(deliveries):
        if len(refused) < 5:
            refused.append(deliveries)
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE)
        await real(deliveries)

    monkeypatch.setattr(world.recorder, "queue", queue)
    world.note("s", "sessionCreated")
    await world.run()
    assert len(refused) == 5
    assert [event for _, event, _ in world.receiver.arrived] == ["sessionCreated"]


async def test_a_project_has_a_bound_and_beyond_it_loses_what_is_newest(world):
    world.bounds.waiting_per_project = 3
    await world.register()
    world.receiver.answers["http://app.test/x"] = BROKEN
    for number in range(5):
        world.note("s", "connectionDestroyed", f"r{number}")
    await world.run()
    assert world.count("callback_events_lost_total", reason="queue_full") == 2
    world.receiver.answers.clear()
    world.pass_time(10)
    await world.run()
    assert [reason for _, _, reason in world.receiver.arrived] == ["r0", "r1", "r2"]


async def test_a_full_project_counts_again_and_takes_events_once_there_is_room(world):
    world.bounds.waiting_per_project = 2
    await world.register()
    for _ in range(3):
        for number in range(2):
            world.note("s", "connectionDestroyed", f"r{number}")
        await world.run()
    assert len(world.receiver.arrived) == 6
    assert world.count("callback_events_lost_total", reason="queue_full") == 0


async def test_who_gets_an_event_is_asked_of_the_storage_once_a_second(world, monkeypatch):
    await world.register()
    database, asked = world.store.callbacks._database, []
    real = database.read

    async def read(work):
        asked.append(work)
        return await real(work)

    for number in range(2):
        world.note("s", "connectionDestroyed", f"r{number}")
        await world.flush()
        monkeypatch.setattr(database, "read", read)
    assert asked == []
    world.pass_time(1)
    await world.store.callbacks.look(0)
    asked.clear()
    world.note("s", "connectionDestroyed", "r2")
    await world.flush()
    assert len(asked) == 3


async def test_a_lone_event_is_queued_at_once_and_what_follows_shares_a_transaction(
    world, monkeypatch
):
    await world.register()
    real, slept, queued = world.store.callbacks.queue, [], []

    async def sleep(seconds):
        slept.append(round(seconds, 3))
        world.pass_time(seconds)

    async def queue(deliveries):
        queued.append(len(deliveries))
        for _ in range({1: 3, 2: 1}.get(len(queued), 0)):
            world.note("s")
        await real(deliveries)
        if len(queued) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(world.recorder, "_sleep", sleep)
    monkeypatch.setattr(world.recorder, "queue", queue)
    world.pass_time(10)
    world.note("s")
    with pytest.raises(asyncio.CancelledError):
        await world.recorder.run()
    assert (slept, queued) == ([0.005, 0.1, 0.1], [1, 3, 1])


async def test_a_spool_that_is_full_is_counted(world, monkeypatch):
    await world.register()
    monkeypatch.setattr("signaling.callbacks.recorder.MAX_SPOOLED", 8)
    for _ in range(10):
        world.note("s")
    assert world.count("callback_events_lost_total", reason="spool_full") == 4


async def test_a_project_with_many_events_leaves_room_in_the_spool_for_others(world, monkeypatch):
    await world.register()
    await world.register("d", project=OTHER)
    monkeypatch.setattr("signaling.callbacks.recorder.MAX_SPOOLED", 8)
    for _ in range(100):
        world.note("s")
    lost = world.count("callback_events_lost_total", reason="spool_full")
    for _ in range(2):
        world.note("theirs", project=OTHER)
    assert world.count("callback_events_lost_total", reason="spool_full") == lost + 1
    await world.run()
    assert [session for session, _, _ in world.receiver.arrived].count("theirs") == 1
    for _ in range(6):
        world.note("s")
    assert world.count("callback_events_lost_total", reason="spool_full") == lost + 1


async def test_events_that_are_not_queued_yet_are_measured(world):
    await world.register()
    world.note("s")
    world.note("s")
    assert world.count("callback_events_not_queued") == 2
    await world.flush()
    assert world.count("callback_events_not_queued") == 0


async def test_an_event_that_cannot_be_queued_takes_no_other_with_it(world, monkeypatch):
    await world.register()
    real = world.store.callbacks.queue

    async def queue(deliveries):
        if any('"r1"' in one.body for one in deliveries):
            raise ValueError("a bug")
        await real(deliveries)

    monkeypatch.setattr(world.recorder, "queue", queue)
    for number in range(3):
        world.note("s", "connectionDestroyed", f"r{number}")
    await world.run()
    assert [reason for _, _, reason in world.receiver.arrived] == ["r0", "r2"]
    assert world.count("callback_events_lost_total", reason="internal") == 1


async def test_a_disk_that_is_full_costs_the_safety_of_an_event_but_not_the_event(
    world, monkeypatch
):
    await world.register()

    def full(_happened):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(world.journal, "write", full)
    world.note("s", "sessionCreated")
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == ["sessionCreated"]

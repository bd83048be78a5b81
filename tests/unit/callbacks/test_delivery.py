"""From an event to an answer of the application, in virtual time over a real outbox."""

import asyncio
import json

import pytest

from signaling.callbacks.deliverer import Deliverer, DeliveryLimits
from signaling.callbacks.journal import Journal
from signaling.callbacks.recorder import Bounds, Recorder
from signaling.callbacks.sender import Result, Sent
from signaling.domain.callbacks import Callback
from signaling.domain.effects import Notify
from signaling.domain.errors import ErrorCode, Unavailable
from signaling.domain.projects import new_project
from signaling.domain.session_options import SessionOptions, SessionRecord
from signaling.metrics import Metrics
from signaling.storage.sqlite import open_sqlite

PROJECT = new_project(random_bytes=bytes(range(44)), now_ms=0)
HOUR_MS = 3_600_000
OK = Sent(Result.DELIVERED, 200)
BROKEN = Sent(Result.FAILED, 500)


class Clock:
    """Time that moves when it is told to."""

    def __init__(self):
        self.now_s = 1_700_000_000.0

    def monotonic_s(self):
        return self.now_s

    def unix_s(self):
        return self.now_s


class Receiver:
    """Stands for the applications: what arrived, in order, and what each URL answers."""

    def __init__(self):
        self.arrived = []
        self.tries = []
        self.answers = {}
        self.hanging = set()
        self.released = asyncio.Event()

    async def post(self, project, url, event_id, body, now_s):
        reported = json.loads(body)
        self.tries.append((url, reported["sessionId"], reported["event"]))
        if url in self.hanging:
            await self.released.wait()
        sent = self.answers.get(url, OK)
        if sent.result is Result.DELIVERED:
            self.arrived.append((reported["sessionId"], reported["event"], reported.get("reason")))
        return sent


class World:
    """One node with its outbox; `run` lets it work until nothing is due."""

    def __init__(self, store, folder, **limits):
        self.store, self.folder = store, folder
        self.clock, self.receiver = Clock(), Receiver()
        self.bounds = Bounds(1_000, 24 * HOUR_MS)
        self.limits = DeliveryLimits(**limits)
        self.start()

    def start(self):
        self.metrics = Metrics(dict)
        self.journal = Journal(self.folder / "j", int(self.clock.now_s * 1000))
        self.recorder = Recorder(
            self.store, self.journal, self.clock, self.metrics, self.bounds, self.sleep
        )
        self.deliverer = Deliverer(
            self.store, self.receiver, self.clock, self.metrics, self.limits, lambda: 0.5
        )

    async def sleep(self, seconds):
        self.clock.now_s += seconds

    async def register(self, name="c", url="http://app.test/x", group="all"):
        callback = Callback(name, PROJECT.api_key, group, "all", url, 0)
        await self.store.callbacks.add_callback(callback)

    def note(self, session, event="sessionCreated", reason=None):
        record = SessionRecord(session, PROJECT.api_key, SessionOptions(), 0)
        self.recorder.notify(record, Notify(event, session, reason))

    async def flush(self):
        if self.recorder._spool:
            await self.recorder._flush_when_possible()

    async def run(self):
        await self.flush()
        for _ in range(1_000):
            before = len(self.receiver.tries)
            await self.deliverer.turn()
            await self.deliverer.idle()
            await self.deliverer.turn()
            if len(self.receiver.tries) == before:
                break
        await self.deliverer.idle()

    async def tried(self):
        """Returns once a request is out; the outbox works in a thread of its own."""
        async with asyncio.timeout(5):
            while not self.receiver.tries:  # noqa: ASYNC110 - there is nothing else to wait for
                await asyncio.sleep(0)

    def pass_time(self, seconds):
        self.clock.now_s += seconds

    def count(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"sealroute_{name}", labels) or 0


@pytest.fixture
async def store(tmp_path):
    opened = await open_sqlite(tmp_path)
    await opened.add_project(PROJECT)
    yield opened
    await opened.close()


@pytest.fixture
async def world(store, tmp_path):
    made = World(store, tmp_path)
    yield made
    made.journal.close(empty=True)


async def test_events_of_a_session_arrive_in_the_order_in_which_they_happened(world):
    await world.register()
    for number in range(20):
        world.note("s", "connectionDestroyed", f"r{number}")
    await world.run()
    assert [reason for _, _, reason in world.receiver.arrived] == [f"r{n}" for n in range(20)]
    assert (await world.store.callbacks.queue_figures()).waiting == 0
    assert world.count("callback_deliveries_total", result="delivered") == 20


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
    world.recorder.on_queued = lambda: woken.append(True)
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
    world.recorder.on_queued = lambda: woken.append(True)
    world.note("s", "sessionCreated")
    await world.flush()
    assert woken == []


async def test_each_registration_gets_what_it_asked_for(world):
    await world.register("a", "http://a.test/", "session")
    await world.register("b", "http://b.test/", "connection")
    world.note("s", "sessionCreated")
    world.note("s", "connectionCreated")
    await world.run()
    tried = {(url, event) for url, _, event in world.receiver.tries}
    assert tried == {("http://a.test/", "sessionCreated"), ("http://b.test/", "connectionCreated")}


async def test_a_failing_receiver_is_tried_again_after_growing_waits_and_order_holds(world):
    await world.register()
    world.receiver.answers["http://app.test/x"] = BROKEN
    world.note("s", "sessionCreated")
    world.note("s", "sessionDestroyed")
    await world.run()
    for wait_s in (1, 2, 4, 8):
        tries = len(world.receiver.tries)
        world.pass_time(wait_s - 0.1)
        await world.run()
        assert len(world.receiver.tries) == tries
        world.pass_time(0.1)
        await world.run()
        assert len(world.receiver.tries) == tries + 1
    assert {event for _, _, event in world.receiver.tries} == {"sessionCreated"}
    world.receiver.answers.clear()
    world.pass_time(16)
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == [
        "sessionCreated",
        "sessionDestroyed",
    ]


async def test_one_session_that_fails_does_not_hold_up_another(store, tmp_path):
    world = World(store, tmp_path)
    await world.register("a", "http://bad.test/")
    world.receiver.answers["http://bad.test/"] = BROKEN
    world.note("s1")
    await world.run()
    world.receiver.answers.clear()
    world.note("s2")
    await world.run()
    assert [session for session, _, _ in world.receiver.arrived] == ["s2"]
    world.journal.close(empty=True)


async def test_a_hanging_receiver_leaves_room_for_others(store, tmp_path):
    world = World(store, tmp_path, in_flight=4, per_origin=3)
    await world.register("a", "http://hangs.test/", "session")
    await world.register("b", "http://works.test/", "connection")
    world.receiver.hanging.add("http://hangs.test/")
    for number in range(10):
        world.note(f"s{number}", "sessionCreated")
    for number in range(10):
        world.note(f"s{number}", "connectionCreated")
    await world.flush()
    while len(world.receiver.arrived) < 10:
        await world.deliverer.turn()
        await asyncio.sleep(0)
        hanging = sum(url == "http://hangs.test/" for url, _, _ in world.receiver.tries)
        assert hanging <= 3
    world.receiver.released.set()
    await world.run()
    assert len(world.receiver.arrived) == 20
    world.journal.close(empty=True)


async def test_after_its_time_a_delivery_is_given_up_counted_and_can_be_retried(world):
    await world.register()
    world.receiver.answers["http://app.test/x"] = BROKEN
    world.note("s", "sessionCreated")
    await world.run()
    for _ in range(60):
        world.pass_time(1_800)
        await world.run()
    figures = await world.store.callbacks.queue_figures()
    assert (figures.waiting, figures.dead) == (0, 1)
    assert world.count("callback_deliveries_total", result="given_up") == 1
    (letter,) = await world.store.callbacks.dead_letters(None, 10)
    assert (letter.event, letter.result) == ("sessionCreated", "failed 500")
    assert letter.attempts > 10
    world.receiver.answers.clear()
    world.note("s", "sessionDestroyed")
    await world.run()
    now_ms = int(world.clock.now_s * 1000)
    assert await world.store.callbacks.revive(None, now_ms, now_ms + HOUR_MS) == 1
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == [
        "sessionDestroyed",
        "sessionCreated",
    ]


async def test_what_was_given_up_long_ago_is_forgotten(world):
    await world.register()
    world.receiver.answers["http://app.test/x"] = BROKEN
    world.note("s")
    await world.run()
    for _ in range(60):
        world.pass_time(1_800)
        await world.run()
    world.pass_time(8 * 86_400)
    await world.run()
    assert (await world.store.callbacks.queue_figures()).dead == 0


async def test_events_that_did_not_reach_the_outbox_arrive_after_the_next_start(world):
    await world.register()
    world.note("s", "sessionCreated")
    world.note("s", "sessionDestroyed")
    world.journal.close(empty=False)
    world.start()
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == [
        "sessionCreated",
        "sessionDestroyed",
    ]


async def test_an_attempt_that_died_with_its_process_is_made_again(world):
    await world.register()
    world.receiver.hanging.add("http://app.test/x")
    world.note("s", "sessionCreated")
    await world.flush()
    await world.deliverer.turn()
    await world.tried()
    abandoned = list(world.deliverer._attempts)
    world.start()
    world.receiver.hanging.clear()
    world.pass_time(14)
    await world.run()
    assert world.receiver.arrived == []
    world.pass_time(1)
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == ["sessionCreated"]
    for task in abandoned:
        task.cancel()
    await asyncio.gather(*abandoned, return_exceptions=True)


async def test_a_server_that_goes_leaves_its_attempts_to_the_next_at_once(world, monkeypatch):
    monkeypatch.setattr("signaling.callbacks.deliverer._FAREWELL_S", 0)
    await world.register()
    world.receiver.hanging.add("http://app.test/x")
    world.note("s", "sessionCreated")
    await world.flush()
    await world.deliverer.turn()
    await world.tried()
    await world.deliverer.close()
    world.start()
    world.receiver.hanging.clear()
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == ["sessionCreated"]


async def test_a_storage_that_is_away_for_a_while_costs_no_event(world, monkeypatch):
    await world.register()
    real, refused = world.store.callbacks.queue, []

    async def queue(deliveries):
        if len(refused) < 5:
            refused.append(deliveries)
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE)
        await real(deliveries)

    monkeypatch.setattr(world.recorder._outbox, "queue", queue)
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


async def test_a_spool_that_is_full_is_counted(world, monkeypatch):
    await world.register()
    monkeypatch.setattr("signaling.callbacks.recorder.MAX_SPOOLED", 2)
    for _ in range(5):
        world.note("s")
    assert world.count("callback_events_lost_total", reason="spool_full") == 3


async def test_events_that_are_not_queued_yet_are_measured(world):
    await world.register()
    world.note("s")
    world.note("s")
    assert world.count("callback_events_not_queued") == 2
    await world.flush()
    assert world.count("callback_events_not_queued") == 0


async def test_figures_of_the_queue_are_measured(world):
    await world.register()
    world.receiver.answers["http://app.test/x"] = BROKEN
    world.note("s")
    await world.run()
    world.pass_time(100)
    await world.run()
    assert world.count("callbacks_waiting") == 1
    assert world.count("callbacks_oldest_age_seconds") == 100


async def test_recorder_and_deliverer_run_by_themselves_until_they_are_stopped(world):
    await world.register()
    world.recorder.on_queued = world.deliverer.wake
    tasks = [asyncio.create_task(part.run()) for part in (world.recorder, world.deliverer)]
    world.note("s")
    await world.tried()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await world.recorder.close(1)
    await world.deliverer.close()
    world.start()


async def test_an_event_that_cannot_be_queued_takes_no_other_with_it(world, monkeypatch):
    await world.register()
    real = world.store.callbacks.queue

    async def queue(deliveries):
        if any('"r1"' in one.body for one in deliveries):
            raise ValueError("a fault of ours")
        await real(deliveries)

    monkeypatch.setattr(world.recorder._outbox, "queue", queue)
    for number in range(3):
        world.note("s", "connectionDestroyed", f"r{number}")
    await world.run()
    assert [reason for _, _, reason in world.receiver.arrived] == ["r0", "r2"]
    assert world.count("callback_events_lost_total", reason="internal") == 1


async def test_a_fault_of_ours_while_posting_counts_as_a_failed_attempt(world, monkeypatch):
    await world.register()
    real = world.receiver.post

    async def post(*_):
        raise RuntimeError("a fault of ours")

    world.receiver.post = post
    world.note("s", "sessionCreated")
    await world.run()
    world.receiver.post = real
    world.pass_time(1)
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == ["sessionCreated"]


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


async def test_after_an_event_the_outbox_is_claimed_without_a_look_but_looked_at_every_second(
    world, monkeypatch
):
    await world.register()
    real, looks = world.store.callbacks.look, []

    async def look(now_ms):
        looks.append(now_ms)
        return await real(now_ms)

    monkeypatch.setattr(world.store.callbacks, "look", look)
    await world.deliverer.turn()
    world.note("s", "sessionCreated")
    await world.flush()
    world.deliverer.wake()
    await world.deliverer.turn()
    await world.deliverer.idle()
    assert [event for _, event, _ in world.receiver.arrived] == ["sessionCreated"]
    assert len(looks) == 1
    world.pass_time(1)
    world.deliverer.wake()
    await world.deliverer.turn()
    assert len(looks) == 2

"""From an outbox to an answer of the application, in virtual time over a real outbox."""

import asyncio
import json

from tests.callback_world import BROKEN, HOUR_MS, OTHER, PROJECT, World


async def test_events_of_a_session_arrive_in_the_order_in_which_they_happened(world):
    await world.register()
    for number in range(20):
        world.note("s", "connectionDestroyed", f"r{number}")
    await world.run()
    assert [reason for _, _, reason in world.receiver.arrived] == [f"r{n}" for n in range(20)]
    assert (await world.store.callbacks.queue_figures()).waiting == 0
    assert world.count("callback_deliveries_total", result="delivered") == 20


async def test_a_busy_session_does_not_need_a_transaction_for_each_event(world, monkeypatch):
    await world.register()
    for number in range(20):
        world.note("s", "connectionDestroyed", f"r{number}")
    await world.flush()
    real, settled = world.store.callbacks.settle, []

    async def settle(outcomes, claim, new):
        settled.append(len(outcomes))
        return await real(outcomes, claim, new)

    monkeypatch.setattr(world.store.callbacks, "settle", settle)
    await world.deliverer.turn()
    await world.deliverer.idle()
    assert len(world.receiver.arrived) == 20
    await world.deliverer.turn()
    assert settled == [0, 20]
    assert (await world.store.callbacks.queue_figures()).waiting == 0


async def test_what_follows_a_failure_waits_for_it_and_keeps_its_place(world):
    await world.register()
    world.note("s", "connectionDestroyed", "r0")
    world.note("s", "connectionDestroyed", "r1")
    world.note("s", "connectionDestroyed", "r2")
    real, tried = world.receiver.post, []

    async def post(project, url, event_id, body, now_s):
        tried.append(json.loads(body)["reason"])
        if len(tried) == 2:
            return BROKEN
        return await real(project, url, event_id, body, now_s)

    world.receiver.post = post
    await world.run()
    assert tried == ["r0", "r1"]
    world.pass_time(1)
    await world.run()
    assert tried == ["r0", "r1", "r1", "r2"]
    assert [reason for _, _, reason in world.receiver.arrived] == ["r0", "r1", "r2"]


async def test_a_slow_receiver_holds_no_delivery_longer_than_its_claim(world):
    """A second for each answer; what is not started in time goes back, and another may take it."""
    await world.register()
    for number in range(6):
        world.note("s", "connectionDestroyed", f"r{number}")
    real = world.receiver.post

    async def post(*request):
        world.pass_time(1)
        return await real(*request)

    world.receiver.post = post
    await world.flush()
    await world.deliverer.turn()
    await world.deliverer.idle()
    assert len(world.receiver.arrived) == 2
    await world.run()
    assert [reason for _, _, reason in world.receiver.arrived] == [f"r{n}" for n in range(6)]
    assert world.count("callback_deliveries_total", result="delivered") == 6


async def test_a_registration_that_is_removed_gets_nothing_more_of_what_was_claimed(world):
    await world.register()
    for number in range(3):
        world.note("s", "connectionDestroyed", f"r{number}")
    real = world.receiver.post

    async def post(*request):
        await world.store.callbacks.remove_callback(PROJECT.api_key, "c")
        return await real(*request)

    world.receiver.post = post
    await world.run()
    assert [reason for _, _, reason in world.receiver.arrived] == ["r0"]


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
    world = World(store, tmp_path, in_flight=8, per_origin=3)
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


async def test_a_project_whose_receivers_all_hang_leaves_room_for_other_projects(store, tmp_path):
    world = World(store, tmp_path, in_flight=8, per_origin=2)
    for number in range(20):
        url = f"http://{number}.test/"
        await world.register(f"{number}", url)
        world.receiver.hanging.add(url)
    await world.register("o", "http://works.test/", project=OTHER)
    for number in range(20):
        world.note(f"s{number}")
    for number in range(20):
        world.note(f"o{number}", project=OTHER)
    await world.flush()
    while len(world.receiver.arrived) < 20:
        await world.deliverer.turn()
        await asyncio.sleep(0)
        hanging = sum(url in world.receiver.hanging for url, _, _ in world.receiver.tries)
        assert hanging <= 6
    assert {session for session, _, _ in world.receiver.arrived} == {f"o{n}" for n in range(20)}
    await world.abandon()
    world.journal.close(empty=True)


async def test_after_a_claim_that_took_long_others_have_the_storage_for_longer(world, monkeypatch):
    await world.register()
    world.recorder.queue = world.deliverer.queue
    real, claims = world.store.callbacks.settle, []

    async def settle(outcomes, claim, new):
        if claim is not None:
            claims.append(world.clock.now_s)
            world.pass_time(0.5)
        return await real(outcomes, claim, new)

    monkeypatch.setattr(world.store.callbacks, "settle", settle)
    begin_s = world.clock.now_s
    for number in range(12):
        world.note(f"s{number}")
        await world.flush()
        await world.deliverer.turn()
        world.pass_time(0.3)
    assert [round(at_s - begin_s, 1) for at_s in claims] == [0.0, 2.6]
    await world.deliverer.idle()
    world.pass_time(5)
    await world.run()
    assert len(world.receiver.arrived) == 12


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
    world.note("s", "sessionDestroyed")
    await world.flush()
    await world.deliverer.turn()
    await world.tried()
    abandoned = world.deliverer
    world.start()
    world.receiver.hanging.clear()
    world.pass_time(14)
    await world.run()
    assert world.receiver.arrived == []
    world.pass_time(1)
    await world.run()
    arrived = [event for _, event, _ in world.receiver.arrived]
    assert arrived == ["sessionCreated", "sessionDestroyed"]
    await world.abandon(abandoned)


async def test_a_server_that_goes_leaves_its_attempts_to_the_next_at_once(world, monkeypatch):
    monkeypatch.setattr("signaling.callbacks.deliverer._FAREWELL_S", 0)
    await world.register()
    world.receiver.hanging.add("http://app.test/x")
    world.note("s", "sessionCreated")
    world.note("s", "sessionDestroyed")
    await world.flush()
    await world.deliverer.turn()
    await world.tried()
    await world.deliverer.close()
    world.start()
    world.receiver.hanging.clear()
    await world.run()
    arrived = [event for _, event, _ in world.receiver.arrived]
    assert arrived == ["sessionCreated", "sessionDestroyed"]


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
    world.recorder.queue = world.deliverer.queue
    tasks = [asyncio.create_task(part.run()) for part in (world.recorder, world.deliverer)]
    world.note("s")
    await world.tried()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await world.recorder.close(1)
    await world.deliverer.close()
    world.start()


async def test_a_fault_of_ours_while_posting_counts_as_a_failed_attempt(world, monkeypatch):
    await world.register()
    real = world.receiver.post

    async def post(*_):
        raise RuntimeError("a bug")

    world.receiver.post = post
    world.note("s", "sessionCreated")
    await world.run()
    world.receiver.post = real
    world.pass_time(1)
    await world.run()
    assert [event for _, event, _ in world.receiver.arrived] == ["sessionCreated"]


async def test_what_happens_is_queued_claimed_and_settled_in_one_transaction(world, monkeypatch):
    await world.register()
    world.recorder.queue = world.deliverer.queue
    real, written = world.store.callbacks.settle, []

    async def settle(outcomes, claim, new):
        claimed = await real(outcomes, claim, new)
        written.append((len(outcomes), len(new), len(claimed)))
        return claimed

    monkeypatch.setattr(world.store.callbacks, "settle", settle)
    for number in range(3):
        world.note("s", "connectionDestroyed", f"r{number}")
        await world.flush()
        await world.deliverer.idle()
    assert written == [(0, 1, 1), (1, 1, 1), (1, 1, 1)]
    assert [reason for _, _, reason in world.receiver.arrived] == ["r0", "r1", "r2"]


async def test_outcomes_are_settled_though_what_is_queued_with_them_is_refused(world, monkeypatch):
    await world.register()
    world.recorder.queue = world.deliverer.queue
    real = world.store.callbacks.settle

    async def settle(outcomes, claim, new):
        if any('"r1"' in one.body for one in new):
            raise ValueError("a bug")
        return await real(outcomes, claim, new)

    monkeypatch.setattr(world.store.callbacks, "settle", settle)
    for number in range(3):
        world.note("s", "connectionDestroyed", f"r{number}")
        await world.flush()
        await world.deliverer.idle()
    await world.run()
    assert [reason for _, _, reason in world.receiver.arrived] == ["r0", "r2"]
    assert (await world.store.callbacks.queue_figures()).waiting == 0


async def test_after_an_event_the_outbox_is_claimed_without_a_look_but_looked_at_every_second(
    world, monkeypatch
):
    await world.register()
    real, looks = world.store.callbacks.look, []

    async def look(now_ms):
        looks.append(now_ms)
        return await real(now_ms)

    monkeypatch.setattr(world.store.callbacks, "look", look)
    world.recorder.queue = world.deliverer.queue
    await world.deliverer.turn()
    world.note("s", "sessionCreated")
    await world.flush()
    await world.deliverer.idle()
    await world.deliverer.turn()
    assert [event for _, event, _ in world.receiver.arrived] == ["sessionCreated"]
    assert len(looks) == 1
    world.pass_time(1)
    await world.deliverer.turn()
    assert len(looks) == 2

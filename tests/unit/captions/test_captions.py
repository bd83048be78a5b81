"""Captions of a session, from start to end: who gets them, statuses, callbacks, limits."""

from dataclasses import replace

import pytest
import structlog

from config.caption_settings import CaptionSettings
from sfu.core_api import MediaKind
from sfu.ids import StreamId
from signaling.captions.running import running_captions
from signaling.domain.captioning import CaptionsStatus
from signaling.domain.commands import CaptionSpoken
from signaling.domain.errors import DomainError, ErrorCode, Unavailable
from signaling.domain.roles import Role
from signaling.domain.session_options import SessionOptions, SessionRecord
from signaling.protocol import messages as m
from tests.archive_world import refused
from tests.conversation import House, settle
from tests.egress_world import metric_of

AUDIO, VIDEO = (MediaKind.AUDIO,), (MediaKind.VIDEO,)
USER = "user initiated"


async def speaker(world, **members):
    """A client that publishes, and its stream."""
    client = await world.house.joined()
    return client, await client.publish(**{"has_captions": True, **members})


def read(client) -> list[tuple[str, str, bool]]:
    return [(one.stream_id, one.caption, one.is_final) for one in client.seen(m.CaptionReceived)]


async def test_captions_come_to_who_asked_and_to_nobody_else(world):
    ann, stream = await speaker(world)
    ben, cem = await world.house.joined(), await world.house.joined(Role.SUBSCRIBER)
    await ben.subscribe(stream, captions=True)
    await cem.subscribe(stream)
    record = await world.start()
    assert world.tapped == {stream}
    world.run.say(stream, "good", is_final=False)
    world.run.say(stream, "good morning")
    assert read(ben) == [(stream, "good", False), (stream, "good morning", True)]
    assert read(ann) == read(cem) == []
    await world.captions.stop(world.project, record.id)
    assert world.run.is_left
    world.run.say(stream, "after the end")
    assert read(ben) == []


async def test_who_asks_later_gets_them_from_then_on_and_who_asks_twice_gets_them_once(world):
    _, stream = await speaker(world)
    ben = await world.house.joined()
    first, second = await ben.subscribe(stream), await ben.subscribe(stream)
    await world.start()
    world.run.say(stream, "one")
    for subscriber in (first, second):
        ben.ask(m.UpdateSubscriber, subscriber_id=subscriber, captions=True)
    world.run.say(stream, "two")
    ben.ask(m.UpdateSubscriber, subscriber_id=first, captions=False)
    world.run.say(stream, "three")
    ben.ask(m.Unsubscribe, subscriber_id=second)
    world.run.say(stream, "four")
    assert [text for _, text, _ in read(ben)] == ["two", "three"]


async def test_a_stream_has_four_captions_a_second_of_each_kind_whoever_sends_more(world):
    _, stream = await speaker(world)
    ben = await world.house.joined()
    await ben.subscribe(stream, captions=True)
    await world.start()
    for number in range(100):
        world.run.say(stream, str(number), is_final=False)
        world.run.say(stream, f"final {number}")
        world.house.time.advance(0.05)
    said = read(ben)
    assert 26 <= len([one for one in said if one[2]]) <= 28
    assert 19 <= len([one for one in said if not one[2]]) <= 21


async def test_a_process_that_names_other_streams_puts_words_into_nobodys_mouth(world):
    _, stream = await speaker(world)
    _, silent = await speaker(world, has_captions=False)
    ben = await world.house.joined()
    for one in (stream, silent):
        await ben.subscribe(one, captions=True)
    await world.start()
    for other in (silent, "no such stream", ""):
        world.run.say(other, "give me the money")
    assert read(ben) == []


async def test_only_streams_with_audio_are_heard_and_no_publisher_that_says_no(world):
    ann, stream = await speaker(world, kinds=AUDIO)
    await speaker(world, kinds=VIDEO)
    await speaker(world, has_captions=False)
    ben = await world.house.joined()
    await ben.subscribe(stream, captions=True)
    await world.start()
    assert world.tapped == {stream}
    assert [one.language for one in world.captions.hearing(stream)] == ["en-US"]
    ann.ask(m.UpdateStream, stream_id=stream, has_captions=False)
    assert world.tapped == set()
    assert world.captions.hearing(stream) == []
    world.run.say(stream, "what was said before")
    (changed,) = ben.seen(m.StreamPropertyChanged)
    assert changed.has_captions is False
    assert read(ben) == []
    ann.ask(m.UpdateStream, stream_id=stream, has_captions=True)
    assert world.tapped == {stream}
    await speaker(world)
    assert len(world.tapped) == 2


async def test_at_most_fifty_streams_are_heard(world):
    for _ in range(51):
        await speaker(world, kinds=AUDIO)
    await world.start()
    assert len(world.tapped) == 50


async def test_callbacks_and_the_answer_say_when_they_ran_and_not_what_was_said(world):
    _, stream = await speaker(world)
    record = await world.start(max_duration_s=300)
    world.run.say(stream, "the secret of our success")
    world.house.time.advance(3.4)
    stopped = await world.captions.stop(world.project, record.id)
    assert (stopped.status, stopped.reason) == (CaptionsStatus.STOPPED, USER)
    assert stopped == await world.stored(record)
    assert world.statuses() == [("started", ""), ("stopped", USER)]
    last = world.notices[-1]
    assert last.captions == {
        "captionId": record.id,
        "status": "stopped",
        "reason": USER,
        "createdAt": record.created_ms,
        "updatedAt": record.created_ms + 3_400,
        "duration": 3,
        "languageCode": "en-US",
        "provider": "sealroute",
    }
    assert "success" not in str(world.notices)


async def test_what_is_said_is_never_logged(world):
    with structlog.testing.capture_logs() as logs:
        _, stream = await speaker(world)
        ben = await world.house.joined()
        await ben.subscribe(stream, captions=True)
        await world.start()
        world.run.say(stream, "the secret of our success")
        world.house.time.advance(70)
    assert read(ben)
    assert logs
    assert "success" not in str(logs)
    assert "success" not in repr(world.run.listener.record)


async def test_a_session_is_captioned_once_at_a_time(world):
    await speaker(world)
    record = await world.start()
    await refused(world.start(), ErrorCode.CAPTIONS_RUNNING)
    assert len(world.egress.runs) == 1
    await world.captions.stop(world.project, record.id)
    await world.start()
    await refused(world.captions.stop(world.project, record.id), ErrorCode.CAPTIONS_NOT_FOUND)


@pytest.mark.parametrize("role", [Role.PUBLISHER, Role.SUBSCRIBER, Role.PUBLISHER_ONLY])
async def test_only_a_moderators_token_starts_them(world, role):
    await speaker(world)
    await refused(world.start(role), ErrorCode.PERMISSION_DENIED)


async def test_a_language_that_is_not_recognized_is_refused_with_those_that_are(world):
    await speaker(world)
    with pytest.raises(DomainError, match="en-US, de-DE") as failure:
        await world.start(language="fr-FR")
    assert failure.value.code is ErrorCode.INVALID_PARAMETER
    assert (await world.start(language="DE-de")).language == "de-DE"
    assert world.run.job.language == "de-DE"


async def test_nobody_connected_and_a_full_node_are_refused_and_leave_nothing_behind(world):
    await refused(world.start(), ErrorCode.NOBODY_CONNECTED)
    await speaker(world)
    world.egress.room = 0
    await refused(world.start(), ErrorCode.NO_CAPACITY)
    assert await world.marks.all() == []
    assert world.notices == []
    assert [media.taps for media in world.house.plane.sessions.values()] == [[]]
    assert metric_of(world.metrics, "captions", "sealroute_egress_running") == 0
    world.egress.room = 1
    await world.start()
    assert metric_of(world.metrics, "captions", "sealroute_egress_running") == 1


async def test_a_server_without_a_recognizer_says_so(world):
    await speaker(world)
    world.egress = None
    world.restart()
    await refused(world.start(), ErrorCode.FEATURE_UNAVAILABLE)


async def test_another_project_does_not_see_them(world):
    await speaker(world)
    record = await world.start()
    other = replace(world.project, api_key="2")
    await refused(world.captions.show(other, record.id), ErrorCode.CAPTIONS_NOT_FOUND)
    await refused(world.captions.stop(other, record.id), ErrorCode.CAPTIONS_NOT_FOUND)
    assert (await world.captions.show(world.project, record.id)).is_running


async def test_they_end_after_their_time(world):
    await speaker(world)
    record = await world.start(max_duration_s=300)
    world.house.time.advance(299)
    assert (await world.captions.show(world.project, record.id)).is_running
    world.house.time.advance(2)
    assert (await world.stored(record)).reason == "maximum duration exceeded"
    assert world.run.is_left


async def test_they_end_a_minute_after_the_last_client_and_not_when_one_comes_back(world):
    ann, _ = await speaker(world)
    record = await world.start()
    ann.ask(m.Bye)
    world.house.time.advance(59)
    ben = await world.house.joined()
    world.house.time.advance(60)
    assert (await world.captions.show(world.project, record.id)).is_running
    ben.ask(m.Bye)
    world.house.time.advance(61)
    assert (await world.stored(record)).reason == "session ended"
    world.house.time.advance(60)
    assert world.house.directory.find(world.session.session_id) is None
    assert await world.marks.all() == []


async def test_another_process_learns_of_the_streams_and_too_many_of_them_are_a_failure(world):
    await speaker(world)
    record = await world.start()
    world.run.listener.on_another_process()
    assert len(world.tapped) == 1
    world.run.listener.on_over()
    ended = await world.stored(record)
    assert (ended.status, ended.reason) == (CaptionsStatus.FAILED, "Internal server failure")
    assert world.statuses()[-1] == ("failed", "Internal server failure")
    labels = {"reason": "Internal server failure"}
    name = "sealroute_egress_failures_total"
    assert metric_of(world.metrics, "captions", name, **labels) == 1


async def test_a_tap_that_is_lost_ends_them(world):
    await speaker(world)
    record = await world.start()
    (media,) = world.house.plane.sessions.values()
    media.taps[-1].lose()
    await settle()
    assert (await world.stored(record)).status is CaptionsStatus.FAILED


async def test_the_next_start_ends_what_a_killed_server_left(world):
    await speaker(world)
    record = await world.start()
    await world.captions.recover()
    assert (await world.captions.show(world.project, record.id)).is_running
    world.restart()
    await world.marks.add("of no record")
    await world.captions.recover()
    ended = await world.stored(record)
    assert (ended.status, ended.reason) == (CaptionsStatus.STOPPED, "Internal server failure")
    assert world.statuses() == [("started", ""), ("stopped", "Internal server failure")]
    assert await world.marks.all() == []
    await world.captions.recover()
    assert len(world.statuses()) == 2
    await world.start()


async def test_captions_of_another_node_are_not_ended_here(world):
    await speaker(world)
    record = await world.start()
    await world.marks.remove(record.id)
    world.restart()
    await world.captions.recover()
    assert (await world.stored(record)).is_running
    await refused(world.captions.stop(world.project, record.id), ErrorCode.CAPTIONS_NOT_FOUND)


async def test_the_end_is_shown_and_stored_also_when_the_storage_was_away(world, monkeypatch):
    await speaker(world)
    record = await world.start()
    change, failures = world.captions._store.change_captions, [Unavailable(ErrorCode.OVERLOADED)]

    async def sometimes(ended):
        if failures:
            raise failures.pop()
        return await change(ended)

    monkeypatch.setattr(world.captions._store, "change_captions", sometimes)
    world.run.listener.on_over()
    assert not (await world.captions.show(world.project, record.id)).is_running
    assert not (await world.stored(record)).is_running
    assert not (await world.captions.show(world.project, record.id)).is_running


async def test_captions_of_a_project_that_was_removed_end(world):
    await speaker(world)
    await world.start()
    await world.store.remove_project(world.project.api_key)
    await world.captions.stop_orphans()
    assert world.run.is_left


async def test_a_shutdown_ends_them_with_a_callback(world):
    await speaker(world)
    await world.start()
    await world.captions.close()
    assert world.statuses()[-1] == ("stopped", "session ended")


async def test_an_encrypted_session_has_none_whoever_asks_for_them():
    house = House(e2ee=True)
    ann = await house.joined()
    stream = await ann.publish(has_captions=True)
    ben = await house.joined()
    with pytest.raises(DomainError) as failure:
        ben.ask(m.Subscribe, stream_id=stream, captions=True)
    assert failure.value.code is ErrorCode.CAPTIONS_NEED_CLEAR_MEDIA
    subscriber = await ben.subscribe(stream)
    with pytest.raises(DomainError) as failure:
        ben.ask(m.UpdateSubscriber, subscriber_id=subscriber, captions=True)
    assert failure.value.code is ErrorCode.CAPTIONS_NEED_CLEAR_MEDIA
    ann.ask(m.UpdateStream, stream_id=stream, has_captions=True)
    assert ben.seen(m.StreamPropertyChanged) == []
    assert not any(one.info.has_captions for one in house.actor.state.streams.values())
    with pytest.raises(DomainError) as failure:
        house.actor.apply(CaptionSpoken(StreamId(stream), "pay him", is_final=True))
    assert failure.value.code is ErrorCode.CAPTIONS_NEED_CLEAR_MEDIA
    assert read(ben) == []
    await house.plane.close()


async def test_the_core_refuses_a_tap_of_an_encrypted_session(world):
    sealed = SessionRecord("2_sealed", world.project.api_key, SessionOptions(e2ee=True), 0)
    await world.store.add_session(sealed)
    world.house.record = replace(sealed, session_id="2_session")
    await world.house.joined()
    record = world.start(session=replace(world.house.record))
    await refused(record, ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    assert world.statuses() == []


STATUS_URL = "http://127.0.0.1:9/status"


async def test_a_status_url_gets_the_events_of_its_captions_and_no_others(world):
    await speaker(world)
    record = await world.start(callback_url=STATUS_URL)
    key = world.project.api_key
    (own,) = await world.store.callbacks.known_callbacks_of(key)
    assert own.wants("captions", record.id)
    assert not own.wants("captions", "others")
    assert not own.wants("render", record.id)
    # It is no registration: the application neither sees nor removes it.
    assert await world.store.callbacks.callbacks_of(key) == ()
    await world.captions.stop(world.project, record.id)
    await world.captions.forget_callbacks()
    assert await world.store.callbacks.known_callbacks_of(key) == (own,)
    world.house.time.advance(700)
    await world.captions.forget_callbacks()
    world.store.callbacks.forget_known()
    assert await world.store.callbacks.known_callbacks_of(key) == ()


async def test_a_status_url_that_may_not_be_asked_is_refused_and_a_failed_start_leaves_none(world):
    await speaker(world)
    asked = world.start(callback_url="http://10.0.0.1/status")
    await refused(asked, ErrorCode.INVALID_PARAMETER)
    world.egress.room = 0
    await refused(world.start(callback_url=STATUS_URL), ErrorCode.NO_CAPACITY)
    assert world.notices == []
    assert await world.store.callbacks.known_callbacks_of(world.project.api_key) == ()


@pytest.mark.parametrize("preload", [False, True])
async def test_recognizers_are_loaded_with_the_server_where_the_operator_says_so(world, preload):
    parts = replace(world.captions._parts, settings=CaptionSettings(preload=preload))
    async with running_captions(parts):
        await settle()
        assert world.egress.loads == preload


@pytest.mark.parametrize("later", [False, True])
async def test_recognizers_are_loaded_once_when_somebody_wants_to_read(world, later):
    async with running_captions(world.captions._parts):
        _, stream = await speaker(world)
        ben, cem = await world.house.joined(), await world.house.joined()
        await cem.subscribe(stream)
        subscriber = await ben.subscribe(stream, captions=not later)
        await settle()
        assert world.egress.loads == (not later)
        ben.ask(m.UpdateSubscriber, subscriber_id=subscriber, captions=True)
        await cem.subscribe(stream, captions=True)
        await settle()
        assert world.egress.loads == 1

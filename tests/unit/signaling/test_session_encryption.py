"""Encrypted sessions: hints are relayed, and video that cannot be decrypted is paused."""

import pytest

from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain.commands import KidsDeclared, Leave
from signaling.domain.effects import (
    Broadcast,
    DeclareKidsMedia,
    Effects,
    ForwardSubscriber,
    Send,
)
from signaling.domain.errors import DomainError
from signaling.protocol import messages as m
from tests.domain_room import NEW_KID, OLD_KID, Room, of, sent

A, B = ConnectionId("a"), ConnectionId("b")
S = StreamId("s")
MISMATCH = m.E2eeState(id=5, subscriber_id="sub", state="mismatch", failed=9)
OK = m.E2eeState(id=6, subscriber_id="sub", state="ok")


def declared(room: Room, *kids: bytes) -> Effects:
    """Ann's video has other key ids, and the media has taken them."""
    request = m.DeclareKids(id=9, stream_id="s", mid="1", kids=kids)
    assert room.ask("a", request) == [DeclareKidsMedia(A, S, "1", kids, 9)]
    return room.do(KidsDeclared(A, S, "1", kids, 9))


def held(name: str, who: ConnectionId = B) -> ForwardSubscriber:
    return ForwardSubscriber(who, SubscriberId(name), "video", forwarding=False)


def resumed(name: str, who: ConnectionId = B) -> ForwardSubscriber:
    return ForwardSubscriber(who, SubscriberId(name), "video", forwarding=True)


@pytest.fixture
def room() -> Room:
    """`b` subscribes to the stream `s` of `a`."""
    made = Room(e2ee=True)
    made.join("a")
    made.join("b")
    made.ask("b", m.E2eeReady(id=2, hint=1))
    made.publish("a", "s")
    made.subscribe("b", "s", "sub")
    return made


def test_a_mismatch_holds_video_back_and_audio_goes_on(room: Room) -> None:
    assert room.ask("b", MISMATCH) == [held("sub"), Send(B, m.Ok(re=5))]


def test_a_mismatch_reported_twice_is_one(room: Room) -> None:
    room.ask("b", MISMATCH)
    assert room.ask("b", MISMATCH) == [Send(B, m.Ok(re=5))]


def test_a_match_brings_video_back(room: Room) -> None:
    room.ask("b", MISMATCH)
    effects = room.ask("b", OK)
    assert effects == [resumed("sub"), Send(B, m.Ok(re=6))]
    assert room.ask("b", OK) == [Send(B, m.Ok(re=6))]


def test_a_match_brings_no_video_that_the_client_does_not_want(room: Room) -> None:
    room.ask("b", m.UpdateSubscriber(id=4, subscriber_id="sub", video=False))
    room.ask("b", MISMATCH)
    assert room.ask("b", OK) == [Send(B, m.Ok(re=6))]


def test_wanting_video_does_not_lift_a_mismatch(room: Room) -> None:
    room.ask("b", MISMATCH)
    request = m.UpdateSubscriber(id=4, subscriber_id="sub", video=True)
    assert of(ForwardSubscriber, room.ask("b", request)) == [held("sub")]


def test_the_state_of_encryption_is_refused_on_a_clear_session() -> None:
    clear = Room()
    clear.join("a")
    clear.publish("a", "s")
    clear.subscribe("a", "s", "sub")
    for report in (MISMATCH, OK):
        with pytest.raises(DomainError, match="invalid_parameter"):
            clear.ask("a", report)


def test_the_state_of_others_subscribers_is_refused(room: Room) -> None:
    with pytest.raises(DomainError, match="subscriber_not_found"):
        room.ask("a", MISMATCH)


def test_a_hint_reaches_the_others(room: Room) -> None:
    effects = room.ask("b", m.E2eeReady(id=9, hint=2))
    announced = m.HintAnnounced(connection_id="b", hint=2)
    assert sent(effects, "a") == [announced]
    assert sent(effects, "b") == [m.Ok(re=9)]
    assert of(Broadcast, effects) == [Broadcast(announced, but=B, to=(A,))]


def test_a_hint_reaches_senders_and_those_who_receive_from_its_owner(room: Room) -> None:
    for name in ("viewer", "other"):
        room.join(name)
    room.subscribe("viewer", "s", "viewers")
    from_sender = room.ask("a", m.E2eeReady(id=9, hint=2))
    of_sender = m.HintAnnounced(connection_id="a", hint=2)
    assert sent(from_sender, "b") == sent(from_sender, "viewer") == [of_sender]
    assert sent(from_sender, "other") == []
    from_viewer = room.ask("viewer", m.E2eeReady(id=9, hint=2))
    assert sent(from_viewer, "a") == [m.HintAnnounced(connection_id="viewer", hint=2)]
    assert sent(from_viewer, "b") == sent(from_viewer, "other") == []


def test_who_begins_to_send_hears_what_it_did_not_learn_of(room: Room) -> None:
    room.join("late")
    room.ask("b", m.E2eeReady(id=9, hint=2))
    room.ask("late", m.E2eeReady(id=9, hint=2))
    begun = room.offer("late", "l")
    assert sent(begun, "late") == [m.HintAnnounced(connection_id="b", hint=2)]
    room.ask("b", m.E2eeReady(id=10, hint=3))
    assert sent(room.offer("late", "m"), "late") == []


def test_a_thousand_announcements_reach_the_senders_alone(room: Room) -> None:
    for number in range(1_000):
        room.now_ms += 10
        room.join(f"viewer-{number}")
    reported = [
        one.to
        for number in range(1_000)
        for one in of(Broadcast, room.ask(f"viewer-{number}", m.E2eeReady(id=1, hint=2)))
    ]
    assert reported == [(A,)] * 1_000


def test_a_client_with_another_secret_gets_its_video_again(room: Room) -> None:
    room.publish("a", "t")
    room.subscribe("b", "t", "sub-of-t")
    room.subscribe("b", "s", "again")
    room.subscribe("a", "s", "other")
    for name in ("sub", "sub-of-t", "again"):
        room.ask("b", m.E2eeState(id=5, subscriber_id=name, state="mismatch"))
    room.ask("a", m.E2eeState(id=5, subscriber_id="other", state="mismatch"))
    effects = room.ask("b", m.E2eeReady(id=9, hint=2))
    assert of(ForwardSubscriber, effects) == [
        resumed("sub"),
        resumed("sub-of-t"),
        resumed("again"),
    ]
    assert room.state.subscribers[SubscriberId("other")].mismatched


def test_the_same_hint_again_tries_nothing(room: Room) -> None:
    room.ask("b", MISMATCH)
    effects = room.ask("b", m.E2eeReady(id=9, hint=1))
    assert not of(ForwardSubscriber, effects)


def test_a_stream_under_another_secret_is_tried_again_by_all(room: Room) -> None:
    room.join("c")
    room.subscribe("c", "s", "sub-of-c")
    room.subscribe("c", "s", "silent")
    room.ask("c", m.UpdateSubscriber(id=4, subscriber_id="silent", video=False))
    room.ask("b", MISMATCH)
    for name in ("sub-of-c", "silent"):
        room.ask("c", m.E2eeState(id=5, subscriber_id=name, state="mismatch"))
    assert declared(room, NEW_KID) == [
        resumed("sub"),
        resumed("sub-of-c", ConnectionId("c")),
        Send(A, m.Ok(re=9)),
    ]
    assert not room.state.subscribers[SubscriberId("silent")].mismatched


def test_key_ids_under_the_same_secret_try_nothing(room: Room) -> None:
    room.ask("b", MISMATCH)
    same_hint = b"\x09" * 6 + OLD_KID[-2:]
    assert declared(room, same_hint) == [Send(A, m.Ok(re=9))]


def test_a_stream_that_goes_back_to_the_secret_before_is_tried_again(room: Room) -> None:
    """Its old key id is still declared: the set of hints is the same, their order is not."""
    back = b"\x09" * 6 + OLD_KID[-2:]
    declared(room, OLD_KID, NEW_KID)
    room.ask("b", MISMATCH)
    assert resumed("sub") in declared(room, OLD_KID, NEW_KID, back)


def test_a_new_secret_that_all_have_in_time_asks_no_sender_for_anything(room: Room) -> None:
    members = [f"member-{number}" for number in range(100)]
    for name in members:
        room.join(name)
        room.subscribe(name, "s", f"of-{name}")
    room.do(Leave(ConnectionId(members.pop()), "clientDisconnected"))
    effects: Effects = []
    for name in ("a", "b", *members):
        effects += room.ask(name, m.E2eeReady(id=9, hint=2))
    effects += declared(room, OLD_KID, NEW_KID)
    effects += declared(room, NEW_KID)
    assert not of(ForwardSubscriber, effects)


def test_the_new_key_ids_reported_again_try_nothing(room: Room) -> None:
    declared(room, NEW_KID)
    room.ask("b", MISMATCH)
    assert not of(ForwardSubscriber, declared(room, NEW_KID))


def test_a_mismatch_after_the_trial_holds_video_back_again(room: Room) -> None:
    room.ask("b", MISMATCH)
    room.ask("b", m.E2eeReady(id=9, hint=2))
    assert room.ask("b", MISMATCH) == [held("sub"), Send(B, m.Ok(re=5))]


def test_key_ids_of_an_unknown_track_are_refused(room: Room) -> None:
    with pytest.raises(DomainError, match="track_unknown"):
        room.ask("a", m.DeclareKids(id=9, stream_id="s", mid="7", kids=(NEW_KID,)))

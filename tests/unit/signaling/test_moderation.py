"""What moderators and REST may do to others, and that forced mutes hold."""

import pytest

from sfu.ids import ConnectionId, StreamId
from signaling.domain.commands import (
    RestForceDisconnect,
    RestMuteAll,
    RestMuteStream,
    SetLayoutClasses,
    StreamLive,
)
from signaling.domain.effects import (
    Broadcast,
    CloseConnection,
    ForwardStream,
    Notify,
    Send,
    UnpublishMedia,
)
from signaling.domain.errors import DomainError
from signaling.domain.roles import Role
from signaling.protocol import messages as m
from tests.domain_room import Room, broadcast, of, sent

A, MOD = ConnectionId("a"), ConnectionId("mod")
S = StreamId("s")
OFF = m.UpdateStream(id=3, stream_id="s", has_audio=False)
ON = m.UpdateStream(id=4, stream_id="s", has_audio=True)


@pytest.fixture
def room() -> Room:
    """A moderator, and `a` with the stream `s`."""
    made = Room()
    made.join("mod", Role.MODERATOR)
    made.join("a")
    made.publish("a", "s")
    return made


def muted(stream: str, owner: ConnectionId = A) -> list[object]:
    """What holding one stream back is made of."""
    return [
        Send(owner, m.MuteForced(active=True, stream_id=stream)),
        ForwardStream(owner, StreamId(stream), "audio", forwarding=False),
        Broadcast(m.StreamPropertyChanged(stream_id=stream, has_audio=False)),
    ]


def lifted(room: Room) -> bool:
    return ForwardStream(A, S, "audio", forwarding=True) in room.ask("a", ON)


@pytest.mark.parametrize("role", [Role.SUBSCRIBER, Role.PUBLISHER, Role.PUBLISHER_ONLY])
@pytest.mark.parametrize(
    "request_",
    [
        m.ForceDisconnect(id=2, connection_id="a"),
        m.ForceUnpublish(id=2, stream_id="s"),
        m.ForceMuteStream(id=2, stream_id="s"),
        m.ForceMuteAll(id=2, active=True),
    ],
    ids=lambda request: type(request).__name__,
)
def test_only_moderators_moderate(room: Room, role: Role, request_: m.Request) -> None:
    room.join("x", role)
    with pytest.raises(DomainError, match="permission_denied"):
        room.ask("x", request_)
    assert list(room.state.connections) == ["mod", "a", "x"]
    assert not room.state.stream("s").muted
    assert not room.state.mute_forced


def test_a_moderator_ends_a_connection(room: Room) -> None:
    effects = room.ask("mod", m.ForceDisconnect(id=2, connection_id="a"))
    assert broadcast(effects) == [
        m.StreamDestroyed(stream_id="s", reason="forceDisconnected"),
        m.ConnectionDestroyed(connection_id="a", reason="forceDisconnected"),
    ]
    assert CloseConnection(A, "forceDisconnected") in effects
    assert effects[-1] == Send(MOD, m.Ok(re=2))


def test_a_moderator_ends_a_stream_and_its_publisher_stays(room: Room) -> None:
    effects = room.ask("mod", m.ForceUnpublish(id=2, stream_id="s"))
    assert UnpublishMedia(A, S) in effects
    assert broadcast(effects) == [m.StreamDestroyed(stream_id="s", reason="forceUnpublished")]
    assert Notify("streamDestroyed", "s", "forceUnpublished") in effects
    assert list(room.state.connections) == ["mod", "a"]


def test_what_does_not_exist_cannot_be_moderated(room: Room) -> None:
    room.offer("a", "pending")
    with pytest.raises(DomainError, match="connection_not_found"):
        room.ask("mod", m.ForceDisconnect(id=2, connection_id="x"))
    with pytest.raises(DomainError, match="connection_not_found"):
        room.do(RestForceDisconnect(ConnectionId("x")))
    for stream in ("x", "pending"):
        with pytest.raises(DomainError, match="stream_not_found"):
            room.ask("mod", m.ForceUnpublish(id=2, stream_id=stream))
        with pytest.raises(DomainError, match="stream_not_found"):
            room.ask("mod", m.ForceMuteStream(id=2, stream_id=stream))
        with pytest.raises(DomainError, match="stream_not_found"):
            room.do(RestMuteStream(StreamId(stream)))


def test_rest_ends_a_connection(room: Room) -> None:
    assert CloseConnection(A, "forceDisconnected") in room.do(RestForceDisconnect(A))


def test_a_muted_stream_is_held_back_and_everybody_sees_it(room: Room) -> None:
    effects = room.ask("mod", m.ForceMuteStream(id=2, stream_id="s"))
    assert effects == [*muted("s"), Send(MOD, m.Ok(re=2))]
    (welcome,) = sent(room.join("late"), "late")
    assert welcome.streams[0].has_audio is False


def test_rest_mutes_a_stream_the_same_way(room: Room) -> None:
    assert room.do(RestMuteStream(S)) == muted("s")


def test_a_stream_without_audio_is_not_muted(room: Room) -> None:
    room.publish("a", "picture", (("1", "video"),))
    assert room.do(RestMuteStream(StreamId("picture"))) == []


def test_a_publisher_that_did_not_comply_cannot_unmute(room: Room) -> None:
    room.do(RestMuteStream(S))
    effects = room.ask("a", ON)
    reported_again = Send(A, m.MuteForced(active=True, stream_id="s"))
    assert effects == [reported_again, Send(A, m.Ok(re=4))]
    assert room.state.stream("s").info.has_audio is False


def test_a_publisher_that_complied_may_unmute(room: Room) -> None:
    room.do(RestMuteStream(S))
    room.ask("a", OFF)
    effects = room.ask("a", ON)
    assert ForwardStream(A, S, "audio", forwarding=True) in effects
    assert broadcast(effects) == [m.StreamPropertyChanged(stream_id="s", has_audio=True)]


def test_complying_repeats_to_nobody_what_they_know(room: Room) -> None:
    room.do(RestMuteStream(S))
    assert room.ask("a", OFF) == [Send(A, m.Ok(re=3))]


def test_other_properties_change_while_muted(room: Room) -> None:
    room.do(RestMuteStream(S))
    request = m.UpdateStream(id=4, stream_id="s", has_audio=True, has_video=False)
    effects = room.ask("a", request)
    assert broadcast(effects) == [m.StreamPropertyChanged(stream_id="s", has_video=False)]


def test_a_mute_after_an_unmute_holds_as_the_first_did(room: Room) -> None:
    room.do(RestMuteStream(S))
    room.ask("a", OFF)
    assert lifted(room)
    room.do(RestMuteStream(S))
    assert not lifted(room)


def test_muting_twice_is_no_compliance(room: Room) -> None:
    room.do(RestMuteStream(S))
    assert broadcast(room.do(RestMuteStream(S))) == []
    assert not lifted(room)


def test_who_was_silent_at_the_mute_complied(room: Room) -> None:
    room.ask("a", OFF)
    effects = room.do(RestMuteStream(S))
    assert broadcast(effects) == []
    assert lifted(room)


def test_a_mute_of_all_mutes_the_moderator_too(room: Room) -> None:
    room.publish("mod", "own")
    effects = room.ask("mod", m.ForceMuteAll(id=2, active=True))
    assert effects == [
        Broadcast(m.MuteForced(active=True)),
        *muted("s"),
        *muted("own", MOD),
        Send(MOD, m.Ok(re=2)),
    ]


def test_excluded_streams_are_spared(room: Room) -> None:
    room.publish("mod", "own")
    request = m.ForceMuteAll(id=2, active=True, excluded_stream_ids=("own", "unknown"))
    effects = room.ask("mod", request)
    assert effects == [Broadcast(m.MuteForced(active=True)), *muted("s"), Send(MOD, m.Ok(re=2))]
    own = m.UpdateStream(id=5, stream_id="own", has_audio=True)
    assert broadcast(room.ask("mod", own)) == [
        m.StreamPropertyChanged(stream_id="own", has_audio=True)
    ]


def test_rest_mutes_all_but_the_excluded(room: Room) -> None:
    room.publish("mod", "own")
    effects = room.do(RestMuteAll(active=True, excluded=(S,)))
    assert effects == [Broadcast(m.MuteForced(active=True)), *muted("own", MOD)]


def test_streams_published_later_are_muted_until_it_ends(room: Room) -> None:
    room.do(RestMuteAll(active=True))
    effects = room.publish("a", "later")
    assert [type(message) for message in broadcast(effects)] == [
        m.StreamCreated,
        m.StreamPropertyChanged,
    ]
    assert ForwardStream(A, StreamId("later"), "audio", forwarding=False) in effects
    assert room.do(RestMuteAll(active=False)) == [Broadcast(m.MuteForced(active=False))]
    assert not of(ForwardStream, room.publish("a", "last"))


def test_a_mute_of_all_holds_even_after_compliance_until_it_ends(room: Room) -> None:
    room.do(RestMuteAll(active=True))
    assert not lifted(room)
    room.ask("a", OFF)
    assert not lifted(room)
    room.do(RestMuteAll(active=False))
    assert lifted(room)


def test_a_stream_that_is_not_live_is_muted_once_it_is(room: Room) -> None:
    room.offer("a", "pending")
    effects = room.do(RestMuteAll(active=True))
    assert effects == [Broadcast(m.MuteForced(active=True)), *muted("s")]
    live = room.do(StreamLive(StreamId("pending")))
    assert live[-3:] == muted("pending")


def test_the_end_of_a_mute_of_all_does_not_unmute_by_itself(room: Room) -> None:
    room.do(RestMuteAll(active=True))
    assert not of(ForwardStream, room.do(RestMuteAll(active=False)))
    assert room.state.stream("s").muted


def test_late_members_learn_that_a_mute_of_all_is_in_force(room: Room) -> None:
    room.do(RestMuteAll(active=True))
    (welcome,) = sent(room.join("late"), "late")
    assert welcome.mute_forced is True


def test_layout_classes_change_all_or_none(room: Room) -> None:
    with pytest.raises(DomainError, match="stream_not_found"):
        room.do(SetLayoutClasses(((S, ("full",)), (StreamId("x"), ("left",)))))
    assert room.state.stream("s").layout_classes == ()
    assert room.do(SetLayoutClasses(((S, ("full",)),))) == []
    assert room.state.stream("s").layout_classes == ("full",)

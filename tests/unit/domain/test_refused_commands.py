"""A refused command leaves the Session as it was; only the rates know of it.

Each command and each request of a client has rows here, or is named as one that is never refused.
"""

import re
from collections.abc import Callable

import pytest

from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain import commands as c
from signaling.domain.effects import Effects
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.roles import Role
from signaling.domain.session import COMMANDS, REQUESTS, handle
from signaling.protocol import messages as m
from tests.domain_room import NEW_KID, OLD_KID, Room, limits_with

E = ErrorCode
NOBODY, NOTHING = ConnectionId("nobody"), StreamId("nothing")
LIMITS = {"streams_per_connection": 2, "subscribers_per_connection": 2, "connections": 5}
TRACKS = (m.TrackOffer(mid="0", kind="audio", kids=(OLD_KID,)),)
_BUCKET = re.compile(r"Bucket\([^)]*\)")


def rows_of(room: Room) -> str:
    """All that a Session knows, but for how much of the rates was used."""
    return _BUCKET.sub("Bucket", repr(room.state))


def encrypted() -> Room:
    """Ann publishes, and so does Mod, a moderator; Ben takes both of Ann's streams. Eve may only
    look on, and Dan has nothing yet."""
    room = Room(e2ee=True, limits=limits_with(**LIMITS))
    room.join("ann", token=b"t")
    for name, role in (("ben", Role.PUBLISHER), ("mod", Role.MODERATOR), ("eve", Role.SUBSCRIBER)):
        room.join(name, role)
    for stream in ("cam", "screen"):
        room.publish("ann", stream)
    room.publish("mod", "desk")
    room.offer("mod", "soon")
    for stream in ("cam", "screen"):
        room.subscribe("ben", stream, f"{stream}-of-ben")
    mismatch = m.E2eeState(
        id=1, subscriber_id="cam-of-ben", state="mismatch", decrypted=1, failed=9
    )
    room.ask("ben", mismatch)
    room.ask("ann", m.E2eeReady(id=1, hint=10))
    room.do(c.RestSignal("", ""))
    room.do(c.RestMuteStream(StreamId("screen")))
    return room


def clear() -> Room:
    room = Room()
    room.join("ann")
    room.join("ben")
    room.publish("ann", "cam")
    room.subscribe("ben", "cam", "cam-of-ben")
    return room


def relayed() -> Room:
    room = Room(relayed=True)
    for name in ("ann", "ben", "dan"):
        room.join(name)
    room.ask("ann", m.Publish(id=1, tracks=TRACKS), "cam")
    room.subscribe("ben", "cam", "one")
    room.subscribe("ben", "cam", "two")
    for kind, who in (("offer", "ann"), ("answer", "ben")):
        room.ask(who, m.PeerDescription(id=1, subscriber_id="one", type=kind, sdp="v=0"))
    return room


Row = tuple[str, m.Request, ErrorCode]
# Client, request in the encrypted session, and the refusal.
ASKED: list[Row] = [
    ("eve", m.Publish(id=1, tracks=TRACKS), E.PERMISSION_DENIED),
    ("ann", m.Publish(id=1, tracks=TRACKS, e2ee_format="e2ee/2"), E.STREAM_LIMIT),
    ("ben", m.Publish(id=1, tracks=TRACKS), E.E2EE_REQUIRED),
    ("ben", m.Publish(id=1, tracks=TRACKS, e2ee_format="e2ee/1"), E.E2EE_REQUIRED),
    ("ann", m.Unpublish(id=1, stream_id=NOTHING), E.STREAM_NOT_FOUND),
    ("ben", m.Unpublish(id=1, stream_id="cam"), E.PERMISSION_DENIED),
    ("ann", m.UpdateStream(id=1, stream_id=NOTHING, has_audio=False), E.STREAM_NOT_FOUND),
    ("mod", m.UpdateStream(id=1, stream_id="cam", has_audio=False), E.PERMISSION_DENIED),
    ("ann", m.DeclareKids(id=1, stream_id=NOTHING, mid="0", kids=(NEW_KID,)), E.STREAM_NOT_FOUND),
    ("ben", m.DeclareKids(id=1, stream_id="cam", mid="0", kids=(NEW_KID,)), E.PERMISSION_DENIED),
    ("ann", m.DeclareKids(id=1, stream_id="cam", mid="7", kids=(NEW_KID,)), E.TRACK_UNKNOWN),
    ("mod", m.Subscribe(id=1, stream_id=NOTHING), E.STREAM_NOT_FOUND),
    ("ben", m.Subscribe(id=1, stream_id="soon"), E.STREAM_NOT_FOUND),
    ("ben", m.Subscribe(id=1, stream_id="desk"), E.SUBSCRIBER_LIMIT),
    ("ann", m.RestartIce(id=1, direction="uplink"), E.INVALID_PARAMETER),
    ("ann", m.RestartIce(id=1, direction="downlink", offer="v=0"), E.INVALID_PARAMETER),
    ("ann", m.UpdateSubscriber(id=1, subscriber_id="cam-of-ben"), E.SUBSCRIBER_NOT_FOUND),
    ("ben", m.UpdateSubscriber(id=1, subscriber_id="x", audio=False), E.SUBSCRIBER_NOT_FOUND),
    ("ann", m.Unsubscribe(id=1, subscriber_id="cam-of-ben"), E.SUBSCRIBER_NOT_FOUND),
    ("ben", m.Unsubscribe(id=1, subscriber_id="x"), E.SUBSCRIBER_NOT_FOUND),
    (
        "ann",
        m.PeerDescription(id=1, subscriber_id="cam-of-ben", type="offer", sdp="v=0"),
        E.INVALID_PARAMETER,
    ),
    (
        "ann",
        m.PeerCandidate(id=1, subscriber_id="cam-of-ben", candidate="", mid="0"),
        E.INVALID_PARAMETER,
    ),
    ("ann", m.E2eeState(id=1, subscriber_id="cam-of-ben", state="ok"), E.SUBSCRIBER_NOT_FOUND),
    ("eve", m.Signal(id=1, encrypted=b"x"), E.PERMISSION_DENIED),
    ("ann", m.Signal(id=1, data="clear"), E.SIGNAL_NOT_ENCRYPTED),
    ("ann", m.Signal(id=1, data="clear", encrypted=b"x"), E.INVALID_PARAMETER),
    ("ann", m.Signal(id=1, encrypted=b"x" * 9_000), E.SIGNAL_TOO_LONG),
    ("ann", m.Signal(id=1, type="a b", encrypted=b"x"), E.INVALID_PARAMETER),
    ("ann", m.Signal(id=1, encrypted=b"x", to=NOBODY), E.CONNECTION_NOT_FOUND),
    ("ann", m.ForceDisconnect(id=1, connection_id="ben"), E.PERMISSION_DENIED),
    ("mod", m.ForceDisconnect(id=1, connection_id=NOBODY), E.CONNECTION_NOT_FOUND),
    ("ann", m.ForceUnpublish(id=1, stream_id="desk"), E.PERMISSION_DENIED),
    ("mod", m.ForceUnpublish(id=1, stream_id=NOTHING), E.STREAM_NOT_FOUND),
    ("mod", m.ForceUnpublish(id=1, stream_id="soon"), E.STREAM_NOT_FOUND),
    ("ann", m.ForceMuteStream(id=1, stream_id="desk"), E.PERMISSION_DENIED),
    ("mod", m.ForceMuteStream(id=1, stream_id=NOTHING), E.STREAM_NOT_FOUND),
    ("ann", m.ForceMuteAll(id=1, active=True), E.PERMISSION_DENIED),
]
# The same in Sessions of other kinds.
ASKED_ELSEWHERE: list[tuple[Callable[[], Room], Row]] = [
    (
        clear,
        ("ben", m.E2eeState(id=1, subscriber_id="cam-of-ben", state="ok"), E.INVALID_PARAMETER),
    ),
    (clear, ("ben", m.Signal(id=1, encrypted=b"x"), E.INVALID_PARAMETER)),
    (clear, ("ben", m.E2eeReady(id=1, hint=7), E.INVALID_PARAMETER)),
    (clear, ("ben", m.Signal(id=1, data="x" * 9_000), E.SIGNAL_TOO_LONG)),
    (relayed, ("ben", m.Publish(id=1, tracks=TRACKS, offer="v=0"), E.INVALID_PARAMETER)),
    (relayed, ("ann", m.Subscribe(id=1, stream_id="cam"), E.INVALID_PARAMETER)),
    (relayed, ("ben", m.Subscribe(id=1, stream_id="cam"), E.SUBSCRIBER_LIMIT)),
    (relayed, ("ben", m.RestartIce(id=1, direction="downlink"), E.INVALID_PARAMETER)),
    *(
        (relayed, (who, m.PeerDescription(id=1, subscriber_id=name, type=kind, sdp="v=0"), code))
        for who, name, kind, code in (
            ("ben", "one", "offer", E.INVALID_PARAMETER),
            ("ann", "one", "answer", E.INVALID_PARAMETER),
            ("dan", "one", "offer", E.SUBSCRIBER_NOT_FOUND),
            ("ann", "x", "offer", E.SUBSCRIBER_NOT_FOUND),
        )
    ),
    *(
        (relayed, (who, m.PeerCandidate(id=1, subscriber_id=name, candidate="", mid="0"), code))
        for who, name, code in (
            ("dan", "one", E.SUBSCRIBER_NOT_FOUND),
            ("ann", "x", E.SUBSCRIBER_NOT_FOUND),
        )
    ),
]
NEVER_REFUSED_REQUESTS = {m.DownlinkAnswer, m.Ping, m.Bye}
"""Unless their sender asks too often or is not there; an answer is refused by the media."""


def joins(room: Room, formats: tuple[str, ...] = ("e2ee/2",), token: bytes = b"") -> Effects:
    return room.join("new", formats=formats, token=token)


def play(connection: str, stream: str) -> Callable[[Room], Effects]:
    command = c.Play(ConnectionId(connection), SubscriberId("p"), StreamId(stream))
    return lambda room: room.do(command)


def layouts(room: Room) -> Effects:
    """The first stream of the two is there."""
    return room.do(c.SetLayoutClasses(((StreamId("cam"), ("full",)), (NOTHING, ("full",)))))


COMMANDED: list[tuple[type, Callable[[Room], Effects], ErrorCode]] = [
    (c.Join, lambda room: joins(room, formats=()), E.E2EE_UNSUPPORTED),
    (c.Join, lambda room: joins(room, formats=("e2ee/1",)), E.E2EE_UNSUPPORTED),
    (c.Resume, lambda room: room.do(c.Resume(NOBODY, 1, "r")), E.NOT_CONNECTED),
    (c.Play, play("nobody", "cam"), E.NOT_CONNECTED),
    (c.Play, play("mod", "nothing"), E.STREAM_NOT_FOUND),
    (c.Play, play("mod", "soon"), E.STREAM_NOT_FOUND),
    (c.Play, play("ben", "desk"), E.SUBSCRIBER_LIMIT),
    (c.RestSignal, lambda room: room.do(c.RestSignal("", "x", NOBODY)), E.CONNECTION_NOT_FOUND),
    (c.RestSignal, lambda room: room.do(c.RestSignal("", "x" * 9_000)), E.SIGNAL_TOO_LONG),
    (c.RestSignal, lambda room: room.do(c.RestSignal("a b", "x")), E.INVALID_PARAMETER),
    (
        c.RestForceDisconnect,
        lambda room: room.do(c.RestForceDisconnect(NOBODY)),
        E.CONNECTION_NOT_FOUND,
    ),
    (c.RestMuteStream, lambda room: room.do(c.RestMuteStream(NOTHING)), E.STREAM_NOT_FOUND),
    (
        c.RestMuteStream,
        lambda room: room.do(c.RestMuteStream(StreamId("soon"))),
        E.STREAM_NOT_FOUND,
    ),
    (c.SetLayoutClasses, layouts, E.STREAM_NOT_FOUND),
    (
        c.ArchiveBegan,
        lambda room: room.do(c.ArchiveBegan("a", "n")),
        E.FEATURE_NEEDS_CLEAR_MEDIA,
    ),
    (
        c.CaptionSpoken,
        lambda room: room.do(c.CaptionSpoken(StreamId("s"), "x", is_final=True)),
        E.CAPTIONS_NEED_CLEAR_MEDIA,
    ),
]
NEVER_REFUSED = {
    c.Announce,
    c.Leave,
    c.TransportEnded,
    c.MediaPublished,
    c.KidsDeclared,
    c.MediaRefused,
    c.StreamLive,
    c.StreamSpeaks,
    c.UnencryptedDropped,
    c.RestMuteAll,
    c.ArchiveEnded,
}
"""What the server finds out or does itself; of what is gone there is nothing to do."""


def refused(room: Room, act: Callable[[Room], Effects], code: ErrorCode) -> None:
    before = rows_of(room)
    with pytest.raises(DomainError) as failed:
        act(room)
    assert failed.value.code is code
    assert rows_of(room) == before


def test_every_request_has_a_row_or_is_never_refused() -> None:
    asked = {type(message) for _, message, _ in ASKED}
    asked |= {type(message) for _, (_, message, _) in ASKED_ELSEWHERE}
    assert asked | NEVER_REFUSED_REQUESTS == set(REQUESTS)
    assert not asked & NEVER_REFUSED_REQUESTS


def test_every_command_has_a_row_or_is_never_refused() -> None:
    commanded = {kind for kind, _, _ in COMMANDED}
    assert commanded | NEVER_REFUSED == set(COMMANDS)
    assert not commanded & NEVER_REFUSED


def named(row: Row) -> str:
    return f"{row[0]} {type(row[1]).__name__} {row[2]}"


@pytest.mark.parametrize("row", ASKED, ids=named)
def test_a_refused_request_leaves_the_session_as_it_was(row: Row) -> None:
    who, message, code = row
    refused(encrypted(), lambda room: room.ask(who, message), code)


@pytest.mark.parametrize(
    ("make", "row"),
    [pytest.param(make, row, id=f"{make.__name__} {named(row)}") for make, row in ASKED_ELSEWHERE],
)
def test_so_it_is_in_clear_and_relayed_sessions(make: Callable[[], Room], row: Row) -> None:
    who, message, code = row
    refused(make(), lambda room: room.ask(who, message), code)


@pytest.mark.parametrize("row", COMMANDED, ids=lambda row: f"{row[0].__name__} {row[2]}")
def test_a_refused_command_leaves_the_session_as_it_was(
    row: tuple[type, Callable[[Room], Effects], ErrorCode],
) -> None:
    refused(encrypted(), row[1], row[2])


def test_a_join_beyond_the_limit_leaves_a_full_session_as_it_was() -> None:
    room = encrypted()
    room.join("dan")
    refused(room, joins, E.CONNECTION_LIMIT)


@pytest.mark.parametrize("kind", REQUESTS)
def test_who_asks_too_often_or_is_not_there_changes_nothing(kind: type) -> None:
    """The message is not looked at by then, so any will do."""
    asked = [message for _, message, _ in ASKED if type(message) is kind]
    asked += [message for _, (_, message, _) in ASKED_ELSEWHERE if type(message) is kind]
    (message, *_) = asked or [
        {
            m.DownlinkAnswer: m.DownlinkAnswer(id=1, offer_id=1, sdp="v=0"),
            m.Ping: m.Ping(id=1),
            m.Bye: m.Bye(id=1),
        }[kind]
    ]
    room = encrypted()
    refused(room, lambda room: room.ask(NOBODY, message), E.NOT_CONNECTED)
    room.state.connections[ConnectionId("ann")].requests.tokens = 0.0
    refused(room, lambda room: room.ask("ann", message), E.RATE_LIMITED)


FANS_OUT = [kind for kind, row in REQUESTS.items() if row.fans_out]


@pytest.mark.parametrize("kind", FANS_OUT)
def test_who_has_notified_others_too_much_changes_nothing(kind: type) -> None:
    fine = {
        m.Publish: ("mod", m.Publish(id=1, tracks=TRACKS, e2ee_format="e2ee/2")),
        m.UpdateStream: ("ann", m.UpdateStream(id=1, stream_id="cam", has_audio=False)),
        m.E2eeReady: ("ann", m.E2eeReady(id=1, hint=9)),
        m.Signal: ("ann", m.Signal(id=1, encrypted=b"x")),
        m.ForceMuteAll: ("mod", m.ForceMuteAll(id=1, active=True)),
    }
    who, message = fine[kind]
    room = encrypted()
    room.state.connections[ConnectionId(who)].fan_out.tokens = 0.0
    refused(room, lambda room: room.ask(who, message), E.RATE_LIMITED)


def test_joins_and_signals_beyond_their_rates_change_nothing() -> None:
    room = encrypted()
    room.state.joins.tokens = 0.0
    refused(room, joins, E.RATE_LIMITED)
    room = encrypted()
    room.state.joins_by_token[b"t"].tokens = 0.0
    refused(room, lambda room: joins(room, token=b"t"), E.RATE_LIMITED)
    room = encrypted()
    room.state.rest_fan_out.tokens = 0.0
    refused(room, lambda room: handle(room.state, c.RestSignal("", "x"), 1_000), E.RATE_LIMITED)


def test_what_two_clients_pass_on_too_fast_changes_nothing() -> None:
    room = relayed()
    room.state.connections[ConnectionId("ann")].passed.tokens = 0.0
    passed = m.PeerDescription(id=1, subscriber_id="one", type="offer", sdp="v=0")
    refused(room, lambda room: room.ask("ann", passed), E.RATE_LIMITED)

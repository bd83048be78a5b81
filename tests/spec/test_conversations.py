"""Two or three clients and what each of them hears, from joining to leaving."""

import asyncio

import pytest

from sfu.core_api import Direction, MediaKind
from sfu.ids import ConnectionId, StreamId
from signaling.domain.commands import RestForceDisconnect, RestSignal
from signaling.domain.errors import DomainError
from signaling.domain.roles import Role
from signaling.protocol import messages as m
from tests.conversation import KID, OTHER_KID, House, settle

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO


# --- joining and leaving --------------------------------------------------------------------


async def test_clients_learn_of_each_other_and_of_the_end() -> None:
    house = House()
    ann = await house.joined()
    bob = await house.joined()
    assert [c.connection_id for c in bob.welcome.connections] == [ann.connection, bob.connection]
    (created,) = ann.seen(m.ConnectionCreated)
    assert created.connection.connection_id == bob.connection
    assert isinstance(bob.ask(m.Bye), m.Ok)
    assert bob.socket.closed == "clientDisconnected"
    (gone,) = ann.seen(m.ConnectionDestroyed)
    assert (gone.connection_id, gone.reason) == (bob.connection, "clientDisconnected")
    assert bob.connection not in house.plane.sessions["2_session"].clients


async def test_a_stream_is_seen_by_all_and_received_by_who_subscribes() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish(name="camera")
    for client in (ann, bob):
        (created,) = client.seen(m.StreamCreated)
        assert (created.stream.stream_id, created.stream.name) == (stream, "camera")
    subscriber = await bob.subscribe(stream)
    (offer,) = bob.seen(m.DownlinkOffer)
    assert {track.subscriber_id for track in offer.tracks} == {subscriber}
    assert bob.seen(m.SubscriberConnected) == [m.SubscriberConnected(subscriber_id=subscriber)]
    assert isinstance(ann.ask(m.Unpublish, stream_id=stream), m.Ok)
    (ended,) = bob.seen(m.StreamDestroyed)
    assert (ended.stream_id, ended.reason) == (stream, "clientDisconnected")
    assert not bob.media.subscribers


async def test_who_joins_late_subscribes_to_what_is_there() -> None:
    house = House()
    ann = await house.joined()
    stream = await ann.publish()
    bob = await house.joined()
    assert [s.stream_id for s in bob.welcome.streams] == [stream]
    await bob.subscribe(stream)
    assert len(bob.media.subscribers) == 1


async def test_unwanted_audio_or_video_is_held_back_from_the_start() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish()
    subscriber = await bob.subscribe(stream, video=False)
    assert not bob.forwarded(subscriber, VIDEO)
    assert bob.forwarded(subscriber, AUDIO)
    bob.ask(m.UpdateSubscriber, subscriber_id=subscriber, video=True)
    assert bob.forwarded(subscriber, VIDEO)


async def test_preferred_layers_keep_what_an_update_does_not_name() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    size = m.Dimensions(width=320, height=180)
    subscriber = await bob.subscribe(await ann.publish(), preferred_resolution=size)
    bob.ask(m.UpdateSubscriber, subscriber_id=subscriber, preferred_frame_rate=15)
    preferred = bob.media.subscribers[subscriber].preferred
    assert (preferred.max_width_px, preferred.max_height_px, preferred.max_frame_rate) == (
        320,
        180,
        15.0,
    )


async def test_a_lost_uplink_ends_the_streams_and_publishing_again_works() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish()
    subscriber = await bob.subscribe(stream)
    ann.media.lose(Direction.UPLINK)
    await settle()
    assert ann.seen(m.TransportLost) == [m.TransportLost(direction="uplink")]
    (ended,) = bob.seen(m.StreamDestroyed)
    assert ended.reason == "networkDisconnected"
    with pytest.raises(DomainError, match="subscriber_not_found"):
        bob.ask(m.Unsubscribe, subscriber_id=subscriber)
    again = await ann.publish()
    assert [s.stream.stream_id for s in bob.seen(m.StreamCreated)][-1] == again


async def test_a_lost_downlink_frees_its_subscribers() -> None:
    house = House(subscribers_per_connection=1)
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish()
    await bob.subscribe(stream)
    bob.media.lose(Direction.DOWNLINK)
    await settle()
    assert bob.seen(m.TransportLost) == [m.TransportLost(direction="downlink")]
    await bob.subscribe(stream)
    assert len(bob.media.subscribers) == 1


# --- offers that are refused or slow --------------------------------------------------------


async def test_a_refused_offer_is_answered_as_an_error_and_nobody_else_hears_of_it() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    track = m.TrackOffer(mid="0", kind="audio")
    ann.send(m.Publish(id=77, offer="not an SDP", tracks=(track,)))
    await settle()
    failed = ann.answer_to(77)
    assert isinstance(failed, m.Error)
    assert (failed.code, failed.name) == ("sdp_invalid", "OT_SET_REMOTE_DESCRIPTION_FAILED")
    assert not bob.seen(m.StreamCreated)
    assert not house.actor.state.streams
    assert await ann.publish()


async def test_an_answer_without_an_offer_is_refused() -> None:
    house = House()
    ann = await house.joined()
    answer = ann.ask(m.DownlinkAnswer, offer_id=3, sdp="v=0")
    assert isinstance(answer, m.Error)
    assert answer.code == "answer_unexpected"


async def test_a_slow_negotiation_of_one_client_keeps_nobody_waiting() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    gate = asyncio.Event()
    negotiate = ann.media.publish

    async def slowly(*args: object) -> object:
        await gate.wait()
        return await negotiate(*args)

    ann.media.publish = slowly
    first = ann.start_publish()
    await settle()
    assert isinstance(ann.ask(m.Ping), m.Pong)
    stream = await bob.publish()
    assert [s.stream.stream_id for s in ann.seen(m.StreamCreated)] == [stream]
    gate.set()
    await settle()
    assert isinstance(ann.answer_to(first), m.Published)


async def test_a_stream_that_is_unpublished_while_it_is_negotiated_never_appears() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    number = ann.start_publish()
    (stream,) = house.actor.state.streams
    assert isinstance(ann.ask(m.Unpublish, stream_id=stream), m.Ok)
    await settle()
    assert not bob.seen(m.StreamCreated)
    assert stream not in house.plane.sessions["2_session"].streams
    assert not [x for x in ann.inbox if isinstance(x, m.Published) and x.re == number]


async def test_a_client_that_leaves_while_it_negotiates_leaves_nothing() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    ann.start_publish()
    ann.ask(m.Bye)
    await settle()
    assert not bob.seen(m.StreamCreated)
    assert not house.plane.sessions["2_session"].streams


# --- signals --------------------------------------------------------------------------------


async def test_signals_reach_all_one_or_those_the_application_means() -> None:
    house = House()
    ann, bob, eve = [await house.joined() for _ in range(3)]
    assert isinstance(ann.ask(m.Signal, type="chat", data="hi"), m.Ok)
    reported = m.SignalReceived(from_=ann.connection, type="chat", data="hi")
    assert [client.seen(m.SignalReceived) for client in (ann, bob, eve)] == [[reported]] * 3
    ann.ask(m.Signal, to=bob.connection, data="psst")
    assert [len(client.seen(m.SignalReceived)) for client in (ann, bob, eve)] == [0, 1, 0]
    house.actor.apply(RestSignal("news", "x", ConnectionId(eve.connection)))
    assert eve.seen(m.SignalReceived) == [m.SignalReceived(type="news", data="x")]


async def test_an_encrypted_signal_arrives_byte_for_byte() -> None:
    house = House(e2ee=True)
    ann, bob = await house.joined(), await house.joined()
    encrypted = bytes(range(256))
    ann.ask(m.Signal, encrypted=encrypted)
    (received,) = bob.seen(m.SignalReceived)
    assert (received.encrypted, received.data) == (encrypted, None)


# --- moderation -----------------------------------------------------------------------------


async def test_a_forced_mute_holds_until_the_publisher_complied() -> None:
    house = House()
    ann, mod = await house.joined(), await house.joined(Role.MODERATOR)
    stream = await ann.publish()
    assert isinstance(mod.ask(m.ForceMuteStream, stream_id=stream), m.Ok)
    assert ann.seen(m.MuteForced) == [m.MuteForced(active=True, stream_id=stream)]
    assert not house.stream(stream).forwarding[AUDIO]
    silent = m.StreamPropertyChanged(stream_id=stream, has_audio=False)
    assert mod.seen(m.StreamPropertyChanged) == [silent]
    ann.ask(m.UpdateStream, stream_id=stream, has_audio=True)
    assert not house.stream(stream).forwarding[AUDIO]
    assert ann.seen(m.MuteForced) == [m.MuteForced(active=True, stream_id=stream)]
    ann.ask(m.UpdateStream, stream_id=stream, has_audio=False)
    ann.ask(m.UpdateStream, stream_id=stream, has_audio=True)
    assert house.stream(stream).forwarding[AUDIO]
    assert mod.seen(m.StreamPropertyChanged) == [
        m.StreamPropertyChanged(stream_id=stream, has_audio=True)
    ]


async def test_a_mute_of_all_reaches_later_streams_until_it_ends() -> None:
    house = House()
    ann, mod = await house.joined(), await house.joined(Role.MODERATOR)
    own = await mod.publish()
    mod.ask(m.ForceMuteAll, active=True, excluded_stream_ids=(own,))
    assert ann.seen(m.MuteForced) == [m.MuteForced(active=True)]
    assert AUDIO not in house.stream(own).forwarding
    stream = await ann.publish()
    assert not house.stream(stream).forwarding[AUDIO]
    late = await house.joined()
    assert late.welcome.mute_forced
    mod.ask(m.ForceMuteAll, active=False)
    free = await late.publish()
    assert AUDIO not in house.stream(free).forwarding


async def test_who_is_kicked_hears_why_and_may_come_back_with_its_token() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    mod = await house.joined(Role.MODERATOR)
    stream = await ann.publish()
    await bob.subscribe(stream)
    assert isinstance(mod.ask(m.ForceDisconnect, connection_id=ann.connection), m.Ok)
    assert ann.socket.closed == "forceDisconnected"
    assert [x.reason for x in bob.seen(m.StreamDestroyed)] == ["forceDisconnected"]
    assert [x.reason for x in bob.seen(m.ConnectionDestroyed)] == ["forceDisconnected"]
    assert not ann.resume()
    with pytest.raises(DomainError, match="not_connected"):
        ann.ask(m.Ping)
    again = await house.joined()
    assert again.connection != ann.connection


async def test_rest_kicks_the_same_way() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    house.actor.apply(RestForceDisconnect(ann.connection))
    assert ann.socket.closed == "forceDisconnected"
    assert [x.connection_id for x in bob.seen(m.ConnectionDestroyed)] == [ann.connection]


async def test_a_moderator_ends_a_stream_of_another() -> None:
    house = House()
    ann, mod = await house.joined(), await house.joined(Role.MODERATOR)
    stream = await ann.publish()
    mod.ask(m.ForceUnpublish, stream_id=stream)
    assert [x.reason for x in ann.seen(m.StreamDestroyed)] == ["forceUnpublished"]
    assert StreamId(stream) not in house.plane.sessions["2_session"].streams
    assert ann.socket.closed is None


# --- encrypted sessions ------------------------------------------------------------------------


async def test_a_client_that_cannot_encrypt_is_not_let_in_and_leaves_nothing() -> None:
    house = House(e2ee=True)
    client = house.client()
    client.formats = ()
    with pytest.raises(DomainError, match="e2ee_unsupported"):
        client.join()
    assert not house.plane.sessions["2_session"].clients


async def test_a_stream_in_clear_does_not_get_into_an_encrypted_session() -> None:
    house = House(e2ee=True)
    ann, bob = await house.joined(), await house.joined()
    track = m.TrackOffer(mid="0", kind="audio")
    with pytest.raises(DomainError, match="e2ee_required"):
        ann.send(m.Publish(id=9, offer="v=0", tracks=(track,)))
    await settle()
    assert not bob.seen(m.StreamCreated)


async def test_a_publisher_learns_that_its_packets_are_not_encrypted() -> None:
    house = House(e2ee=True)
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish()
    ann.media.report_not_encrypted(StreamId(stream), "0", 12)
    await settle()
    assert ann.seen(m.NotEncrypted) == [m.NotEncrypted(stream_id=stream, mid="0", packets=12)]
    assert not bob.seen(m.NotEncrypted)


async def test_video_waits_while_secrets_differ_and_returns_with_one_key_frame() -> None:
    house = House(e2ee=True)
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish()
    subscriber = await bob.subscribe(stream)
    ann.ask(m.E2eeReady, hint=1)
    assert bob.seen(m.HintAnnounced) == [m.HintAnnounced(connection_id=ann.connection, hint=1)]
    bob.ask(m.E2eeState, subscriber_id=subscriber, state="mismatch", failed=5)
    assert not bob.forwarded(subscriber, VIDEO)
    assert bob.forwarded(subscriber, AUDIO)
    before = house.stream(stream).key_frame_requests
    bob.ask(m.E2eeState, subscriber_id=subscriber, state="ok")
    assert bob.forwarded(subscriber, VIDEO)
    assert house.stream(stream).key_frame_requests == before + 1


async def test_a_receiver_of_video_alone_recovers_with_its_new_secret() -> None:
    house = House(e2ee=True)
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish((VIDEO,))
    subscriber = await bob.subscribe(stream)
    bob.ask(m.E2eeReady, hint=1)
    bob.ask(m.E2eeState, subscriber_id=subscriber, state="mismatch")
    before = house.stream(stream).key_frame_requests
    bob.ask(m.E2eeReady, hint=2)
    assert bob.forwarded(subscriber, VIDEO)
    assert house.stream(stream).key_frame_requests == before + 1


async def test_receivers_recover_when_the_sender_changes_its_secret() -> None:
    house = House(e2ee=True)
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish((VIDEO,))
    subscriber = await bob.subscribe(stream)
    bob.ask(m.E2eeState, subscriber_id=subscriber, state="mismatch")
    ((mid, _),) = house.stream(stream).tracks.items()
    before = house.stream(stream).key_frame_requests
    ann.ask(m.DeclareKids, stream_id=stream, mid=mid, kids=(KID, OTHER_KID))
    assert bob.forwarded(subscriber, VIDEO)
    assert house.stream(stream).key_frame_requests == before + 1
    assert house.stream(stream).kids[mid] == (KID, OTHER_KID)


# --- limits ---------------------------------------------------------------------------------


async def test_a_client_that_asks_too_fast_is_slowed_and_the_others_are_not() -> None:
    house = House(messages_per_s=10.0, message_burst=20)
    ann, bob = await house.joined(), await house.joined()
    for _ in range(20):
        ann.ask(m.Ping)
    with pytest.raises(DomainError, match="rate_limited"):
        ann.ask(m.Ping)
    bob.ask(m.Ping)
    house.time.advance(0.1)
    ann.ask(m.Ping)
    with pytest.raises(DomainError, match="rate_limited"):
        ann.ask(m.Ping)


async def test_joins_over_the_rate_wait_for_the_next_moment() -> None:
    house = House(joins_per_s=2.0)
    await house.joined()
    await house.joined()
    late = house.client()
    with pytest.raises(DomainError, match="rate_limited"):
        late.join()
    assert len(house.plane.sessions["2_session"].clients) == 2
    house.time.advance(0.5)
    late.join()
    assert late.welcome.connections[-1].connection_id == late.connection


# --- the end of a session -------------------------------------------------------------------


async def test_an_empty_session_lingers_and_then_ends_its_media() -> None:
    house = House(linger_ms=10_000)
    ann = await house.joined()
    ann.ask(m.Bye)
    house.time.advance(9.9)
    assert "2_session" in house.plane.sessions
    bob = await house.joined()
    house.time.advance(60)
    assert isinstance(bob.ask(m.Ping), m.Pong)
    bob.ask(m.Bye)
    house.time.advance(10)
    assert "2_session" not in house.plane.sessions
    assert house.directory.find("2_session") is None
    assert await house.joined()


async def test_a_server_that_goes_down_notifies_everybody_and_lets_nobody_in() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    await ann.publish()
    await house.directory.close()
    assert (ann.socket.closed, bob.socket.closed) == ("serverShutdown", "serverShutdown")
    assert not house.plane.sessions
    with pytest.raises(DomainError, match="server_shutdown"):
        house.client().join()


# --- media that ends while somebody asks ----------------------------------------------------


async def test_a_moderator_is_answered_although_a_transport_is_just_ending() -> None:
    house = House()
    ann, eve = await house.joined(), await house.joined(Role.MODERATOR)
    bob = await house.joined()
    await ann.publish()
    kept = await bob.publish()
    ann.media.lose(Direction.UPLINK)
    assert isinstance(eve.ask(m.ForceMuteAll, active=True), m.Ok)
    assert house.stream(kept).forwarding[AUDIO] is False

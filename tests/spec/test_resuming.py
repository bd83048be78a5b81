"""A WebSocket is lost: what its client finds when it comes back, and when it does not."""

import time

import msgspec

from sfu.ids import StreamId
from sfu.media_plane import SubscribedLayers
from signaling.protocol import messages as m
from tests.conversation import Client, House, Socket, settle


def resume_with(client: Client, token: str, received: int | None = None) -> bool:
    client.welcome = msgspec.structs.replace(client.welcome, resume=token)
    return client.resume(received)


async def test_a_client_that_comes_back_has_its_media_and_what_was_for_it() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish()
    subscriber = await bob.subscribe(stream)
    bob.lose_socket()
    ann.ask(m.Signal, data="missed")
    second = await ann.publish()
    house.time.advance(14.9)
    assert bob.resume()
    assert bob.welcome.resumed
    assert {s.stream_id for s in bob.welcome.streams} == {stream, second}
    assert [x.data for x in bob.seen(m.SignalReceived)] == ["missed"]
    assert not bob.seen(m.StreamCreated), "the welcome has it"
    assert subscriber in bob.media.subscribers
    house.time.advance(60)
    assert not ann.seen(m.ConnectionDestroyed)


async def test_a_welcome_comes_before_everything_that_was_missed() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    bob.lose_socket()
    for number in range(3):
        ann.ask(m.Signal, data=str(number))
    bob.resume()
    assert [type(message) for message in bob.inbox] == [m.Welcome] + [m.SignalReceived] * 3
    assert [x.data for x in bob.seen(m.SignalReceived)] == ["0", "1", "2"]


async def test_a_resume_token_ends_when_its_client_has_the_next() -> None:
    house = House()
    ann = await house.joined()
    first = ann.welcome.resume
    ann.lose_socket()
    assert ann.resume()
    assert ann.welcome.resume != first
    ann.send(m.Ping(id=41))
    assert not resume_with(ann, first)
    assert ann.socket.closed is None


async def test_a_client_whose_welcome_was_lost_comes_back_with_the_token_it_has() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    first = bob.welcome.resume
    bob.lose_socket()
    ann.ask(m.Signal, data="one")
    assert bob.resume(0)
    ann.ask(m.Signal, data="two")
    lost = bob.socket
    assert resume_with(bob, first, 7), "7 of the WebSocket before: nothing came over this one"
    assert lost.closed == "networkDisconnected"
    assert bob.welcome.resumed
    assert [x.data for x in bob.seen(m.SignalReceived)] == ["one", "two"]
    assert not ann.seen(m.ConnectionDestroyed)


async def test_an_attempt_that_arrives_after_the_next_one_changes_nothing() -> None:
    """The client gave it up, and its hello was still on its way."""
    house = House()
    ann = await house.joined()
    late = ann.hello(ann.welcome.resume, 0)
    ann.lose_socket()
    assert ann.resume()
    assert ann.actor.resume(late, Socket(ann.encoding, lambda _message: None)) is None
    assert ann.socket.closed is None
    assert ann.resume(), "with the token of the last welcome"


async def test_of_the_tokens_before_only_the_last_counts() -> None:
    house = House()
    ann = await house.joined()
    first = ann.welcome.resume
    assert ann.resume()
    assert ann.resume()
    assert not resume_with(ann, first)


async def test_a_second_websocket_replaces_the_first_at_once() -> None:
    house = House()
    ann = await house.joined()
    old = ann.socket
    assert ann.resume()
    assert old.closed == "networkDisconnected"
    ann.actor.detach(ann.connection, old)
    house.time.advance(60)
    assert isinstance(ann.ask(m.Ping), m.Pong)


async def test_an_offer_that_was_not_answered_comes_again() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    bob.answers = False
    stream = await ann.publish()
    subscriber = await bob.subscribe(stream)
    (offer,) = bob.seen(m.DownlinkOffer)
    bob.lose_socket()
    bob.answers = True
    assert bob.resume()
    await settle()
    assert bob.seen(m.DownlinkOffer) == [offer]
    assert bob.seen(m.SubscriberConnected) == [m.SubscriberConnected(subscriber_id=subscriber)]


async def test_who_comes_back_learns_what_of_its_videos_is_watched_as_it_is_now() -> None:
    house = House()
    ann = await house.joined()
    stream, ended = await ann.publish(), await ann.publish()
    ann.media.report_subscribed_layers(
        StreamId(ended), SubscribedLayers("1", subscribed=False, rids=())
    )
    ann.media.report_subscribed_layers(
        StreamId(stream), SubscribedLayers("1", subscribed=False, rids=())
    )
    await settle()
    assert [x.subscribed for x in ann.seen(m.SubscribedLayersChanged)] == [False, False]
    ann.lose_socket()
    ann.media.report_subscribed_layers(
        StreamId(stream), SubscribedLayers("1", subscribed=True, rids=("q",))
    )
    ann.media.report_subscribed_layers(
        StreamId(stream), SubscribedLayers("1", subscribed=True, rids=())
    )
    await settle()
    assert ann.resume()
    assert ann.seen(m.SubscribedLayersChanged) == [
        m.SubscribedLayersChanged(stream_id=ended, mid="1", subscribed=False, rids=()),
        m.SubscribedLayersChanged(stream_id=stream, mid="1", subscribed=True, rids=()),
    ]
    ann.ask(m.Unpublish, stream_id=ended)
    assert ann.resume()
    assert [x.stream_id for x in ann.seen(m.SubscribedLayersChanged)] == [stream]


async def test_who_does_not_come_back_in_time_is_gone() -> None:
    house = House(grace_ms=15_000)
    ann, bob = await house.joined(), await house.joined()
    stream = await bob.publish()
    bob.lose_socket()
    house.time.advance(14.999)
    assert not ann.seen(m.ConnectionDestroyed)
    house.time.advance(0.001)
    assert [x.reason for x in ann.seen(m.ConnectionDestroyed)] == ["networkDisconnected"]
    assert [x.reason for x in ann.seen(m.StreamDestroyed)] == ["networkDisconnected"]
    assert not bob.resume()
    assert StreamId(stream) not in house.plane.sessions["2_session"].streams


async def test_what_waits_for_a_lost_client_is_bounded() -> None:
    house = House(message_burst=10_000)
    ann, bob = await house.joined(), await house.joined()
    bob.lose_socket()
    for number in range(1_000):
        ann.ask(m.Signal, data=str(number))
    assert bob.resume()
    waited = bob.seen(m.SignalReceived)
    assert 0 < len(waited) < 1_000
    assert [int(x.data or "") for x in waited] == list(range(len(waited)))
    ann.ask(m.Signal, data="live again")
    assert [x.data for x in bob.seen(m.SignalReceived)] == ["live again"]


async def test_what_was_lost_on_its_way_comes_again_in_its_order() -> None:
    """The WebSocket was dead for a while before either side knew."""
    house = House()
    ann, bob = await house.joined(), await house.joined()
    stream = await ann.publish()
    received = len(bob.inbox) - 1
    ann.ask(m.Signal, data="one")
    subscriber = await bob.subscribe(stream)
    ann.ask(m.Signal, data="two")
    assert bob.resume(received)
    kinds = [type(message) for message in bob.inbox]
    assert kinds[0] is m.Welcome
    assert [x.data for x in bob.seen(m.SignalReceived)] == ["one", "two"]
    assert [x.subscriber_id for x in bob.seen(m.Subscribed)] == [subscriber]
    assert bob.seen(m.SubscriberConnected) == [m.SubscriberConnected(subscriber_id=subscriber)]


async def test_what_came_does_not_come_again() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    ann.ask(m.Signal, data="one")
    assert bob.resume(len(bob.inbox) - 1)
    assert not bob.seen(m.SignalReceived)
    ann.ask(m.Signal, data="two")
    bob.send(m.Ping(id=500, received=1))
    assert bob.resume(0)
    assert not bob.seen(m.SignalReceived), "it was confirmed"


async def test_the_welcome_says_which_requests_came() -> None:
    house = House()
    ann = await house.joined()
    assert ann.welcome.last_request is None
    ann.send(m.Ping(id=41))
    assert ann.resume(0)
    assert ann.welcome.last_request == 41


async def test_an_offer_that_came_is_not_made_again() -> None:
    house = House()
    ann, bob = await house.joined(), await house.joined()
    bob.answers = False
    stream = await ann.publish()
    await bob.subscribe(stream)
    assert bob.seen(m.DownlinkOffer)
    assert bob.resume(500)
    assert not bob.seen(m.DownlinkOffer)
    assert bob.resume(0)
    assert not bob.seen(m.DownlinkOffer), "it came over the WebSocket before"


async def test_an_invented_resume_costs_one_look_up_however_many_are_there() -> None:
    house = House(joins_per_s=100_000)
    members = [await house.joined() for _ in range(400)]
    known = members[0].welcome.resume
    invented = ("", ".", "x" * 128, known[:-1], known + "x", members[1].connection)
    hellos = [members[0].hello(one) for one in invented] * 100
    begin_s = time.thread_time()
    assert {house.actor.resume(hello, None) for hello in hellos} == {None}
    per_hello_s = (time.thread_time() - begin_s) / len(hellos)
    assert per_hello_s < 20e-6, "400 comparisons take 75 us"
    assert members[0].resume()

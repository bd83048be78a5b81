"""One session on two workers: what each of them is told, and what signaling sees of it."""

import asyncio
from itertools import count

import pytest

from sfu import core_api
from sfu.core_api import Codec, CommandFailed, Direction, MediaKind
from sfu.downlink_offers import OFFER_INTERVAL_S
from sfu.media_plane import TrackOffer
from sfu.native_plane import NativeMediaPlane
from sfu.peer_transport import MediaPlaneSettings
from sfu.placement import SplitRules
from tests.fakes.media_router import FakeMediaRouter

THIRD_GOES = SplitRules(load=0.0, sinks=1)
ALL = frozenset(MediaKind)
CODECS = frozenset(Codec)


class TapListener:
    def __init__(self):
        self.closed = []

    def on_stream_gone(self, stream):
        pass

    def on_tap_closed(self, reason):
        self.closed.append(reason)


class Town:
    """A session on a plane of joined cores in memory. Ann and Ben come first and are on worker 0,
    where Ben receives Ann; whoever comes then is on worker 1."""

    def __init__(self, peers, *, e2ee=True, rules=THIRD_GOES, number=2):
        self.peers = peers
        handles = count(1)
        self.routers = [FakeMediaRouter(handles=handles) for _ in range(number)]
        for index, router in enumerate(self.routers):
            for other in range(index):
                router.link(index, self.routers[other], other)
        self.clock = peers.VirtualScheduler()
        settings = MediaPlaneSettings(("192.0.2.1",), split=rules)
        self.plane = NativeMediaPlane(self.routers, settings, self.clock)
        self.session = self.plane.open_session("S", e2ee=e2ee)
        self.members = {}

    def join(self, name):
        listener = self.peers.Listener()
        media = self.session.open_client(name, listener)
        up, down = self.peers.PeerConnection(), self.peers.PeerConnection()
        self.members[name] = (media, listener, up, down)
        return media

    def worker_of(self, name):
        (worker,) = [p.context.worker for p in self.session.parts if name in p.clients]
        return worker

    def reported_to(self, name):
        return self.members[name][1].reported

    def _connect(self, name, direction, peer):
        owned = self.members[name][0].dump().transports
        for one in owned:
            if one.direction is direction and not one.connected:
                router = self.routers[self.worker_of(name)]
                self.peers.connect_through(router, one.handle, peer)
        self.clock.run_soon()

    async def publish(self, name):
        media, _, up, _ = self.members[name]
        await media.publish(f"st-{name}", up.offer(), self.peers.TRACKS)
        self._connect(name, Direction.UPLINK, up)

    def receive(self, name, publisher):
        media, listener, _, down = self.members[name]
        media.subscribe(f"{name}-{publisher}", f"st-{publisher}", ALL, CODECS)
        self.clock.advance(OFFER_INTERVAL_S)
        offer = listener.offers[-1]
        media.answer_downlink(offer.number, down.answer(offer))
        self._connect(name, Direction.DOWNLINK, down)

    async def settle(self):
        await asyncio.sleep(0)
        self.clock.run_soon()

    async def populate(self):
        self.join("ann")
        await self.publish("ann")
        self.join("ben")
        self.receive("ben", "ann")
        self.join("cat")
        await self.publish("cat")
        return self

    async def end(self, worker):
        """A core ends by itself."""
        listener = self.routers[worker]._listener
        self.routers[worker].close()
        listener([CommandFailed("worker", 0, "thread_ended")])
        await self.settle()

    def last(self, worker, kind):
        return self.routers[worker].sent(kind)[-1]


@pytest.fixture
async def town(peers):
    return await Town(peers).populate()


async def test_a_session_that_its_worker_can_carry_stays_on_it(peers):
    town = await Town(peers, rules=SplitRules()).populate()
    town.routers[0].cpu_us = 10**9
    assert [town.worker_of(name) for name in ("ann", "ben", "cat")] == [0, 0, 0]
    assert town.routers[1].commands == []


async def test_a_stream_comes_to_the_other_worker_as_it_is_published(town):
    assert [town.worker_of(name) for name in ("ann", "ben", "cat")] == [0, 0, 1]
    for origin, other, name in ((0, 1, "ann"), (1, 0, "cat")):
        published = town.session.streams[f"st-{name}"]
        fed = {one.mid: one for one in fed_of(town.routers[origin], published)}
        (source_end,) = {one.transport for one in fed.values()}
        here = town.routers[origin].trunks[source_end]
        there = town.routers[other].trunks[here.remote]
        assert (here.worker, there.worker) == (other, origin)
        assert there.remote == source_end
        (input_,) = [
            one
            for one in town.routers[other].publishers.values()
            if one.transport == there.transport
        ]
        source = town.routers[origin].publishers[published.handle]
        for up_track, original in zip(input_.up_tracks, source.up_tracks, strict=True):
            assert up_track.mid == original.mid
            assert up_track.payload_type == original.payload_type
            assert up_track.extensions == original.extensions
            assert up_track.declared_kids == (), "the core of the publisher knows them"
            assert up_track.nack
            sent = tuple(encoding.ssrc for encoding in up_track.encodings)
            assert fed[up_track.mid].ssrcs == sent
        used = [ssrc for one in fed.values() for ssrc in one.ssrcs]
        assert len(set(used)) == len(used)


def fed_of(router, published):
    return [one for one in router.sent(core_api.FeedTrunk) if one.publisher == published.handle]


async def test_each_receives_from_its_own_worker_whoever_publishes_where(town):
    town.receive("cat", "ann")
    town.join("dan")
    town.receive("ben", "cat")
    for worker, name, publisher in ((1, "cat", "ann"), (0, "ben", "cat")):
        subscribed = town.last(worker, core_api.Subscribe)
        published = town.session.streams[f"st-{publisher}"]
        assert subscribed.publisher in town.routers[worker].publishers
        assert subscribed.publisher != published.handle
        assert ("connected", f"{name}-{publisher}") in town.reported_to(name)
    assert town.plane.counters().get("commands_failed.subscribe", 0) == 0


async def test_an_ended_stream_leaves_nothing_on_either_worker(town):
    town.receive("cat", "ann")
    town.members["ann"][0].unpublish("st-ann")
    town.members["cat"][0].unpublish("st-cat")
    for router in town.routers:
        assert (router.trunks, router.publishers, router.subscribers) == ({}, {}, {})
        assert not router.fed
    assert [len(context.publishers) for context in town.plane.contexts] == [0, 0]
    await town.settle()
    assert "commands_failed" not in "".join(town.plane.counters())


async def test_a_mute_reaches_both_workers(town):
    town.members["ann"][0].set_stream_forwarding("st-ann", MediaKind.AUDIO, forwarding=False)
    here, there = (town.last(worker, core_api.SetUpTrackForwarding) for worker in (0, 1))
    assert (here.mid, here.forwarding) == (there.mid, there.forwarding) == ("0", False)
    assert here.publisher == town.session.streams["st-ann"].handle
    assert there.publisher in town.routers[1].publishers


async def test_what_is_wanted_on_the_other_worker_is_asked_of_the_publishers_own(town):
    (trunk,) = [part.trunks["st-ann"] for part in town.session.parts if part.trunks.get("st-ann")]
    town.routers[1].deliver(core_api.SubscribedLayersChanged(trunk.handle, "1", ()))
    asked = town.last(0, core_api.SetTrunkDemand)
    assert (asked.publisher, asked.mid, asked.rids) == (
        town.session.streams["st-ann"].handle,
        "1",
        (),
    )
    assert town.reported_to("ann")[-1][0] != "layers", "the publisher is told by its own core"


async def test_one_worker_says_who_speaks_for_all(town):
    for name in ("ann", "cat"):
        published = town.session.streams[f"st-{name}"]
        for part in town.session.parts:
            before = len(town.reported_to(name))
            handle = part.handle_of(published)
            town.routers[part.context.worker].deliver(core_api.DominantSpeaker(handle))
            await town.settle()
            assert (len(town.reported_to(name)) > before) == part.leads
        assert ("speaker", f"st-{name}") in town.reported_to(name)


async def test_the_other_workers_guard_reports_nothing(town):
    handle = town.session.parts[1].handle_of(town.session.streams["st-ann"])
    town.routers[1].deliver(core_api.NotEncrypted(handle, "0", 3))
    await town.settle()
    assert not [one for one in town.reported_to("ann") if one[0] == "not_encrypted"]


async def test_a_tap_gets_the_streams_of_both_workers_and_what_it_publishes_reaches_both(peers):
    town = await Town(peers, e2ee=False).populate()
    tap = town.session.open_tap(TapListener())
    for name in ("ann", "cat"):
        tap.add(f"st-{name}", frozenset({MediaKind.AUDIO}), {})
        subscribed = town.last(0, core_api.Subscribe)
        assert subscribed.transport == tap.handle
        assert subscribed.publisher == town.session.parts[0].handle_of(
            town.session.streams[f"st-{name}"]
        )
    voice = town.join("voice")
    assert town.worker_of("voice") == 1
    voice.publish_through(tap)
    await voice.publish("st-voice", "", (TrackOffer("0", MediaKind.AUDIO),))
    assert town.last(0, core_api.Publish).transport == tap.handle
    assert "st-voice" in town.session.parts[1].trunks
    assert town.plane.counters().get("commands_failed.publish", 0) == 0
    tap.close()
    assert "st-voice" not in town.session.streams
    assert "st-voice" not in town.session.parts[1].trunks


async def test_a_part_without_clients_ends_and_the_first_stays(town):
    town.members["cat"][0].close()
    assert [part.context.worker for part in town.session.parts] == [0]
    assert town.routers[1].routers == {}
    assert [router.trunks for router in town.routers] == [{}, {}]
    for name in ("ann", "ben"):
        town.members[name][0].close()
    assert len(town.session.parts) == 1
    town.session.close()
    assert [router.routers for router in town.routers] == [{}, {}]


async def test_with_its_worker_a_client_loses_its_media_and_goes_on_on_another(town):
    town.receive("cat", "ann")
    await town.end(1)
    lost = [one for one in town.reported_to("cat") if one[0] == "lost"]
    assert sorted(one[1] for one in lost) == [Direction.DOWNLINK, Direction.UPLINK]
    assert not [one for one in town.reported_to("ben") if one[0] == "lost"]
    assert town.routers[0].trunks == {}
    assert list(town.session.streams) == ["st-ann"]
    assert town.worker_of("cat") == 0
    media, listener, _, down = town.members["cat"]
    town.members["cat"] = (media, listener, town.peers.PeerConnection(), down)
    await town.publish("cat")
    assert ("live", "st-cat") in town.reported_to("cat")


async def test_when_the_first_worker_ends_its_taps_end_and_another_part_leads(peers):
    town = await Town(peers, e2ee=False).populate()
    listener = TapListener()
    tap = town.session.open_tap(listener)
    await town.end(0)
    tap.close()
    assert listener.closed == ["core_ended"]
    assert [part.context.worker for part in town.session.parts] == [1]
    assert town.session.parts[0].leads
    assert {town.worker_of(name) for name in ("ann", "ben", "cat")} == {1}
    town.session.open_tap(TapListener()).close()
    assert town.last(1, core_api.OpenTap)


async def test_a_session_of_one_worker_goes_on_on_another(peers):
    town = Town(peers, rules=SplitRules())
    town.join("ann")
    await town.publish("ann")
    await town.end(0)
    assert ("lost", Direction.UPLINK) in town.reported_to("ann")
    assert town.worker_of("ann") == 1


async def test_the_dump_shows_one_session_with_each_stream_where_it_is_published(town):
    dump = await town.session.dump()
    assert (dump.worker, dump.workers) == (0, (0, 1))
    assert dump.streams == ("st-ann", "st-cat")
    assert set(dump.connections) == {"ann", "ben", "cat"}
    assert dump.core.router == town.session.handle

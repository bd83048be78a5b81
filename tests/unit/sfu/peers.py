"""Clients of the plane for tests: their SDP, their DTLS, and a clock that tests move."""

import asyncio
import heapq
import itertools
import re
from pathlib import Path

from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import SRTP_PROFILES
from OpenSSL import SSL

from sfu import core_api
from sfu.core_api import (
    Codec,
    ConsentExpired,
    Direction,
    DominantSpeaker,
    DtlsDatagram,
    IceValidated,
    MediaKind,
    NotEncrypted,
)
from sfu.downlink_offers import OFFER_INTERVAL_S
from sfu.media_plane import TrackOffer
from sfu.native_plane import NativeMediaPlane
from sfu.peer_transport import MediaPlaneSettings
from tests.fakes.media_plane import FakeMediaPlane
from tests.fakes.media_router import FakeMediaRouter

VECTORS = Path(__file__).parents[2] / "vectors" / "sdp"
KID = b"\x80CTXCT\x11\x22"
TRACKS = (TrackOffer("0", MediaKind.AUDIO, (KID,)), TrackOffer("1", MediaKind.VIDEO, (KID,)))


class Listener:
    """Writes down what it is told."""

    def __init__(self):
        self.reported = []
        self.offers = []

    def on_downlink_offer(self, offer):
        self.offers.append(offer)

    def on_stream_live(self, stream):
        self.reported.append(("live", stream))

    def on_subscriber_connected(self, subscriber):
        self.reported.append(("connected", subscriber))

    def on_active_speaker(self, stream):
        self.reported.append(("speaker", stream))

    def on_not_encrypted(self, stream, mid, packets):
        self.reported.append(("not_encrypted", stream, mid, packets))

    def on_transport_lost(self, direction):
        self.reported.append(("lost", direction))


class VirtualScheduler:
    """Time that stands until a test moves it; what is due soon runs when it is asked to."""

    def __init__(self):
        self.now = 1_000.0
        self._soon = []
        self._timers = []
        self._order = itertools.count()

    def time(self):
        return self.now

    def call_soon(self, callback, *args):
        self._soon.append((callback, args))
        return self

    def cancel(self):
        raise AssertionError("the plane cancels timers only")

    def call_at(self, when, callback, *args):
        timer = _Timer(callback, args)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def run_soon(self):
        while self._soon:
            callback, args = self._soon.pop(0)
            callback(*args)

    def advance(self, seconds):
        end = self.now + seconds
        self.run_soon()
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            timer.fire()
            self.run_soon()
        self.now = end

    @property
    def timers(self):
        return sum(not timer.cancelled for _, _, timer in self._timers)


class _Timer:
    def __init__(self, callback, args):
        self.callback, self.args, self.cancelled = callback, args, False

    def cancel(self):
        self.cancelled = True

    def fire(self):
        if not self.cancelled:
            self.callback(*self.args)


_CERTIFICATES = []
_NUMBERS = itertools.count()


class PeerConnection:
    """One peer connection of a client: certificate, offers and answers, DTLS client (or server:
    `passive`)."""

    def __init__(self, *, passive=False):
        self.setup = "passive" if passive else "active"
        # making keys costs more than all else in a churn test
        if len(_CERTIFICATES) < 8:
            _CERTIFICATES.append(RTCCertificate.generateCertificate())
        self.certificate = _CERTIFICATES[next(_NUMBERS) % len(_CERTIFICATES)]
        context = self.certificate._create_ssl_context(SRTP_PROFILES)
        self.ssl = SSL.Connection(context)
        if passive:
            self.ssl.set_accept_state()
        else:
            self.ssl.set_connect_state()
        self.done = False

    @property
    def fingerprint(self):
        return f"a=fingerprint:sha-256 {self.certificate.getFingerprints()[0].value}"

    def offer(self, name="chromium-156.0.8078.79-sendrecv"):
        text = (VECTORS / f"offer-{name}.sdp").read_text()
        if self.setup == "passive":
            text = text.replace("a=setup:actpass", "a=setup:passive")
        return re.sub(r"a=fingerprint:[^\r\n]*", self.fingerprint, text)

    def answer(self, offer, *, reject=()):
        """Accepts all of a downlink offer but the mids in `reject`."""
        text = re.sub(r"a=fingerprint:[^\r\n]*", self.fingerprint, offer.sdp)
        text = re.sub(r"a=(candidate|end-of|ssrc|msid)[^\r\n]*\r\n", "", text)
        text = text.replace("a=sendonly", "a=recvonly").replace("actpass", self.setup)
        for mid in reject:
            text = re.sub(rf"(m=\w+) 9 ([^\r]*\r\n[^\r]*\r\na=mid:{mid}\r\n)", r"\1 0 \2", text)
        return text

    def step(self, datagrams):
        for datagram in datagrams:
            self.ssl.bio_write(datagram)
        try:
            self.ssl.recv(2_048) if self.done else self.ssl.do_handshake()
            self.done = True
        except SSL.WantReadError:
            pass
        return self.read()

    def close_notify(self):
        self.ssl.shutdown()
        return self.read()

    def read(self):
        try:
            return [self.ssl.bio_read(65_536)]
        except SSL.Error:
            return []


def connect_through(router, handle, peer):
    """ICE and DTLS between a peer and one transport, through the fake core."""
    router.deliver(IceValidated(handle))
    sent = 0
    datagrams = peer.step([])
    for _ in range(6):
        for datagram in datagrams:
            router.deliver(DtlsDatagram(handle, datagram))
        mine = [c.datagram for c in router.sent(core_api.SendDtls) if c.transport == handle]
        datagrams = peer.step(mine[sent:])
        sent = len(mine)


def transport_of(router, direction):
    """The newest transport of a direction that the core has."""
    return max(h for h, t in router.transports.items() if t.direction is direction)


class FakeBench:
    """The contract tests' view of the fake plane."""

    def __init__(self):
        self.plane = FakeMediaPlane()

    async def settle(self):
        for _ in range(3):
            await asyncio.sleep(0)

    def connect(self, client, direction, peer):
        client.connect(direction)

    def lose(self, client, direction):
        client.lose(direction)

    def report_speaking(self, client, stream):
        client.report_speaking(stream)

    def report_not_encrypted(self, client, stream, mid, packets):
        client.report_not_encrypted(stream, mid, packets)


class NativeBench:
    """The contract tests' view of the real plane over a core in memory."""

    def __init__(self, scheduler=None):
        self.router = FakeMediaRouter()
        self.clock = scheduler or VirtualScheduler()
        self.plane = NativeMediaPlane(
            [self.router], MediaPlaneSettings(addresses=("192.0.2.1",)), self.clock
        )

    async def settle(self):
        self.clock.advance(OFFER_INTERVAL_S)

    def _transport(self, client, direction):
        owned = [t for t in client.dump().transports if t.direction is direction]
        return owned[0].handle

    def connect(self, client, direction, peer):
        connect_through(self.router, self._transport(client, direction), peer)

    def lose(self, client, direction):
        self.router.deliver(ConsentExpired(self._transport(client, direction)))

    def report_speaking(self, client, stream):
        (handle,) = [h for h, p in self.plane.contexts[0].publishers.items() if p.stream == stream]
        self.router.deliver(DominantSpeaker(handle))

    def report_not_encrypted(self, client, stream, mid, packets):
        (handle,) = [h for h, p in self.plane.contexts[0].publishers.items() if p.stream == stream]
        self.router.deliver(NotEncrypted(handle, mid, packets))


BOTH = (Direction.UPLINK, Direction.DOWNLINK)


class Scene:
    """An encrypted session with named members on one plane, and the clock."""

    def __init__(self):
        self.clock = VirtualScheduler()
        self.bench = NativeBench(self.clock)
        self.router, self.plane = self.bench.router, self.bench.plane
        self.session = self.plane.open_session("S", e2ee=True)
        self.members = {}

    def member(self, name):
        if name not in self.members:
            listener = Listener()
            self.members[name] = (
                self.session.open_client(name, listener),
                listener,
                PeerConnection(),
                PeerConnection(),
            )
        return self.members[name]

    async def publish(self, name, stream="st", *, connect=True, offer=None):
        media, _, up, _ = self.member(name)
        answer = await media.publish(stream, offer or up.offer(), TRACKS)
        if connect:
            self.bench.connect(media, Direction.UPLINK, up)
        self.clock.run_soon()
        return answer

    def subscribe(self, name, subscriber="su", stream="st", *, connect=True):
        media, listener, _, down = self.member(name)
        media.subscribe(subscriber, stream, frozenset(MediaKind), frozenset(Codec))
        self.clock.run_soon()
        if connect:
            offer = listener.offers[-1]
            media.answer_downlink(offer.number, down.answer(offer))
            if Direction.DOWNLINK.value in self._unconnected(media):
                self.bench.connect(media, Direction.DOWNLINK, down)
            self.clock.run_soon()

    def _unconnected(self, media):
        return [t.direction.value for t in media.dump().transports if not t.connected]

    def last(self, kind):
        return self.router.sent(kind)[-1]

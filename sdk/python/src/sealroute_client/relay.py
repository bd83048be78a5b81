"""Relayed Sessions: one peer connection with another client for each Subscriber.

The publisher of a stream offers, the subscriber answers; the server passes descriptions and
candidates on and sees no media. It can write descriptions itself, so the rules of routed Sessions
hold for them.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiortc import RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.sdp import SessionDescription, candidate_from_sdp

from sealroute_client import events
from sealroute_client.descriptions import AnswerRules, OfferRules
from sealroute_client.errors import (
    DecryptionUnsupportedCodec,
    EncryptionInternalError,
    SealrouteError,
    UnexpectedServerResponse,
)
from sealroute_client.media.inbound import InboundTap
from sealroute_client.peers import PeerConnection, PeerConnections, ignore
from sealroute_client.publisher import PublishedTrack, Publisher
from sealroute_client.rules import MAX_PEER_CANDIDATES, MAX_PEERS
from sealroute_client.subscriber import Subscriber
from sealroute_client.uplink import add_sender

if TYPE_CHECKING:
    from sealroute_client.session import Session


@dataclass(slots=True)
class PeerLink:
    """The peer connection of one Subscriber, at either end. `lock`: one step at a time."""

    subscriber_id: str
    peer: PeerConnection
    publisher: Publisher | None = None
    tracks: list[PublishedTrack] = field(default_factory=list)
    taps: dict[str, InboundTap] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    early: list[dict[str, Any]] = field(default_factory=list)
    offers: OfferRules = field(default_factory=OfferRules)
    answers: AnswerRules = field(default_factory=AnswerRules)
    is_described: bool = False
    """The other end's description is applied: candidates can be."""
    candidates: int = 0
    """Those that came."""


class PeerLinks:
    """All peer connections of one client in a relayed Session."""

    def __init__(self, session: "Session", peers: PeerConnections) -> None:
        """Errors: EncryptionInternalError in a Session that does not send in clear: peers of
        other clients would get clear media, and the server can play any of them."""
        if not session.trust.is_relayed or session.encryption is not None:
            raise EncryptionInternalError("A session with a secret has no direct peers")
        self._session = session
        self._peers = peers
        self._links: dict[str, PeerLink] = {}
        self._early: dict[str, dict[str, Any]] = {}
        """Subscriptions that arrived together with the answer that names their stream."""
        self._relay = MediaRelay()

    # --- what the server tells ---------------------------------------------------------

    def on_wanted(self, message: dict[str, Any]) -> None:
        """Another client subscribed to an own stream, or changed what it wants of it."""
        subscriber_id = str(message["subscriberId"])
        publisher = self._session.publishers.get(str(message["streamId"]))
        if publisher is None:
            if len(self._early) < MAX_PEERS:
                self._early[subscriber_id] = message
            return
        wanted = {kind for kind in ("audio", "video") if message.get(kind)}
        link = self._links.get(subscriber_id)
        if link is not None:
            _hold_back(link, wanted)
            return
        link = self._open(subscriber_id, publisher)
        for media in (publisher.source.audio, publisher.source.video):
            if media is not None:
                self._add(link, publisher, media)
        _hold_back(link, wanted)
        self._run(link, self._offer(link))

    def on_published(self, publisher: Publisher) -> None:
        """The stream has its id: who subscribed to it meanwhile gets it."""
        for subscriber_id, message in list(self._early.items()):
            if str(message["streamId"]) == publisher.stream_id:
                del self._early[subscriber_id]
                try:
                    self.on_wanted(message)
                except UnexpectedServerResponse as error:
                    # The stream is published all the same.
                    self._session.complain(error)

    def on_description(self, message: dict[str, Any]) -> None:
        """One for nobody here is ignored, and so is one that the other end does not make: a peer
        that the server invents would learn this client's addresses."""
        subscriber_id, sdp = str(message["subscriberId"]), str(message["sdp"])
        link = self._links.get(subscriber_id)
        if message["type"] == "answer":
            if link is not None:
                self._run(link, self._take_answer(link, sdp))
        elif link is None or link.publisher is None:
            self._session.subscribing.when_known(subscriber_id, lambda one: self._offered(one, sdp))

    def _offered(self, subscriber: Subscriber, sdp: str) -> None:
        name = subscriber.subscriber_id
        link = self._links.get(name) or self._open(name, None)
        self._run(link, self._answer(link, sdp))

    def on_candidate(self, message: dict[str, Any]) -> None:
        subscriber_id = str(message["subscriberId"])
        if subscriber_id in self._links:
            self._count_candidate(message)
        else:  # its offer may be waiting too
            known = self._session.subscribing.when_known
            known(subscriber_id, lambda _: self._count_candidate(message))

    def _count_candidate(self, message: dict[str, Any]) -> None:
        link = self._links.get(str(message["subscriberId"]))
        if link is not None and message.get("candidate") and link.candidates < MAX_PEER_CANDIDATES:
            link.candidates += 1
            self._run(link, self._take_candidate(link, message))

    def on_gone(self, message: dict[str, Any]) -> None:
        self._early.pop(str(message["subscriberId"]), None)
        self.drop(str(message["subscriberId"]))

    # --- ends --------------------------------------------------------------------------

    def drop(self, subscriber_id: str) -> None:
        """Ends the peer connection of a Subscriber, if there is one."""
        link = self._links.pop(subscriber_id, None)
        if link is not None:
            self._forget_tracks(link)
            self._session.spawn(link.peer.close())

    def drop_stream(self, publisher: Publisher) -> None:
        for link in list(self._links.values()):
            if link.publisher is publisher:
                self.drop(link.subscriber_id)

    def forget(self) -> None:
        """The Session ends: it closes the peer connections."""
        links, self._links = list(self._links.values()), {}
        self._early.clear()
        for link in links:
            self._forget_tracks(link)

    async def packets_lost(self) -> int:
        taps = [tap for link in self._links.values() for tap in link.taps.values()]
        return sum([await tap.packets_lost() for tap in taps])

    # --- inside ------------------------------------------------------------------------

    def _open(self, subscriber_id: str, publisher: Publisher | None) -> PeerLink:
        """Errors: UnexpectedServerResponse for a server that invents peers."""
        if len(self._links) >= MAX_PEERS:
            raise UnexpectedServerResponse("The server named more peers than a session has")
        link = PeerLink(subscriber_id, self._peers.open(), publisher)
        # Of one that is lost later the application hears by its Subscriber.
        link.peer.on_lost = ignore
        self._links[subscriber_id] = link

        @link.peer.on("connectionstatechange")
        def on_state() -> None:
            self._on_state(link)

        return link

    def _add(self, link: PeerLink, publisher: Publisher, media: Any) -> None:
        """Audio frames are queued for each peer; a slow peer gets the newest video frame only."""
        copy = self._relay.subscribe(media, buffered=media.kind == "audio")
        track = add_sender(link.peer, copy, publisher.video_codec, is_encrypted=False)
        track.is_muted = publisher.is_muted(media.kind)
        link.tracks.append(track)
        publisher.tracks.append(track)

    def _run(self, link: PeerLink, step: Coroutine[Any, Any, None]) -> None:
        self._session.spawn(self._step(link, step))

    async def _step(self, link: PeerLink, step: Coroutine[Any, Any, None]) -> None:
        try:
            async with link.lock:
                if self._links.get(link.subscriber_id) is link:
                    await step
        except (UnexpectedServerResponse, DecryptionUnsupportedCodec):
            self._lose(link)
            raise
        except SealrouteError:
            raise
        except Exception as error:
            self._lose(link)
            raise SealrouteError("A peer's description could not be used") from error
        finally:
            step.close()

    async def _offer(self, link: PeerLink) -> None:
        await link.peer.setLocalDescription(await link.peer.createOffer())
        await self._send(link, link.peer.localDescription)

    async def _take_answer(self, link: PeerLink, sdp: str) -> None:
        if link.publisher is not None and link.peer.signalingState == "have-local-offer":
            link.answers.check_peer(link.peer.localDescription.sdp, sdp)
            await link.peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
            await self._take_early(link)

    async def _answer(self, link: PeerLink, sdp: str) -> None:
        subscriber = self._session.subscribers.get(link.subscriber_id)
        if subscriber is None or link.publisher is not None:
            self.drop(link.subscriber_id)
            return
        link.offers.check_peer(sdp)
        await link.peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        for transceiver in link.peer.getTransceivers():
            mid = str(transceiver.mid)
            if mid not in link.taps:
                link.taps[mid] = InboundTap(transceiver.receiver)
        await link.peer.setLocalDescription(await link.peer.createAnswer())
        answer = link.peer.localDescription
        self._bind(link, subscriber, answer.sdp)
        await self._take_early(link)
        await self._send(link, answer)

    def _bind(self, link: PeerLink, subscriber: Subscriber, answer: str) -> None:
        codecs = {
            media.rtp.muxId: media.rtp.codecs[0].mimeType.lower().partition("/")[2]
            for media in SessionDescription.parse(answer).media
            if media.rtp.codecs and media.port
        }
        for transceiver in link.peer.getTransceivers():
            codec = codecs.get(str(transceiver.mid))
            if codec is not None:
                tap = link.taps[str(transceiver.mid)]
                receiver = transceiver.receiver
                subscriber.bind(transceiver.kind, codec, tap, receiver.track)

    async def _take_candidate(self, link: PeerLink, message: dict[str, Any]) -> None:
        if not link.is_described:
            link.early.append(message)
            return
        try:
            candidate = candidate_from_sdp(str(message["candidate"]).removeprefix("candidate:"))
        except (AssertionError, IndexError, ValueError):
            # One of a kind that is not known here; others may do.
            return
        candidate.sdpMid = str(message["mid"])
        await link.peer.addIceCandidate(candidate)

    async def _take_early(self, link: PeerLink) -> None:
        link.is_described = True
        early, link.early = link.early, []
        for message in early:
            await self._take_candidate(link, message)

    async def _send(self, link: PeerLink, description: RTCSessionDescription) -> None:
        """aiortc has gathered all candidates: they are in the description."""
        await self._session.signaling.request(
            "peerDescription",
            subscriberId=link.subscriber_id,
            type=description.type,
            sdp=description.sdp,
        )

    def _on_state(self, link: PeerLink) -> None:
        if self._links.get(link.subscriber_id) is not link:
            return
        state = link.peer.connectionState
        if state == "connected":
            for track in link.tracks:
                track.request_key_frame()
            subscriber = self._session.subscribers.get(link.subscriber_id)
            if link.publisher is None and subscriber is not None:
                subscriber.is_connected.set()
                subscriber.emit(events.SubscriberConnected(stream_id=subscriber.stream_id))
        elif state in ("failed", "closed"):
            self._lose(link)

    def _lose(self, link: PeerLink) -> None:
        """A Subscriber whose peer is lost ends here; the application may subscribe again."""
        self.drop(link.subscriber_id)
        subscriber = self._session.subscribers.get(link.subscriber_id)
        if link.publisher is None and subscriber is not None:
            self._session.spawn(self._session.subscribing.lose_one(subscriber))

    def _forget_tracks(self, link: PeerLink) -> None:
        for track in link.tracks:
            track.is_muted = True
            if track.transceiver.sender.track is not None:
                track.transceiver.sender.track.stop()
            if link.publisher is not None and track in link.publisher.tracks:
                link.publisher.tracks.remove(track)


def _hold_back(link: PeerLink, wanted: set[str]) -> None:
    for track in link.tracks:
        track.hold_back(track.kind not in wanted)

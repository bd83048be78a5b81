"""Turns the media events of one Connection into commands and messages of its session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from sfu.core_api import Direction, StreamState
from sfu.ids import ConnectionId, StreamId, SubscriberId
from sfu.media_plane import DownlinkOffer, SubscribedLayers
from signaling.domain import commands as c
from signaling.protocol import messages as m

_SUPPLY: Mapping[StreamState, Literal["enough", "scarce", "paused"]] = {
    StreamState.OK: "enough",
    StreamState.LIMITED: "scarce",
    StreamState.PAUSED: "paused",
}
"""The protocol's words for the states."""


class MediaEventTarget(Protocol):
    """The session that receives the events."""

    def apply(self, command: c.Command) -> None: ...
    def send(self, connection: ConnectionId, message: m.Message) -> None: ...
    def keep_offer(self, connection: ConnectionId, offer: DownlinkOffer) -> None: ...
    def keep_layers(self, connection: ConnectionId, layers: m.VideoDemandChanged) -> None: ...


@dataclass(frozen=True)
class MediaListener:
    """The listener of one Connection."""

    actor: MediaEventTarget
    connection: ConnectionId

    def on_downlink_offer(self, offer: DownlinkOffer) -> None:
        self.actor.keep_offer(self.connection, offer)

    def on_stream_live(self, stream: StreamId) -> None:
        self.actor.apply(c.StreamLive(stream))

    def on_subscriber_connected(self, subscriber: SubscriberId) -> None:
        self.actor.send(self.connection, m.SubscriberConnected(subscriber_id=subscriber))

    def on_active_speaker(self, stream: StreamId) -> None:
        self.actor.apply(c.StreamSpeaks(stream))

    def on_not_encrypted(self, stream: StreamId, mid: str, packets: int) -> None:
        self.actor.apply(c.UnencryptedDropped(stream, mid, packets))

    def on_stream_state(self, subscriber: SubscriberId, state: StreamState) -> None:
        changed = m.VideoSupplyChanged(subscriber_id=subscriber, supply=_SUPPLY[state])
        self.actor.send(self.connection, changed)

    def on_subscribed_layers(self, stream: StreamId, layers: SubscribedLayers) -> None:
        changed = m.VideoDemandChanged(
            stream_id=stream, mid=layers.mid, watched=layers.watched, rids=layers.rids
        )
        self.actor.keep_layers(self.connection, changed)

    def on_transport_lost(self, direction: Direction) -> None:
        self.actor.apply(c.TransportEnded(self.connection, direction.value))

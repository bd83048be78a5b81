"""Turns the media events of one Connection into commands and messages of its session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from sfu.core_api import Direction, StreamState
from sfu.ids import ConnectionId, StreamId, SubscriberId
from sfu.media_plane import DownlinkOffer, SubscribedLayers
from signaling.domain import commands as c
from signaling.protocol import messages as m

_STATES: Mapping[StreamState, Literal["ok", "limited", "paused"]] = {
    StreamState.OK: "ok",
    StreamState.LIMITED: "limited",
    StreamState.PAUSED: "paused",
}
"""The states as the protocol types them."""


class MediaEventTarget(Protocol):
    """The session that receives the events."""

    def apply(self, command: c.Command) -> None: ...
    def send(self, connection: ConnectionId, message: m.Message) -> None: ...
    def keep_offer(self, connection: ConnectionId, offer: DownlinkOffer) -> None: ...
    def keep_layers(self, connection: ConnectionId, layers: m.SubscribedLayersChanged) -> None: ...


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
        changed = m.StreamStateChanged(subscriber_id=subscriber, state=_STATES[state])
        self.actor.send(self.connection, changed)

    def on_subscribed_layers(self, stream: StreamId, layers: SubscribedLayers) -> None:
        changed = m.SubscribedLayersChanged(
            stream_id=stream, mid=layers.mid, subscribed=layers.subscribed, rids=layers.rids
        )
        self.actor.keep_layers(self.connection, changed)

    def on_transport_lost(self, direction: Direction) -> None:
        self.actor.apply(c.TransportEnded(self.connection, direction.value))

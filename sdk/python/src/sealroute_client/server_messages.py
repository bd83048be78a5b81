"""What the server tells a Session: each message's effect on its state, and its events."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sealroute_client import events
from sealroute_client.codec import Message
from sealroute_client.emitter import camel_case
from sealroute_client.errors import ServerError, UnexpectedServerResponse
from sealroute_client.initials import shown_initials
from sealroute_client.publisher import Publisher
from sealroute_client.received_signals import ReceivedSignals
from sealroute_client.subscriber import Subscriber

if TYPE_CHECKING:
    from sealroute_client.session import Session

CHANGING: Final = ("hasAudio", "hasVideo", "hasCaptions", "videoDimensions")
MAX_DEPARTED: Final = 10_000
"""Members that left whose names are kept, the last ones: a session may live for months."""


class ServerMessages:
    """Takes the messages of one Session in, in the order in which they came."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.signals = ReceivedSignals(session)
        self._departed: dict[str, Any] = {}
        """What the tokens said of members that left, by connection."""

    def handle(self, message: Message) -> None:
        """Errors: UnexpectedServerResponse."""
        handler = HANDLERS.get(str(message["t"]))
        try:
            if handler is not None:
                handler(self, message)
            self._relay(message)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # Its shape was right; what it says was not. The next one may be fine.
            raise UnexpectedServerResponse(
                f"The server sent a message {message['t']} that makes no sense"
            ) from error

    def _relay(self, message: dict[str, Any]) -> None:
        """Emits the event that repeats the message, if there is one. Errors:
        UnexpectedServerResponse for one that an encrypted session cannot have."""
        kind = events.RELAYED.get(str(message["t"]))
        if message["t"] in events.CLEAR_ONLY and self._session.encryption is not None:
            raise UnexpectedServerResponse(
                "The server spoke of an archive of an end-to-end encrypted session; it cannot "
                "record what it cannot decrypt"
            )
        if kind is not None:
            # What has a default is of the client's own knowledge.
            needed = [one for one in dataclasses.fields(kind) if one.default is dataclasses.MISSING]
            given = {one.name: message[camel_case(one.name)] for one in needed}
            self._session.emit(kind(**given))

    def _on_caption(self, message: dict[str, Any]) -> None:
        if self._session.encryption is not None:
            raise UnexpectedServerResponse(
                "The server sent captions in an end-to-end encrypted session; it cannot caption "
                "what it cannot decrypt"
            )
        text, is_final = str(message["caption"]), bool(message["isFinal"])
        caption = events.CaptionReceived(str(message["streamId"]), text, is_final)
        self._session.subscribing.take_caption(caption)

    def _on_stream_created(self, message: dict[str, Any]) -> None:
        stream = message["stream"]
        if self._session.encryption is not None:
            stream.pop("hasCaptions", None)
        stream["initials"] = shown_initials(stream)
        stream_id = str(stream["streamId"])
        if stream.get("connectionId") == self._session.connection_id:
            created = events.StreamCreated(stream=stream)
            self._session.publishing.when_known(stream_id, lambda own: own.emit(created))
        elif stream_id in self._session.publishers:
            # Keys, and what others remember of a stream, go by its id.
            self._session.complain(UnexpectedServerResponse("The server gave two streams one id"))
        elif stream_id not in self._session.streams:
            self._session.streams[stream_id] = stream
            self._session.emit(events.StreamCreated(stream=stream))

    def _on_stream_destroyed(self, message: dict[str, Any]) -> None:
        stream_id = str(message["streamId"])
        destroyed = events.StreamDestroyed(stream_id=stream_id, reason=message.get("reason", ""))

        def end(own: Publisher) -> None:
            self._session.publishers.pop(stream_id, None)
            self._session.spawn(self._session.publishing.end(own))
            own.emit(destroyed)
            self._session.emit(destroyed)

        self._session.subscribing.end_stream(stream_id)
        if self._session.streams.pop(stream_id, None) is not None:
            self._session.emit(destroyed)
        else:
            self._session.publishing.when_known(stream_id, end)

    def _on_stream_changed(self, message: dict[str, Any]) -> None:
        # Nothing else of a stream ever changes: least of all whose it is.
        changes = {name: message[name] for name in CHANGING if message.get(name) is not None}
        if self._session.encryption is not None:
            changes.pop("hasCaptions", None)
        stream = self._session.streams.get(str(message["streamId"]))
        if stream is not None:
            stream.update(changes)
            self._session.emit(
                events.StreamPropertyChanged(stream_id=message["streamId"], changes=changes)
            )

    def _on_connection_created(self, message: dict[str, Any]) -> None:
        connection = message["connection"]
        connection_id = str(connection["connectionId"])
        if connection_id not in self._session.connections:
            # Media and signals that decrypt are bound to the id: a connection that comes back has
            # the name it had before.
            data = self._departed.pop(connection_id, connection.get("data"))
            connection = connection | {"data": data}
            self._session.connections[connection_id] = connection
            self._session.emit(events.ConnectionCreated(connection=connection))

    def _on_connection_destroyed(self, message: dict[str, Any]) -> None:
        connection_id = str(message["connectionId"])
        left = self._session.connections.pop(connection_id, None)
        if left is not None:
            self._departed[connection_id] = left.get("data")
            while len(self._departed) > MAX_DEPARTED:
                del self._departed[next(iter(self._departed))]
            if self._session.encryption is not None:
                self._session.encryption.on_left(connection_id)
            self.signals.on_left(connection_id)
            self._session.emit(
                events.ConnectionDestroyed(
                    connection_id=connection_id, reason=message.get("reason")
                )
            )

    def _on_signal(self, message: dict[str, Any]) -> None:
        self.signals.take(message)

    def _on_mute_forced(self, message: dict[str, Any]) -> None:
        stream_id = message.get("streamId")
        active = bool(message.get("active"))
        if active and stream_id is not None:
            # Of all streams it is an event alone: the server names each one that is muted, now and
            # as long as `active` lasts, and spares those that the moderator excluded.
            self._session.publishing.mute_by_force(str(stream_id))
        self._session.emit(events.MuteForced(stream_id=stream_id, active=active))

    def _on_not_encrypted(self, message: dict[str, Any]) -> None:
        stream_id = str(message["streamId"])
        event = events.NotEncrypted(stream_id, message.get("mid"), message.get("packets"))
        self._session.publishing.when_known(stream_id, lambda own: own.emit(event))
        self._session.emit(event)

    def _on_hint(self, message: dict[str, Any]) -> None:
        if self._session.encryption is None:
            return
        sender, hint = str(message["connectionId"]), int(message["hint"])
        self._session.encryption.on_hint(sender, hint)
        if hint in self._session.encryption.ring.hints:
            for subscriber in self._session.subscribers.values():
                if subscriber.stream.get("connectionId") == sender:
                    subscriber.on_hint_announced()

    def _on_subscriber_connected(self, message: dict[str, Any]) -> None:
        def connect(subscriber: Subscriber) -> None:
            subscriber.is_connected.set()
            subscriber.emit(events.SubscriberConnected(stream_id=subscriber.stream_id))

        self._session.subscribing.when_known(str(message["subscriberId"]), connect)

    def _on_stream_state(self, message: dict[str, Any]) -> None:
        state = str(message["state"])
        self._session.subscribing.when_known(
            str(message["subscriberId"]), lambda subscriber: subscriber.on_stream_state(state)
        )

    def _on_subscribed_layers(self, message: dict[str, Any]) -> None:
        mid, subscribed = str(message["mid"]), bool(message["subscribed"])
        self._session.publishing.when_known(
            str(message["streamId"]), lambda own: own.on_subscribed_layers(mid, subscribed)
        )

    def _on_transport_lost(self, message: dict[str, Any]) -> None:
        self._session.recovery.begin(str(message["direction"]))

    def _on_peer_subscribed(self, message: dict[str, Any]) -> None:
        if self._session.relay is not None:
            self._session.relay.on_wanted(message)

    def _on_peer_unsubscribed(self, message: dict[str, Any]) -> None:
        if self._session.relay is not None:
            self._session.relay.on_gone(message)

    def _on_peer_description(self, message: dict[str, Any]) -> None:
        if self._session.relay is not None:
            self._session.relay.on_description(message)

    def _on_peer_candidate(self, message: dict[str, Any]) -> None:
        if self._session.relay is not None:
            self._session.relay.on_candidate(message)

    def _on_offer(self, message: Message) -> None:
        self._session.subscribing.offers.put_nowait(message)

    def _on_error(self, message: dict[str, Any]) -> None:
        self._session.complain(ServerError.from_wire(message))

    def take_snapshot(self, welcome: dict[str, Any]) -> None:
        """Tells as events what changed since the last look at the Session."""
        streams = {str(s["streamId"]) for s in welcome.get("streams", ())}
        members = {str(c["connectionId"]) for c in welcome.get("connections", ())}
        for stream_id in set(self._session.streams) - streams:
            self._on_stream_destroyed({"streamId": stream_id, "reason": "clientDisconnected"})
        for connection_id in set(self._session.connections) - members:
            self._on_connection_destroyed(
                {"connectionId": connection_id, "reason": "clientDisconnected"}
            )
        for connection in welcome.get("connections", ()):
            self._on_connection_created({"connection": connection})
        for stream in welcome.get("streams", ()):
            self._on_stream_created({"stream": stream})


HANDLERS: Final[dict[str, Callable[[ServerMessages, dict[str, Any]], None]]] = {
    "streamCreated": ServerMessages._on_stream_created,  # noqa: SLF001
    "streamDestroyed": ServerMessages._on_stream_destroyed,  # noqa: SLF001
    "streamPropertyChanged": ServerMessages._on_stream_changed,  # noqa: SLF001
    "connectionCreated": ServerMessages._on_connection_created,  # noqa: SLF001
    "connectionDestroyed": ServerMessages._on_connection_destroyed,  # noqa: SLF001
    "signalReceived": ServerMessages._on_signal,  # noqa: SLF001
    "muteForced": ServerMessages._on_mute_forced,  # noqa: SLF001
    "notEncrypted": ServerMessages._on_not_encrypted,  # noqa: SLF001
    "hintAnnounced": ServerMessages._on_hint,  # noqa: SLF001
    "subscriberConnected": ServerMessages._on_subscriber_connected,  # noqa: SLF001
    "streamStateChanged": ServerMessages._on_stream_state,  # noqa: SLF001
    "subscribedLayersChanged": ServerMessages._on_subscribed_layers,  # noqa: SLF001
    "captionReceived": ServerMessages._on_caption,  # noqa: SLF001
    "transportLost": ServerMessages._on_transport_lost,  # noqa: SLF001
    "peerSubscribed": ServerMessages._on_peer_subscribed,  # noqa: SLF001
    "peerUnsubscribed": ServerMessages._on_peer_unsubscribed,  # noqa: SLF001
    "peerDescriptionReceived": ServerMessages._on_peer_description,  # noqa: SLF001
    "peerCandidateReceived": ServerMessages._on_peer_candidate,  # noqa: SLF001
    "downlinkOffer": ServerMessages._on_offer,  # noqa: SLF001
    "error": ServerMessages._on_error,  # noqa: SLF001
}

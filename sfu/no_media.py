"""The media of a relayed Session on the server: none. Its clients send to each other."""

from collections.abc import Sequence
from typing import NoReturn

from sfu.core_api import Codec, MediaKind, PreferredLayers
from sfu.ids import ConnectionId, SessionId, StreamId, SubscriberId
from sfu.media_plane import (
    ClientMediaListener,
    MediaError,
    SessionDump,
    Tap,
    TapListener,
    TrackOffer,
)


class NoClientMedia:
    """Implements `ClientMedia`: refuses to create media; changes and ends find none. Nothing
    reaches the media core."""

    async def publish(
        self, stream: StreamId, offer_sdp: str, tracks: Sequence[TrackOffer]
    ) -> NoReturn:
        del stream, offer_sdp, tracks
        _refuse()

    def publish_through(self, tap: Tap, *, quietly: bool = False) -> NoReturn:
        del tap, quietly
        _refuse()

    def speak_up(self) -> None: ...

    def declare_kids(self, stream: StreamId, mid: str, kids: Sequence[bytes]) -> None: ...
    def set_stream_forwarding(
        self, stream: StreamId, kind: MediaKind, forwarding: bool
    ) -> None: ...
    def unpublish(self, stream: StreamId) -> None: ...
    def subscribe(
        self,
        subscriber: SubscriberId,
        stream: StreamId,
        kinds: frozenset[MediaKind],
        codecs: frozenset[Codec],
    ) -> None:
        del subscriber, stream, kinds, codecs
        _refuse()

    def play(self, subscriber: SubscriberId, stream: StreamId, offer_sdp: str) -> NoReturn:
        del subscriber, stream, offer_sdp
        _refuse()

    def answer_downlink(self, number: int, answer_sdp: str) -> None:
        del number, answer_sdp
        raise MediaError("answer_unexpected", "a relayed session has no downlink")

    def restart_uplink(self, offer_sdp: str) -> str:
        del offer_sdp
        _refuse()

    def restart_downlink(self) -> None:
        _refuse()

    def set_subscriber_forwarding(
        self, subscriber: SubscriberId, kind: MediaKind, forwarding: bool
    ) -> None: ...
    def set_preferred_layers(
        self, subscriber: SubscriberId, preferred: PreferredLayers
    ) -> None: ...
    def unsubscribe(self, subscriber: SubscriberId) -> None: ...
    def close(self) -> None: ...


class NoSessionMedia:
    """Implements `SessionMedia`."""

    def __init__(self, session: SessionId) -> None:
        self._session = session

    def open_client(self, connection: ConnectionId, listener: ClientMediaListener) -> NoClientMedia:
        del connection, listener
        return NoClientMedia()

    def open_tap(self, listener: TapListener) -> NoReturn:
        del listener
        _refuse()

    async def dump(self) -> SessionDump:
        return SessionDump(self._session)

    def close(self) -> None: ...


def _refuse() -> NoReturn:
    raise MediaError("transport_closed", "a relayed session has no media here")

"""A session's media as diagnosis reads it: typed views of what `SessionMedia.dump()` says.

Total: what a dump does not say (another core, a session that just closed) reads as absent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sfu.commands import MediaKind
from sfu.ids import StreamId, SubscriberId

_ASSUMED = "start"
_CONSENT_MS = 30_000
"""A client's address is used for that long after its last check (RFC 7675)."""
_LOST_OF = 256
"""Receiver reports give the lost share in 256ths (RFC 3550, 6.4.1)."""


@dataclass(frozen=True, slots=True)
class EncodingView:
    """One simulcast version as its publisher sends it: `packets` since it began, the bitrate that
    was last measured, `size` in pixels where it is readable, `wanted`: somebody could be given it,
    so its publisher is to send it."""

    rid: str | None = None
    packets: int = 0
    bitrate_bps: int = 0
    size: tuple[int, int] | None = None
    frame_rate: float | None = None
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class SourceView:
    """One m-line of a Publisher. `packets`: taken for forwarding since it began."""

    kind: MediaKind
    codec: str = ""
    forwarding: bool = True
    packets: int = 0
    encodings: tuple[EncodingView, ...] = ()


@dataclass(frozen=True, slots=True)
class SinkView:
    """One m-line of a Subscriber. `waiting`: name of the reason why its video is withheld.

    `lost`: share of packets that the subscriber missed in its last report.
    """

    kind: MediaKind
    forwarding: bool = True
    encoding: int | None = None
    waiting: str | None = None
    packets: int = 0
    bytes: int = 0
    lost: float = 0.0
    round_trip_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SubscriberView:
    """`connected`: the downlink is up and carries it. `estimate_bps`: what its link can take, None
    while nothing is known of that. `narrow`: that is less than what its client wants. `unheard_ms`:
    how long its client's address has not answered."""

    connected: bool = False
    sinks: Mapping[MediaKind, SinkView] = field(default_factory=dict)
    estimate_bps: int | None = None
    narrow: bool = False
    unheard_ms: int = 0


@dataclass(frozen=True, slots=True)
class MediaView:
    sources: Mapping[StreamId, Mapping[MediaKind, SourceView]] = field(default_factory=dict)
    subscribers: Mapping[SubscriberId, SubscriberView] = field(default_factory=dict)


def read_media(dump: Mapping[str, Any]) -> MediaView:
    """The view of a session's dump."""
    core = _mapping(dump.get("core"))
    forwarding = _mapping(core.get("forwarding"))
    clients = [_mapping(client) for client in _mapping(dump.get("connections")).values()]
    publishers = {
        handle: StreamId(stream)
        for client in clients
        for stream, handle in _mapping(client.get("publishers")).items()
    }
    sources: dict[StreamId, dict[MediaKind, SourceView]] = {}
    for row in _rows(forwarding.get("sources")):
        stream = publishers.get(row.get("publisher"))
        if stream is not None:
            view = _source(row)
            sources.setdefault(stream, {})[view.kind] = view
    sinks: dict[object, dict[MediaKind, SinkView]] = {}
    for row in _rows(forwarding.get("sinks")):
        sink = _sink(row)
        sinks.setdefault(row.get("subscriber"), {})[sink.kind] = sink
    links = {row.get("transport"): row for row in _rows(forwarding.get("downlinks"))}
    peers = {row.get("transport"): row for row in _rows(core.get("transports"))}
    subscribers = {}
    for client in clients:
        transport, connected = _downlink(client)
        link, peer = _mapping(links.get(transport)), _mapping(peers.get(transport))
        for name, row in _mapping(client.get("subscriptions")).items():
            subscribers[SubscriberId(name)] = SubscriberView(
                connected=bool(row.get("started")) and connected,
                sinks=sinks.get(row.get("handle"), {}),
                estimate_bps=_estimate(link),
                narrow=_is_narrow(link),
                unheard_ms=_unheard_ms(peer),
            )
    return MediaView(sources, subscribers)


def _downlink(client: Mapping[str, Any]) -> tuple[object, bool]:
    for row in _rows(client.get("transports")):
        if row.get("direction") == "downlink":
            return row.get("handle"), bool(row.get("connected"))
    return None, False


def _source(row: Mapping[str, Any]) -> SourceView:
    return SourceView(
        kind=MediaKind(row["kind"]),
        codec=str(row.get("codec", "")),
        forwarding=bool(row.get("forwarding", True)),
        packets=int(row.get("packets", 0)),
        encodings=tuple(_encoding(one) for one in _rows(row.get("encodings"))),
    )


def _encoding(row: Mapping[str, Any]) -> EncodingView:
    size = row.get("size")
    return EncodingView(
        rid=row.get("rid"),
        packets=int(row.get("packets", 0)),
        bitrate_bps=int(row.get("bitrate_bps", 0)),
        size=(int(size[0]), int(size[1])) if size else None,
        frame_rate=row.get("frame_rate"),
        wanted=bool(row.get("wanted", True)),
    )


def _sink(row: Mapping[str, Any]) -> SinkView:
    return SinkView(
        kind=MediaKind(row["kind"]),
        forwarding=bool(row.get("forwarding", True)),
        encoding=row.get("encoding"),
        waiting=row.get("waiting"),
        packets=int(row.get("packets", 0)),
        bytes=int(row.get("bytes", 0)),
        lost=int(row.get("fraction_lost", 0)) / _LOST_OF,
        round_trip_ms=row.get("round_trip_ms"),
    )


def _estimate(link: Mapping[str, Any]) -> int | None:
    """What is assumed before the first report is no estimate."""
    value = link.get("estimate_bps")
    return None if value is None or link.get("reason") == _ASSUMED else int(value)


def _is_narrow(link: Mapping[str, Any]) -> bool:
    estimate_bps = _estimate(link)
    wanted_bps = int(link.get("wanted_bps", 0))
    return bool(link.get("limited")) and estimate_bps is not None and estimate_bps < wanted_bps


def _unheard_ms(peer: Mapping[str, Any]) -> int:
    left_ms = peer.get("consent_left_ms")
    return 0 if left_ms is None else max(0, _CONSENT_MS - int(left_ms))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: object) -> Iterable[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []

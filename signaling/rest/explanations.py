"""`GET …/stream/{T}/explain`: what each Subscriber receives, and why not more."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sfu.media_view import EncodingView
from signaling.domain.archiving import ArchiveStatus
from signaling.http.answers import Answer, Reply, json_answer
from signaling.rest.call import Call
from signaling.sessions import explanation

Kind = Literal["audio", "video"]
Bps = Annotated[int, Meta(description="Bits per second")]


class Reason(Reply, kw_only=True, omit_defaults=True):
    """`code` is stable, `message` is for people, `detail` is the media core's own name."""

    code: explanation.Code
    message: str
    detail: str | None = None


class Encoding(Reply, kw_only=True, omit_defaults=True):
    """One simulcast version. Size in pixels and frame rate where they are known. Not `wanted`: no
    subscriber could receive it, so its publisher was asked not to send it."""

    rid: str | None = None
    bitrate: Bps
    live: bool
    wanted: bool
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None


class Track(Reply, kw_only=True):
    """A track as its publisher sends it; `reasons` hold for every subscriber."""

    kind: Kind
    codec: str
    sending: bool
    encodings: tuple[Encoding, ...]
    reasons: tuple[Reason, ...]


class Received(Reply, kw_only=True):
    """A track at one subscriber. `encoding` is the index of the encoding that it receives."""

    kind: Kind
    flowing: bool
    bitrate: Bps
    packets_per_second: float
    encoding: int | None
    loss_percent: float
    round_trip_ms: int | None
    reasons: tuple[Reason, ...]


class Decryption(Reply, kw_only=True):
    """The client's last report, in frames; only counts, never keys."""

    mismatch: bool
    decrypted: int
    failed: int


class Subscriber(Reply, kw_only=True):
    """A client of the session; without `subscriberId` it has not subscribed."""

    subscriber_id: str | None
    connection_id: str
    decryption: Decryption
    estimated_bitrate: int | None
    received: tuple[Received, ...]


class Tap(Reply, kw_only=True):
    """A reader of the session's clear media on the server, as a recorder is."""

    received: tuple[Received, ...]


class ArchivedBy(Reply, kw_only=True):
    """An archive that holds the stream now."""

    id: str
    name: str
    status: ArchiveStatus


class CaptionedBy(Reply, kw_only=True):
    """Captions that hear the stream now."""

    id: str
    language_code: str


class Explained(Reply, kw_only=True):
    """How a stream is delivered, measured over `measuredMs`. `render`: what publishes it."""

    session_id: str
    e2ee: bool
    stream_id: str
    connection_id: str
    has_audio: bool
    has_video: bool
    measured_ms: int
    unencrypted_packets: int
    tracks: tuple[Track, ...]
    subscribers: tuple[Subscriber, ...]
    taps: tuple[Tap, ...]
    archives: tuple[ArchivedBy, ...] = ()
    render: str | msgspec.UnsetType = msgspec.UNSET
    captions: tuple[CaptionedBy, ...] = ()


async def explain_stream(call: Call) -> Answer:
    """Takes about a second to measure rates."""
    record = await call.session()
    found = await call.services.live.explain(record, call.path["stream"])
    info = found.stream.info
    return json_answer(
        200,
        Explained(
            session_id=record.session_id,
            e2ee=record.options.e2ee,
            stream_id=info.stream_id,
            connection_id=info.connection_id,
            has_audio=info.has_audio,
            has_video=info.has_video,
            measured_ms=int(found.measured_s * 1000),
            unencrypted_packets=found.unencrypted_packets,
            tracks=tuple(_track(one) for one in found.tracks),
            subscribers=tuple(_subscriber(one) for one in found.subscribers),
            taps=tuple(
                Tap(received=tuple(_received(one) for one in received)) for received in found.taps
            ),
            archives=tuple(
                ArchivedBy(id=one.id, name=one.name, status=one.status)
                for one in call.services.archives.holding(info.stream_id)
            ),
            render=call.services.renders.rendered(info.stream_id) or msgspec.UNSET,
            captions=tuple(
                CaptionedBy(id=one.id, language_code=one.language)
                for one in call.services.captions.hearing(info.stream_id)
            ),
        ),
    )


def _track(track: explanation.TrackReport) -> Track:
    return Track(
        kind=track.kind.value,
        codec=track.codec,
        sending=track.sending,
        encodings=tuple(_encoding(one.view, live=one.live) for one in track.encodings),
        reasons=tuple(_reason(one) for one in track.reasons),
    )


def _encoding(view: EncodingView, *, live: bool) -> Encoding:
    width, height = view.size or (None, None)
    return Encoding(
        rid=view.rid,
        bitrate=view.bitrate_bps if live else 0,
        live=live,
        wanted=view.subscribed,
        width=width,
        height=height,
        frame_rate=view.frame_rate,
    )


def _subscriber(report: explanation.SubscriberReport) -> Subscriber:
    return Subscriber(
        subscriber_id=report.subscriber,
        connection_id=report.connection,
        decryption=Decryption(
            mismatch=report.mismatch, decrypted=report.decrypted, failed=report.failed
        ),
        estimated_bitrate=report.estimate_bps,
        received=tuple(_received(one) for one in report.received),
    )


def _received(received: explanation.Received) -> Received:
    return Received(
        kind=received.kind.value,
        flowing=received.flowing,
        bitrate=received.bitrate_bps,
        packets_per_second=received.packets_per_s,
        encoding=received.encoding,
        loss_percent=round(received.lost * 100, 1),
        round_trip_ms=received.round_trip_ms,
        reasons=tuple(_reason(one) for one in received.reasons),
    )


def _reason(reason: explanation.Reason) -> Reason:
    return Reason(code=reason.code, message=reason.message, detail=reason.detail)

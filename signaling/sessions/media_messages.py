"""Converts between the types of the media plane and those of the protocol."""

from sfu.core_api import MediaKind, PreferredLayers
from sfu.media_plane import DownlinkOffer, PublishAnswer, TrackOffer
from signaling.domain.effects import PreferLayers
from signaling.protocol import messages as m


def offered_tracks(request: m.Publish) -> list[TrackOffer]:
    return [TrackOffer(track.mid, MediaKind(track.kind), track.kids) for track in request.tracks]


def published_tracks(answer: PublishAnswer) -> tuple[m.TrackInfo, ...]:
    return tuple(
        m.TrackInfo(mid=track.mid, kind=track.kind.value, codec=track.codec.value)
        for track in answer.tracks
    )


def downlink_offer(offer: DownlinkOffer) -> m.DownlinkOffer:
    tracks = tuple(
        m.DownlinkTrack(
            mid=track.mid,
            kind=track.kind.value,
            codec=track.codec.value,
            subscriber_id=track.subscriber,
            stream_id=track.stream,
        )
        for track in offer.tracks
    )
    return m.DownlinkOffer(offer_id=offer.number, sdp=offer.sdp, tracks=tracks)


def preferred_layers(effect: PreferLayers) -> PreferredLayers:
    size = effect.resolution
    return PreferredLayers(
        max_width_px=size.width if size else None,
        max_height_px=size.height if size else None,
        max_frame_rate=effect.frame_rate,
    )

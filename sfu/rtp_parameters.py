"""The negotiated parameters of one m-line, and their form for the media core: pure data and tables.

The SDP layer fills `NegotiatedMedia`; nothing here reads or writes SDP text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sfu.core_api import (
    Codec,
    DownTrackParameters,
    EncodingParameters,
    Extension,
    MediaKind,
    UpTrackParameters,
)

EXTENSION_URIS: dict[Extension, str] = {
    Extension.MID: "urn:ietf:params:rtp-hdrext:sdes:mid",
    Extension.RID: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    Extension.REPAIRED_RID: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    Extension.AUDIO_LEVEL: "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    Extension.ABS_SEND_TIME: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    Extension.TRANSPORT_CC: (
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    ),
    Extension.TRANSMISSION_OFFSET: "urn:ietf:params:rtp-hdrext:toffset",
    Extension.VIDEO_ORIENTATION: "urn:3gpp:video-orientation",
    Extension.PLAYOUT_DELAY: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    Extension.VIDEO_CONTENT_TYPE: (
        "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type"
    ),
    Extension.VIDEO_TIMING: "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
    Extension.COLOR_SPACE: "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
    Extension.DEPENDENCY_DESCRIPTOR: (
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
    ),
    Extension.VIDEO_LAYERS_ALLOCATION: (
        "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00"
    ),
    Extension.ABS_CAPTURE_TIME: "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
}
EXTENSION_OF_URI = {uri: extension for extension, uri in EXTENSION_URIS.items()}

DOWNLINK_EXTENSION_IDS: dict[Extension, int] = {
    Extension.MID: 1,
    Extension.AUDIO_LEVEL: 2,
    Extension.VIDEO_ORIENTATION: 3,
    Extension.PLAYOUT_DELAY: 4,
    Extension.VIDEO_CONTENT_TYPE: 5,
    Extension.VIDEO_TIMING: 6,
    Extension.COLOR_SPACE: 7,
    Extension.DEPENDENCY_DESCRIPTOR: 8,
    Extension.ABS_CAPTURE_TIME: 9,
    Extension.TRANSPORT_CC: 10,
    Extension.ABS_SEND_TIME: 11,
}
"""Our ids on every downlink, all within the one-byte form. Other extensions are not forwarded:
toffset describes one hop. So do transport-cc and abs-send-time, which are rewritten for it."""

OWN_EXTENSIONS = frozenset({Extension.MID, Extension.TRANSPORT_CC})
"""On every downlink, whatever the publisher sends. abs-send-time is not: the receivers'
estimates from it fluctuate too much in their first seconds to pause video by."""


@dataclass(frozen=True, slots=True)
class CodecRule:
    """How a codec is recognized and which of its format parameters are forwarded.

    `passed` are the parameters that describe the stream itself and so hold for every receiver;
    `usable` tells whether a configuration can be forwarded, `open_ended` whether it omits what
    most senders declare.
    """

    kind: MediaKind
    encoding_name: str
    clock_rate_hz: int
    channels: int | None
    answered: frozenset[str]
    passed: Callable[[Mapping[str, str]], dict[str, str]]
    usable: Callable[[Mapping[str, str]], bool] = lambda _: True
    open_ended: Callable[[Mapping[str, str]], bool] = lambda _: False

    def describes(self, clock_rate_hz: int, channels: int | None) -> bool:
        """Whether an rtpmap can mean this codec. Some omit the channels."""
        return clock_rate_hz == self.clock_rate_hz and (
            self.channels is None or channels in (None, self.channels)
        )


def _opus_for_receivers(offered: Mapping[str, str]) -> dict[str, str]:
    passed = {"minptime": "10", "useinbandfec": "1"}
    if "1" in (offered.get("stereo"), offered.get("sprop-stereo")):
        passed |= {"stereo": "1", "sprop-stereo": "1"}
    return passed


def _keep(*names: str) -> Callable[[Mapping[str, str]], dict[str, str]]:
    return lambda offered: {name: offered[name] for name in names if name in offered}


_H264_UNTOLD = {
    "level-asymmetry-allowed": "1",
    "packetization-mode": "1",
    "profile-level-id": "42e01f",
}
"""The parameters that browsers need for a stream whose publisher omits them. Receivers follow
the stream's own parameter sets."""


def _h264_for_receivers(offered: Mapping[str, str]) -> dict[str, str]:
    return {name: offered.get(name, untold) for name, untold in _H264_UNTOLD.items()}


CODEC_RULES: dict[Codec, CodecRule] = {
    Codec.OPUS: CodecRule(
        MediaKind.AUDIO,
        "opus",
        48_000,
        2,
        frozenset({"minptime", "useinbandfec", "stereo", "maxplaybackrate", "usedtx", "cbr"}),
        _opus_for_receivers,
    ),
    Codec.VP8: CodecRule(
        MediaKind.VIDEO, "VP8", 90_000, None, frozenset({"max-fs", "max-fr"}), _keep()
    ),
    Codec.VP9: CodecRule(
        MediaKind.VIDEO,
        "VP9",
        90_000,
        None,
        frozenset({"profile-id", "max-fs", "max-fr"}),
        _keep("profile-id"),
    ),
    Codec.H264: CodecRule(
        MediaKind.VIDEO,
        "H264",
        90_000,
        None,
        frozenset({"level-asymmetry-allowed", "packetization-mode", "profile-level-id"}),
        _h264_for_receivers,
        # mode 0 cannot carry a NAL unit above the MTU, and e2ee/2 makes one of each frame; an
        # encoder that names no mode has no choice of modes and fragments like all others
        lambda offered: offered.get("packetization-mode", "1") == "1",
        lambda offered: "packetization-mode" not in offered,
    ),
    Codec.AV1: CodecRule(
        MediaKind.VIDEO,
        "AV1",
        90_000,
        None,
        frozenset({"profile", "level-idx", "tier"}),
        _keep("profile", "level-idx", "tier"),
    ),
}
CODEC_OF_NAME = {rule.encoding_name.lower(): codec for codec, rule in CODEC_RULES.items()}

SAFE_FORMAT_VALUE = re.compile(r"[A-Za-z0-9.,_+/-]{1,64}")
"""A publisher's format parameters are shown to every subscriber: plain words only."""


@dataclass(frozen=True, slots=True)
class NegotiatedCodec:
    codec: Codec
    payload_type: int
    rtx_payload_type: int | None
    parameters: Mapping[str, str] = field(default_factory=dict)
    feedback: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NegotiatedMedia:
    """One m-line of an uplink, as answered."""

    mid: str
    kind: MediaKind
    codec: NegotiatedCodec
    encodings: tuple[EncodingParameters, ...]
    extensions: Mapping[Extension, int]


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """The format of an up track, as offered to its receivers."""

    codec: Codec
    parameters: tuple[tuple[str, str], ...]
    extensions: frozenset[Extension]
    retransmission: bool


def up_track_parameters(media: NegotiatedMedia, kids: tuple[bytes, ...]) -> UpTrackParameters:
    """The core's parameters of one published m-line."""
    return UpTrackParameters(
        mid=media.mid,
        kind=media.kind,
        codec=media.codec.codec,
        payload_type=media.codec.payload_type,
        rtx_payload_type=media.codec.rtx_payload_type,
        clock_rate_hz=CODEC_RULES[media.codec.codec].clock_rate_hz,
        encodings=media.encodings,
        extensions=dict(media.extensions),
        nack="nack" in media.codec.feedback,
        declared_kids=kids,
    )


def stream_format(media: NegotiatedMedia) -> StreamFormat:
    """The downlink's format for a published m-line.

    The dependency descriptor is forwarded only with a single encoding: its frame numbers
    continue within an encoding and would jump at a switch to another one.
    """
    carried = (media.extensions.keys() & DOWNLINK_EXTENSION_IDS.keys()) | OWN_EXTENSIONS
    carried -= {Extension.ABS_SEND_TIME}
    if len(media.encodings) > 1:
        carried -= {Extension.DEPENDENCY_DESCRIPTOR}
    passed = CODEC_RULES[media.codec.codec].passed(media.codec.parameters)
    return StreamFormat(
        codec=media.codec.codec,
        parameters=tuple(sorted(passed.items())),
        extensions=frozenset(carried),
        retransmission=media.kind is MediaKind.VIDEO,
    )


@dataclass(frozen=True, slots=True)
class AcceptedDownTrack:
    """One m-line of a downlink as the client answered it."""

    mid: str
    ssrc: int
    rtx_ssrc: int | None
    payload_type: int
    rtx_payload_type: int | None
    extensions: frozenset[Extension]
    nack: bool


def down_track_parameters(down_track: AcceptedDownTrack, up_track_mid: str) -> DownTrackParameters:
    """The core's parameters of one subscribed m-line."""
    with_rtx = down_track.rtx_payload_type is not None
    return DownTrackParameters(
        mid=down_track.mid,
        up_track_mid=up_track_mid,
        ssrc=down_track.ssrc,
        rtx_ssrc=down_track.rtx_ssrc if with_rtx else None,
        payload_type=down_track.payload_type,
        rtx_payload_type=down_track.rtx_payload_type,
        extensions={
            extension: DOWNLINK_EXTENSION_IDS[extension] for extension in down_track.extensions
        },
        nack=down_track.nack,
    )

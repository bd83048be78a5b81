"""Frames of H.264 and AAC as RTMP carries them: the bodies of FLV tags (Adobe's FLV 10.1, annex E);
pure."""

from sfu.egress.child.amf import Value, encoded
from sfu.egress.child.tracks import AudioTrack, Packet, Tracks, VideoTrack, with_lengths

_AVC, _KEY, _INTER = 7, 0x10, 0x20
_HEADER, _FRAME = 0, 1
_AAC = 0xAF
"""AAC; the rest of the byte says 44.1 kHz, stereo, 16 bits, which decoders do not read for AAC."""


def video_header(video: VideoTrack) -> bytes:
    return bytes([_KEY | _AVC, _HEADER, 0, 0, 0]) + video.record


def audio_header(audio: AudioTrack) -> bytes:
    return bytes([_AAC, _HEADER]) + audio.config


def frame(packet: Packet) -> bytes:
    if packet.kind == "audio":
        return bytes([_AAC, _FRAME]) + packet.data
    kind = (_KEY if packet.key else _INTER) | _AVC
    return bytes([kind, _FRAME, 0, 0, 0]) + with_lengths(packet.data)  # shown when it is decoded


def metadata(tracks: Tracks) -> bytes:
    """The body of `@setDataFrame`, which servers show and hand on."""
    found: dict[str, Value] = {}
    if tracks.video is not None:
        found |= {
            "width": tracks.video.width,
            "height": tracks.video.height,
            "videocodecid": _AVC,
            "videodatarate": tracks.video.bitrate_bps / 1000,
            "framerate": 30,
        }
    if tracks.audio is not None:
        found |= {
            "audiocodecid": 10,
            "audiodatarate": tracks.audio.bitrate_bps / 1000,
            "audiosamplerate": tracks.audio.hz,
            "audiosamplesize": 16,
            "stereo": tracks.audio.channels == 2,
        }
    return encoded("@setDataFrame", "onMetaData", found)

"""Frames of real encoders, with the image that a decoder makes of each.

Every encoding is a set of clips that begin with a key frame and need nothing before it. A
publisher that is asked for a key frame goes on with the next clip.
"""

import struct
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

FRAME_RATE = 30
_SQUARE = 32
"""Pixels of the corner that shows which encoding it is; a multiple of every block size."""
_MARKS = (60, 130, 200)
"""The brightness of that corner, by encoding."""
_MARK_TOLERANCE = 20
_IVF_HEADER_BYTES = 32
_IVF_FRAME_HEADER_BYTES = 12


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    height: int


SIZES = (Size(96, 64), Size(128, 96), Size(192, 128))


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded frame. `image` is the checksum of what it decodes to."""

    encoding: int
    clip: int
    index: int
    data: bytes
    temporal: int
    image: int

    @property
    def is_key(self) -> bool:
        return self.index == 0


@dataclass(frozen=True, slots=True)
class Format:
    """A codec as it is encoded here. `temporal` is the layer of each frame, repeated."""

    codec: str
    encoder: str
    options: dict[str, str]
    decoder: str
    decoder_options: dict[str, str] = field(default_factory=dict)
    temporal: tuple[int, ...] = (0,)


_VPX = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}


def _layered(options: dict[str, str], pattern: tuple[int, ...]) -> dict[str, str]:
    layers = max(pattern) + 1
    mode = {2: 2, 3: 3}[layers]
    decimators = ",".join(str(2 ** (layers - 1 - layer)) for layer in range(layers))
    targets = ",".join(str(120 * (layer + 1)) for layer in range(layers))
    return options | {
        "error-resilient": "default",
        "ts-parameters": f"ts_number_layers={layers}:ts_target_bitrate={targets}"
        f":ts_rate_decimator={decimators}:ts_periodicity={len(pattern)}"
        f":ts_layer_id={','.join(map(str, pattern))}:ts_layering_mode={mode}",
    }


_TWO, _THREE = (0, 1), (0, 2, 1, 2)
_X264 = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
_AOM = {"usage": "realtime", "cpu-used": "8", "lag-in-frames": "0", "crf": "40", "b:v": "0"}
_DAV1D = {"max_frame_delay": "1"}

FORMATS = {
    "vp8": Format("vp8", "libvpx", _VPX, "vp8"),
    "vp8-t2": Format("vp8", "libvpx", _layered(_VPX, _TWO), "vp8", temporal=_TWO),
    "vp8-t3": Format("vp8", "libvpx", _layered(_VPX, _THREE), "vp8", temporal=_THREE),
    "vp9": Format("vp9", "libvpx-vp9", _VPX, "vp9"),
    "vp9-t2": Format("vp9", "libvpx-vp9", _layered(_VPX, _TWO), "vp9", temporal=_TWO),
    "vp9-t3": Format("vp9", "libvpx-vp9", _layered(_VPX, _THREE), "vp9", temporal=_THREE),
    "h264": Format("h264", "libx264", _X264, "h264"),
    "av1": Format("av1", "libaom-av1", _AOM, "libdav1d", _DAV1D),
}


class Decoder:
    """A real decoder of one stream; one frame in, one image out."""

    def __init__(self, form: Format) -> None:
        context = av.CodecContext.create(form.decoder, "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1
        context.options = form.decoder_options
        if form.decoder == "h264":
            context.flags |= av.codec.context.Flags.low_delay
        self._context = context

    def decode(self, data: bytes) -> NDArray[np.uint8] | None:
        """Errors: av.FFmpegError when the decoder refuses the frame."""
        images = self._context.decode(av.Packet(data))
        if len(images) != 1 or images[0].is_corrupt:
            return None
        return images[0].to_ndarray(format="yuv420p").astype(np.uint8, copy=False)


def checksum(image: NDArray[np.uint8]) -> int:
    return zlib.crc32(image.tobytes()) ^ int(image.shape[1]) << 32


def shows(image: NDArray[np.uint8]) -> int | None:
    """Which encoding's mark is in the image."""
    corner = image[4 : _SQUARE - 4, 4 : _SQUARE - 4].astype(int)
    near = [i for i, mark in enumerate(_MARKS) if np.abs(corner - mark).max() <= _MARK_TOLERANCE]
    return near[0] if near else None


def _drawn(size: Size, encoding: int, random: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Moving stripes and a noisy square, with the mark in the corner."""
    width, height = size.width, size.height
    rows, columns = np.mgrid[0:height, 0:width]
    slope = random.integers(1, 5, 2)
    step = 0
    while True:
        step += 1
        luma = (rows * slope[0] + columns * slope[1] + 5 * step) % 220
        noise = random.integers(0, 255, (24, 24))
        luma[height - 24 :, width - 24 :] = noise
        chroma = np.full((2, height // 2, width // 2), 128)
        luma[:_SQUARE, :_SQUARE] = _MARKS[encoding]
        flat = np.concatenate([luma.ravel(), chroma.ravel()]).astype(np.uint8)
        yield flat.reshape(height * 3 // 2, width)


def _encoder(form: Format, size: Size) -> VideoCodecContext:
    context = av.CodecContext.create(form.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = size.width, size.height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, FRAME_RATE), Fraction(FRAME_RATE, 1)
    if "crf" not in form.options:
        context.bit_rate = 300_000
    context.gop_size = 9_999
    context.thread_count = 1
    context.options = form.options
    return context


def _encoded(form: Format, size: Size, images: list[NDArray[np.uint8]]) -> list[bytes]:
    if form.encoder not in av.codecs_available:
        return _encoded_by_ffmpeg(form, size, images)
    context = _encoder(form, size)
    packets = []
    for number, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return [bytes(packet) for packet in packets]


def _encoded_by_ffmpeg(form: Format, size: Size, images: list[NDArray[np.uint8]]) -> list[bytes]:
    """PyAV's only AV1 encoder gives the process that it runs in real time, and may wait forever.
    Errors: OSError, subprocess.SubprocessError."""
    options = " ".join(f"-{name} {value}" for name, value in form.options.items())
    taken = f"-f rawvideo -pix_fmt yuv420p -video_size {size.width}x{size.height}"
    given = f"-c:v {form.encoder} {options} -g 9999 -threads 1 -f ivf"
    done = subprocess.run(
        f"ffmpeg -loglevel error {taken} -framerate {FRAME_RATE} -i - {given} -".split(),
        input=b"".join(image.tobytes() for image in images),
        check=True,
        capture_output=True,
        timeout=60,
    )
    packets, at = [], _IVF_HEADER_BYTES
    while at < len(done.stdout):
        (length,) = struct.unpack_from("<I", done.stdout, at)
        at += _IVF_FRAME_HEADER_BYTES
        packets.append(done.stdout[at : at + length])
        at += length
    return packets


def clip(form: Format, encoding: int, number: int, frames: int, seed: int) -> list[Frame]:
    """A key frame and what follows it. Errors: RuntimeError when the encoder does otherwise."""
    random = np.random.default_rng([seed, encoding, number])
    drawn = _drawn(SIZES[encoding], encoding, random)
    data = _encoded(form, SIZES[encoding], [next(drawn) for _ in range(frames)])
    if len(data) != frames:
        raise RuntimeError(f"{form.encoder} made {len(data)} of {frames} frames")
    layers = [form.temporal[index % len(form.temporal)] for index in range(frames)]
    images = _decoded(form, data, encoding)
    for top in range(max(layers)):
        kept = [index for index in range(frames) if layers[index] <= top]
        alone = _decoded(form, [data[index] for index in kept], encoding)
        if alone != [images[index] for index in kept]:
            raise RuntimeError(f"{form.encoder}'s lower layers need those above")
    return [
        Frame(encoding, number, index, data[index], layers[index], images[index])
        for index in range(frames)
    ]


def _decoded(form: Format, data: list[bytes], encoding: int) -> list[int]:
    """Checksums. Errors: RuntimeError."""
    decoder = Decoder(form)
    images = []
    for index, encoded in enumerate(data):
        image = decoder.decode(encoded)
        if image is None or shows(image) != encoding:
            raise RuntimeError(f"{form.encoder}'s frame {index} is not what was drawn")
        images.append(checksum(image))
    return images


@dataclass(frozen=True, slots=True)
class Library:
    """All clips of a codec, by encoding."""

    form: Format
    clips: tuple[tuple[list[Frame], ...], ...]

    @classmethod
    def encode(cls, form: Format, encodings: int, clips: int, frames: int, seed: int) -> "Library":
        return cls(
            form,
            tuple(
                tuple(clip(form, encoding, number, frames, seed) for number in range(clips))
                for encoding in range(encodings)
            ),
        )

"""A broadcast: what the composer makes goes to viewers while it is made.

It is encoded once for all outputs. A process that follows a killed one goes on with the playlist of
the folder, and connects to RTMP servers again.
"""

from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from sfu.egress.child.encoded import AUDIO_BITRATE_BPS, Encoded
from sfu.egress.child.hls_output import HlsOutput
from sfu.egress.child.journal import Journal
from sfu.egress.child.manifest import History
from sfu.egress.child.plan import FPS, SAMPLE_RATE
from sfu.egress.child.rtmp_target import RtmpOutput, Status
from sfu.egress.child.tracks import AudioTrack, Tracks, VideoTrack, record_of
from sfu.egress.composer.composed import ComposedArchive, ComposedJob
from sfu.egress.composer.encode import Encoders
from sfu.egress.control import OutputLine
from sfu.egress.live_outputs import HLS, LiveOutputs
from sfu.target_policy import TargetPolicy, networks

SLOW_US = 300_000
"""A broadcast that is further behind makes every second image only, which costs less."""
_CHANNELS = 2


class LiveBroadcast(ComposedArchive):
    """`history` has the streams that are there, and nothing that was written."""

    slow_us = SLOW_US

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        history: History,
        job: ComposedJob,
        outputs: LiveOutputs,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(folder, journal, history, job, beat)
        self._reports: SimpleQueue[OutputLine] = SimpleQueue()
        self._tracks = tracks_of(job.encoders)
        self._outputs = outputs
        policy = TargetPolicy(networks(outputs.allowed_networks))
        self._rtmp = [
            RtmpOutput(one, self._tracks, policy, self._reporter(one.id), outputs.rtmp_retry_s)
            for one in outputs.rtmp
        ]
        for output in self._rtmp:
            output.start()

    def take_reports(self) -> list[OutputLine]:
        return [self._reports.get() for _ in range(self._reports.qsize())]

    @property
    def size_bytes(self) -> int:
        return self._part.size_bytes if isinstance(self._part, _Fan) else 0

    def abandon(self) -> None:
        super().abandon()
        self._end_rtmp()

    def _reporter(self, output: str) -> Callable[[Status], None]:
        """Called in the threads of the outputs."""
        return lambda status: self._reports.put(OutputLine(output, status))

    def _open_part(self) -> None:
        hls = None
        if self._outputs.hls is not None:
            zero_unix_ms = self._created_unix_ms + self._start_us // 1000
            ready = OutputLine(HLS, "ready")
            hls = HlsOutput(
                self._folder,
                self._tracks,
                self._outputs.hls,
                zero_unix_ms,
                lambda: self._reports.put(ready),
            )
        self._part = _Fan(hls, self._rtmp)

    def _close_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.close()
        self._end_rtmp()
        self._composer.close()

    def _end_rtmp(self) -> None:
        for output in self._rtmp:
            output.end()
        self._rtmp = []


class _Fan:
    """Each packet to every output. A disk that fails ends the broadcast, a server does not."""

    def __init__(self, hls: HlsOutput | None, rtmp: list[RtmpOutput]) -> None:
        self._hls = hls
        self._rtmp = rtmp

    @property
    def size_bytes(self) -> int:
        return 0 if self._hls is None else self._hls.size_bytes

    def write(self, packet: Encoded) -> None:
        for output in self._rtmp:
            output.put(packet)
        if self._hls is not None:
            self._hls.write(packet)

    def sync(self) -> None:
        """Nobody needs it after a loss of power."""

    def close(self) -> None:
        if self._hls is not None:
            self._hls.close()


def tracks_of(encoders: Encoders) -> Tracks:
    video, audio = encoders.video, encoders.audio
    return Tracks(
        None
        if video is None
        else VideoTrack(video.width, video.height, FPS, record_of(bytes(video.extradata))),
        None
        if audio is None
        else AudioTrack(
            SAMPLE_RATE, _CHANNELS, bytes(audio.codec_context.extradata), AUDIO_BITRATE_BPS
        ),
    )

"""A broadcast as a job of the supervisor: it leaves no file, and says what its outputs are."""

from sfu.egress.broadcast_jobs import BroadcastJob, BroadcastListener, layout_of
from sfu.egress.composition import Composition, Layout
from sfu.egress.jobs import ArchiveJob, Finished, Job


def archive_job(job: BroadcastJob) -> ArchiveJob:
    width, height = map(int, job.resolution.split("x"))
    return ArchiveJob(
        archive=job.broadcast,
        folder=job.folder,
        session=job.session,
        name="",
        created_unix_ms=job.created_unix_ms,
        hold_ms=job.hold_ms,
        composition=Composition(
            width=width,
            height=height,
            layout=layout_of(job.layout),
            has_audio=job.has_audio,
            has_video=job.has_video,
            bitrate_bps=job.max_bitrate,
        ),
        live=job.outputs,
    )


class LiveListener:
    """Implements `JobListener` and `OutputListener`."""

    def __init__(self, listener: BroadcastListener) -> None:
        self._listener = listener

    def on_recording(self) -> None: ...
    def on_progress(self, recorded_ms: int, size_bytes: int) -> None: ...
    def on_output(self, output: str, status: str) -> None:
        self._listener.on_output(output, status)

    def on_finished(self, result: Finished) -> None:  # noqa: ARG002 - there is no file
        self._listener.on_finished()

    def on_failed(self, code: str, text: str) -> None:
        self._listener.on_failed(code, text)


class LiveRun:
    """Implements `RunningJob`."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def set_layout(self, layout: Layout) -> None:
        self._job.set_layout(layout)

    def finish(self, reason: str) -> None:
        self._job.finish(reason)

"""Runs the jobs of egress, each in a process of its own, and starts dead ones again.

What is written is in the job's folder: a process that follows a dead one goes on there. All of
this is on the event loop; nothing waits for a disk.
"""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from config.settings import EgressSettings
from sfu.egress import capacity
from sfu.egress.broadcast_jobs import BroadcastJob, BroadcastListener
from sfu.egress.child_link import SILENCE_S, ChildLink, spawn
from sfu.egress.child_reports import ChildReports, recorded_ms
from sfu.egress.composition import Composition, Layout
from sfu.egress.control import (
    DoneLine,
    Down,
    FailedLine,
    FinishLine,
    IgnoredReason,
    JobLine,
    LayoutLine,
    LineError,
    OutputLine,
    ProgressLine,
    ReadyLine,
    RecordingLine,
    RecordLine,
    Up,
)
from sfu.egress.deaths import Deaths
from sfu.egress.finished_files import Measured, measured
from sfu.egress.forks import COMPOSING_ZYGOTE, ZYGOTE, ForkError, Zygote
from sfu.egress.jobs import ArchiveJob, EgressError, Finished, JobListener, OutputListener
from sfu.egress.live_run import LiveListener, LiveRun, archive_job

log = logging.getLogger(__name__)

RESTART_S = 0.2
ARCHIVE_FILE, COMPOSED_FILE = "archive.zip", "archive.mp4"
_MICROSECONDS = 1_000_000
_OLDEST_START_US = 60 * _MICROSECONDS
"""A wall clock that was set meanwhile does not put the beginning into another hour."""

Outcome = Finished | FailedLine
_NO_FILE = Measured(0, b"")
"""Of a broadcast."""


class Supervisor:
    """Implements `Egress` and `BroadcastEgress`."""

    def __init__(
        self,
        settings: EgressSettings,
        *,
        close_within_s: float = 5.0,
        silence_s: float = SILENCE_S,
        program: Sequence[str] = ZYGOTE,
        composing_program: Sequence[str] = COMPOSING_ZYGOTE,
    ) -> None:
        self._settings = settings
        self._close_within_s = close_within_s
        self._silence_s = silence_s
        self._zygote = Zygote(program)
        self._composing_zygote = Zygote(composing_program)
        self._jobs: dict[ArchiveRun, asyncio.Task[None]] = {}
        self._totals: Counter[str] = Counter()
        self._closed = False

    @property
    def running(self) -> int:
        return len(self._jobs)

    def counters(self) -> Mapping[str, int]:
        """Totals since the start: starts, restarts, lies, finished, failed.<code>,
        ignored.<reason>."""
        return dict(self._totals)

    @property
    def zygote_pid(self) -> int | None:
        return self._zygote.pid

    def start(self, job: ArchiveJob, media: socket.socket, listener: JobListener) -> "ArchiveRun":
        if self._closed or not self._has_room(job):
            media.close()
            raise EgressError("no_capacity", "This server has no room for another recording.")
        self._totals["starts"] += 1
        run = ArchiveRun(self._zygote_of(job), job, media, listener, self._totals, self._silence_s)
        self._jobs[run] = run.task
        run.task.add_done_callback(lambda _: self._jobs.pop(run, None))
        return run

    def start_broadcast(
        self, job: BroadcastJob, media: socket.socket, listener: BroadcastListener
    ) -> LiveRun:
        return LiveRun(self.start(archive_job(job), media, LiveListener(listener)))

    async def recover(self, job: ArchiveJob) -> Finished | None:
        outcome = await _complete(self._zygote_of(job), job, self._silence_s, self._totals)
        if isinstance(outcome, Finished):
            return outcome
        if outcome.code == "no_media":
            return None
        raise EgressError(outcome.code, outcome.text)

    async def close(self) -> None:
        self._closed = True
        tasks = list(self._jobs.values())
        for run in list(self._jobs):
            run.finish("the server stops")
        if tasks:
            await asyncio.wait(tasks, timeout=self._close_within_s)
        # Children without a server complete their files; the next start takes the result.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(self._zygote.close(), self._composing_zygote.close())

    def _zygote_of(self, job: ArchiveJob) -> Zygote:
        """Codecs are in the processes alone that need them."""
        return self._zygote if job.composition is None else self._composing_zygote

    def _has_room(self, job: ArchiveJob) -> bool:
        if len(self._jobs) >= self._settings.children_max:
            return False
        if job.composition is None:
            return True
        running = [capacity.cost(one) for run in self._jobs if (one := run.composition)]
        wanted = capacity.cost(job.composition)
        return capacity.has_room(running, wanted, capacity.budget(self._settings.cores))


class ArchiveRun:
    """One job, over the lives of its processes. Implements `Job`."""

    def __init__(
        self,
        zygote: Zygote,
        job: ArchiveJob,
        media: socket.socket,
        listener: JobListener,
        totals: Counter[str],
        silence_s: float,
    ) -> None:
        self._totals = totals
        self._ignored: Mapping[IgnoredReason, int] = {}
        self._zygote = zygote
        self._job = job
        self._media = media
        self._listener = listener
        self._silence_s = silence_s
        self._origin_us = _origin_us(job.created_unix_ms)
        self._paused_at_us: int | None = None
        self._streams: list[dict[str, Any]] | None = None
        self._reason: str | None = None
        self._link: ChildLink[Up] | None = None
        self._is_recording = False
        self._recorded_ms = 0
        self._aborted = False
        self.task = asyncio.get_running_loop().create_task(self._run())
        self.task.add_done_callback(lambda _: media.close())

    def pause(self) -> None:
        if self._paused_at_us is None:
            self._paused_at_us = _now_us()
            self._send(RecordLine(on=False, at_us=self._paused_at_us))

    def resume(self) -> None:
        if self._paused_at_us is not None:
            self._paused_at_us = None
            self._send(RecordLine(on=True, at_us=_now_us()))

    def streams(self, present: Mapping[str, Mapping[str, object]]) -> None:
        self._streams = [dict(added) for added in present.values()]

    @property
    def composition(self) -> Composition | None:
        return self._job.composition

    def set_layout(self, layout: Layout) -> None:
        if self._job.composition is not None:
            composition = replace(self._job.composition, layout=layout)
            self._job = replace(self._job, composition=composition)
            self._send(LayoutLine(layout, _now_us()))

    def finish(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            self._send(FinishLine(reason))

    def abort(self) -> None:
        self._aborted = True
        if self._link is not None:
            self._link.process.kill()
        self.task.cancel()

    async def _run(self) -> None:
        """Until the job has ended one way or the other."""
        deaths = Deaths()
        while (outcome := await self._one_process()) is None:
            if not deaths.add(asyncio.get_running_loop().time()):
                outcome = await self._give_up()
                break
            self._totals["restarts"] += 1
            log.warning("a recording process ended; another one goes on")
            await asyncio.sleep(RESTART_S)
        self._report(outcome)

    async def _one_process(self) -> Outcome | None:
        """What the process ends with; None when it died."""
        try:
            link = await spawn(self._zygote, self._media)
        except ForkError as failure:
            log.warning("%s", failure)
            return None
        self._link, self._ignored, last = link, {}, None
        reports = ChildReports(self._job.live)
        try:
            link.send(self._present_state())
            if self._reason is not None:
                link.send(FinishLine(self._reason))
            async for line in link.lines(self._silence_s):
                reports.check(line)
                if isinstance(line, DoneLine | FailedLine):
                    last = line
                    break
                self._handle(line)
        except LineError as lie:
            _count_lie(self._totals, lie)
        finally:
            self._link = None
            # Cancelled without `abort`, the server ends: the child completes its files.
            await link.close(kill=self._aborted or not _is_cancelled())
        return await _checked(self._job, last, self._elapsed_ms(), self._totals)

    def _elapsed_ms(self) -> int:
        return (_now_us() - self._origin_us) // 1000

    def _present_state(self) -> JobLine:
        return _job_line(
            self._job,
            origin_us=self._origin_us,
            paused_at_us=self._paused_at_us,
            streams=self._streams,
        )

    def _handle(self, line: ReadyLine | RecordingLine | ProgressLine | OutputLine) -> None:
        match line:
            case OutputLine(output=output, status=status):
                if isinstance(self._listener, OutputListener):
                    self._listener.on_output(output, status)
            case RecordingLine():
                if not self._is_recording:
                    self._is_recording = True
                    self._listener.on_recording()
            case ProgressLine(recorded_ms=said_ms, size_bytes=size_bytes, ignored=ignored):
                self._count_ignored(ignored)
                # A process that begins, or waits for its folder, does not know all of it yet.
                said_ms = recorded_ms(said_ms, self._elapsed_ms())
                self._recorded_ms = max(self._recorded_ms, said_ms)
                self._listener.on_progress(self._recorded_ms, size_bytes)
            case ReadyLine(landlock=landlock):
                if not landlock:
                    log.info("a recording process is not confined: the kernel has no Landlock")

    def _count_ignored(self, ignored: Mapping[IgnoredReason, int]) -> None:
        """A process counts from its beginning."""
        for reason, count in ignored.items():
            self._totals[f"ignored.{reason}"] += max(0, count - self._ignored.get(reason, 0))
        self._ignored = ignored

    async def _give_up(self) -> Outcome:
        """Completes what the dead processes wrote."""
        log.error("a recording ends: its processes ended again and again")
        outcome = await _complete(self._zygote, self._job, self._silence_s, self._totals)
        if isinstance(outcome, FailedLine) and outcome.code == "no_media":
            return FailedLine("child_lost", "The recording process ended again and again.")
        return outcome

    def _report(self, outcome: Outcome) -> None:
        if self._aborted:
            return
        if isinstance(outcome, Finished):
            self._totals["finished"] += 1
            self._listener.on_finished(outcome)
        else:
            self._totals[f"failed.{outcome.code}"] += 1
            self._listener.on_failed(outcome.code, outcome.text)

    def _send(self, line: Down) -> None:
        """To the process that is there; a later one gets the present state."""
        if self._link is not None:
            self._link.send(line)


async def _complete(
    zygote: Zygote, job: ArchiveJob, silence_s: float, totals: Counter[str]
) -> Outcome:
    """Completes a folder, in a process without a tap. One that dies gets a second attempt."""
    for _ in range(2):
        last, reports = None, ChildReports(None, recover=True)
        try:
            link = await spawn(zygote, None)
        except ForkError as failure:
            log.warning("%s", failure)
            continue
        try:
            link.send(_job_line(job, origin_us=0, recover=True))
            async for line in link.lines(silence_s):
                reports.check(line)
                if isinstance(line, DoneLine | FailedLine):
                    last = line
                    break
        except LineError as lie:
            _count_lie(totals, lie)
        finally:
            await link.close(kill=not _is_cancelled())
        elapsed_ms = time.time_ns() // 1_000_000 - job.created_unix_ms
        outcome = await _checked(job, last, elapsed_ms, totals)
        if outcome is not None:
            return outcome
    return FailedLine("child_lost", "The process that completes the files ended.")


async def _checked(
    job: ArchiveJob, last: DoneLine | FailedLine | None, elapsed_ms: int, totals: Counter[str]
) -> Outcome | None:
    """What a process that has ended leaves behind. A file that it speaks of and did not make is as
    if it had died: what was recorded may be there, for another process."""
    if not isinstance(last, DoneLine):
        return last
    name = ARCHIVE_FILE if job.composition is None else COMPOSED_FILE
    file, found = Path(job.folder) / name, _NO_FILE
    if job.live is None:
        try:
            found = await measured(file)
        except LineError as lie:
            _count_lie(totals, lie)
            return None
    recorded = recorded_ms(last.recorded_ms, elapsed_ms)
    return Finished(file, found.size_bytes, found.sha256, recorded)


def _count_lie(totals: Counter[str], lie: LineError) -> None:
    totals["lies"] += 1
    log.warning("a recording process reported what is not true: %s", lie)


def _job_line(job: ArchiveJob, *, origin_us: int, **state: Any) -> JobLine:  # noqa: ANN401
    return JobLine(
        archive=job.archive,
        folder=str(job.folder.absolute()),
        session=job.session,
        name=job.name,
        created_unix_ms=job.created_unix_ms,
        origin_us=origin_us,
        hold_ms=job.hold_ms,
        composition=job.composition,
        live=job.live,
        **state,
    )


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def _origin_us(created_unix_ms: int) -> int:
    """The monotonic time at which the archive was created."""
    since_us = time.time_ns() // 1000 - created_unix_ms * 1000
    return _now_us() - min(max(since_us, 0), _OLDEST_START_US)

"""The process of one archive: control lines on descriptor 3, the tap on descriptor 4.

It has no environment, no secret and no log, and reaches no file outside of its folder where the
kernel has Landlock. It ends by itself when the server is gone, after it has
completed its files. An error that is not the disk's ends it at once; the next process goes on from
the folder.
"""

import os
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from sfu.egress.child.completion import Form, complete, locked
from sfu.egress.child.confinement import confine
from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.child.events import Began
from sfu.egress.child.frames import Reader, in_order
from sfu.egress.child.journal import Journal, read_journal
from sfu.egress.child.kinds import INDIVIDUAL, Kind
from sfu.egress.child.manifest import History, history_of
from sfu.egress.child.part import is_full
from sfu.egress.control import (
    DoneLine,
    Down,
    DownReader,
    FailedLine,
    FinishLine,
    JobLine,
    LayoutLine,
    ProgressLine,
    ReadyLine,
    RecordingLine,
    RecordLine,
)

CONTROL_DESCRIPTOR = 3
MEDIA_DESCRIPTOR = 4
POLL_MS = 100
"""How late a control line may be noticed."""
REPORT_US = 1_000_000
SYNC_US = 5_000_000
"""What a machine that loses its power may lose; more often costs a slow disk more."""
DRAIN_US = 500_000
"""After the end of a recording the tap is read for the time that packets are held, and this."""
BACKLOG_US = 3_000_000
"""How much longer it is read while there is more: a busy machine is behind."""
FIRST_LINE_S = 10.0
_NO_MEDIA = FailedLine("no_media", "Nothing was recorded: no stream sent a frame.")
_RECORD = struct.Struct("<BBHIQ")
_RTCP_UP = 6

OpenReader = Callable[[int, int], Reader]


def now_us() -> int:
    return time.monotonic_ns() // 1000


def main(open_reader: OpenReader, kind: Kind = INDIVIDUAL) -> int:
    control = ControlSocket(socket.socket(fileno=CONTROL_DESCRIPTOR), DownReader())
    first = control.poll(FIRST_LINE_S)
    if not first or not isinstance(first[0], JobLine):
        return 2
    job, rest = first[0], first[1:]
    reporter, folder, kind = _Reporter(control), Path(job.folder), kind.of(job)
    try:
        if not job.recover:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not folder.is_dir():
            control.send(_NO_MEDIA)
            return 0
        if not job.recover:
            kind.prepare(job)
        landlock = confine(folder, kind.memory_bytes, network=kind.needs_network)
        with locked(folder, reporter.beat):
            control.send(ReadyLine(landlock))
            if not job.recover:
                _Recorder(job, control, reporter, open_reader, kind).run(rest)
            if kind.form is None:
                control.send(DoneLine(0))
            else:
                _complete(job, control, reporter, kind.form)
    except OSError as failure:
        control.send(_failed(failure))
        return 1
    return 0


def _complete(
    job: JobLine, control: ControlSocket[Down], reporter: "_Reporter", form: Form
) -> None:
    result = complete(Path(job.folder), reporter.beat, form=form)
    if result is None:
        control.send(_NO_MEDIA)
    else:
        control.send(DoneLine(result.recorded_ms))


def _failed(failure: OSError) -> FailedLine:
    """Names no path: the text may reach an application."""
    if is_full(failure):
        return FailedLine("disk_full", "There is no room left for the archive.")
    return FailedLine(
        "storage", f"The archive cannot be written: {failure.strerror or 'it failed'}."
    )


class _Reporter:
    """A progress line each second."""

    def __init__(self, control: ControlSocket[Down]) -> None:
        self._control = control
        self._next_us = 0
        self._last = ProgressLine(0, 0)

    def report(self, at_us: int, progress: Callable[[], ProgressLine]) -> None:
        if at_us >= self._next_us:
            self._next_us = at_us + REPORT_US
            self._last = progress()
            self._control.send(self._last, must_arrive=False)

    def beat(self) -> None:
        """Says that the process is busy."""
        self.report(now_us(), lambda: self._last)


class _Recorder:
    """Reads the tap until the job ends or the server is gone."""

    def __init__(
        self,
        job: JobLine,
        control: ControlSocket[Down],
        reporter: _Reporter,
        open_reader: OpenReader,
        kind: Kind,
    ) -> None:
        folder = Path(job.folder)
        self._control = control
        self._reporter = reporter
        self._hold_us = job.hold_ms * 1000
        self._journal = Journal(folder)
        history = history_of(read_journal(folder))
        began = Began(job.archive, job.session, job.name, job.created_unix_ms, job.origin_us)
        if history.began is None:
            self._journal.write(began)
            history.apply(began)
        self._archive = kind.open(job, self._journal, history, reporter.beat)
        self._media = socket.socket(fileno=os.dup(MEDIA_DESCRIPTOR))
        self._reader = open_reader(MEDIA_DESCRIPTOR, job.hold_ms)
        self._media_ended = False
        self._has_backlog = False
        self._deadline_us: int | None = None
        self._is_recording = False
        self._restore(job, history)

    def run(self, first: Iterable[Down]) -> None:
        """Errors: `OSError` of the disk; files are closed as far as they can be."""
        try:
            self._handle_lines(first)
            sync_us = now_us() + SYNC_US
            while not self._is_over(at_us := now_us()):
                self._step()
                if at_us >= sync_us:
                    sync_us = at_us + SYNC_US
                    self._archive.sync()
            self._handle_items(self._flush())
            self._archive.close()
        except OSError:
            self._archive.abandon()
            raise
        finally:
            with suppress(OSError):
                self._journal.sync()
            self._journal.close()

    def _restore(self, job: JobLine, history: History) -> None:
        """The state of a job that another process began."""
        present = list(history.present.values()) if job.streams is None else job.streams
        for added in present:
            if self._archive.restore(added, now_us()):
                self._reader.handle_json(msgspec.json.encode(added))
        if job.paused_at_us is not None:
            self._archive.pause(job.paused_at_us)
        else:
            self._archive.resume(now_us())

    def _step(self) -> None:
        if self._media_ended:
            self._handle_lines(self._control.poll(POLL_MS / 1000))
        else:
            items = [] if self._archive.is_full else self._read()
            self._has_backlog = bool(items)
            # Frames that follow a resume may be here before its line was read.
            self._handle_lines(self._control.poll())
            self._handle_items(items)
        at_us = now_us()
        self._archive.handle_time(at_us)
        self._ask_for_key_frames(self._archive.take_wanted_key_frames())
        for line in self._archive.take_reports():
            self._control.send(line)
        if self._control.closed:
            self._finish(at_us)
        self._reporter.report(at_us, self._progress)

    def _progress(self) -> ProgressLine:
        archive = self._archive
        return ProgressLine(archive.recorded_ms, archive.size_bytes, dict(archive.ignored))

    def _is_over(self, at_us: int) -> bool:
        if self._deadline_us is None:
            return False
        limit_us = self._deadline_us + (BACKLOG_US if self._has_backlog else 0)
        return self._media_ended or at_us >= limit_us

    def _finish(self, at_us: int) -> None:
        if self._deadline_us is None:
            self._deadline_us = at_us + self._hold_us + DRAIN_US

    def _read(self) -> list[tuple[Any, ...]]:
        try:
            return self._reader.read(0 if self._archive.is_behind else POLL_MS)
        except (OSError, ValueError):
            self._media_ended = True  # the other end is gone
            return []

    def _flush(self) -> list[tuple[Any, ...]]:
        try:
            return self._reader.finish()
        except (OSError, ValueError):
            return []

    def _handle_items(self, items: Iterable[tuple[Any, ...]]) -> None:
        at_us = now_us()
        for item in in_order(items):
            if item[0] == "end":
                self._media_ended = True
            else:
                self._archive.handle_item(item, host_us=at_us)
        if not self._is_recording and self._archive.first_us is not None:
            self._is_recording = True
            self._control.send(RecordingLine(self._archive.first_us))

    def _handle_lines(self, lines: Iterable[Down]) -> None:
        for line in lines:
            match line:
                case RecordLine(on=True, at_us=at_us):
                    self._ask_for_key_frames(self._archive.resume(at_us))
                case RecordLine(on=False, at_us=at_us):
                    self._archive.pause(at_us)
                case LayoutLine(layout=layout, at_us=at_us):
                    self._archive.set_layout(layout, at_us)
                case FinishLine():
                    self._finish(now_us())
                case JobLine():
                    pass  # a process has one job

    def _ask_for_key_frames(self, ssrcs: Iterable[int]) -> None:
        """What was sent in a pause is not in the file; video goes on with a key frame."""
        for ssrc in ssrcs:
            loss_indication = struct.pack(">BBHII", 0x81, 206, 2, 0, ssrc)
            record = _RECORD.pack(_RTCP_UP, 0, 1, ssrc, now_us()) + loss_indication
            with suppress(OSError):
                self._media.send(record, socket.MSG_DONTWAIT)

"""One archive: joins the session, feeds its frames to a process, and reports.

The server's lines say what belongs to the archive. That it is the right session, that it is
encrypted and that frames are its members' is for the SDK and the secret to find out.
"""

import asyncio
import itertools
import json
import logging
import shutil
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct
from sealroute_client import SealrouteError, Session, Subscriber
from sealroute_client.events import ConnectionCreated

from member.credentials import ProjectKey
from member.feed import Feed
from member.held_secret import HeldSecret
from member.policy import Policy
from member.recorded_stream import RecordedStream
from member.secret_source import NoSecretError, SecretSource
from member.uploads import Uploads
from sfu.egress import member_lines as lines
from sfu.egress.jobs import ArchiveJob, Egress, EgressError, Finished, Job

log = logging.getLogger("sealroute.member")

DRAIN_S = 0.4
"""What is on its way when the archive is stopped still comes: the last word is in the file."""
TICK_S = 1.0
SECRET_TICK_S = 0.5
SETTLE_S = 20.0
"""For a stream whose tracks do not come."""
HOLD_MS = 400
STARTED, STOPPED = "archiveStarted", "archiveStopped"
"""The signals with which the members of a session hear that they are recorded."""
MAX_NEWCOMERS = 1_000
"""Who came and has not been notified yet. Those beyond are invented by a server."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all recordings of a member service have in common."""

    url: str
    key: ProjectKey
    secrets: SecretSource
    policy: Policy
    folder: Path
    egress: Egress
    uploads: Uploads | None = None


class FailedError(Exception):
    def __init__(self, code: lines.MemberFailure, message: str) -> None:
        super().__init__(message)
        self.code: lines.MemberFailure = code


class Recording:
    """Implements `JobListener`. `report` sends a line to the server, while there is one."""

    def __init__(
        self, line: lines.ArchiveLine, tools: Tools, report: Callable[[Struct], None]
    ) -> None:
        self._line = line
        self._tools = tools
        self._report = report
        self._streams: dict[str, RecordedStream] = {}
        self._ssrcs = itertools.count(1)
        self._secret = HeldSecret(tools.secrets, line.session)
        self._session: Session | None = None
        self._feed: Feed | None = None
        self._job: Job | None = None
        self._paused = False
        self._layout = line.composition.layout if line.composition else None
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._outcome: Struct | None = None
        self._file: Path | None = None
        self._recorded_ms = self._size_bytes = 0
        self._newcomers: asyncio.Queue[str] = asyncio.Queue(MAX_NEWCOMERS)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def archive(self) -> str:
        return self._line.archive

    # --- what the server says ---------------------------------------------------------------

    def handle(self, line: lines.OfArchive) -> None:
        match line:
            case lines.SwitchLine(on=on):
                self._switch(on=on)
            case lines.ArrangeLine(layout=layout):
                self._layout = layout
                if self._job is not None:
                    self._job.set_layout(layout)
            case lines.StopLine():
                self.stop()
            case lines.StreamLine():
                self._add(line)
            case _:
                known = self._streams.get(line.stream)
                if known is not None:
                    self._change(known, line)

    def _change(
        self,
        known: RecordedStream,
        line: lines.StreamGoneLine | lines.ForwardLine | lines.MutedLine | lines.ClassesLine,
    ) -> None:
        match line:
            case lines.StreamGoneLine():
                self._remove(known)
            case lines.ForwardLine(kind=kind, on=on):
                known.forward(kind, on=on)
            case lines.MutedLine(kind=kind, muted=muted):
                known.mute(self._feed, kind, muted=muted)
            case lines.ClassesLine(layout_class_list=classes):
                known.arrange(self._feed, classes)

    def stop(self) -> None:
        """The file is finished with what there is."""
        self._stopping.set()
        self._changed.set()

    def doubt_secret(self) -> None:
        """It is asked for again."""
        self._secret.doubt()

    def forget_server(self) -> None:
        """Nobody hears of it any more; what is recorded is finished all the same."""
        self._report = lambda _line: None
        self.stop()

    def _add(self, line: lines.StreamLine) -> None:
        if line.stream in self._streams or len(self._streams) >= MAX_STREAMS:
            return
        self._streams[line.stream] = RecordedStream(
            line.stream,
            frozenset(line.kinds),
            {
                "connectionData": line.connection_data,
                "videoType": line.video_type,
                "name": line.name,
                "layoutClassList": line.layout_class_list,
            },
            on_doubt=self.doubt_secret,
        )
        self._changed.set()

    def _remove(self, known: RecordedStream) -> None:
        del self._streams[known.stream]
        if self._feed is not None:
            known.end(self._feed)
        if known.subscriber is not None and self._session is not None:
            self._spawn(self._unsubscribe(self._session, known.subscriber))

    def _switch(self, *, on: bool) -> None:
        self._paused = not on
        if self._job is not None:
            (self._job.resume if on else self._job.pause)()

    # --- its life ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the file is complete or given up."""
        ticking = asyncio.create_task(self._tick())
        try:
            await self._record()
        except FailedError as failure:
            log.warning("archive %s: %s", self.archive, failure)
            self._outcome = lines.MemberFailedLine(self.archive, failure.code)
        finally:
            ticking.cancel()
            for task in self._tasks:
                task.cancel()
            if self._feed is not None:
                self._feed.close()
            if self._session is not None:
                await self._session.disconnect()
        if self._outcome is not None:
            self._report(self._outcome)

    async def _record(self) -> None:
        """Errors: `FailedError`."""
        self._check_room()
        session = self._session = await self._join()
        await self._announce(session)
        self._begin_job()
        self._report(lines.JoinedLine(self.archive, session.connection_id))
        log.info("archive %s: recording", self.archive)
        session.on("streamCreated", lambda _event: self._changed.set())
        self._spawn(self._watch(session))
        self._spawn(self._follow_secret(session))
        try:
            async with asyncio.timeout(self._tools.policy.archive_s):
                await self._follow(session)
        except TimeoutError:
            log.warning("archive %s: as long as it may be", self.archive)
        await self._finish(session)

    def _check_room(self) -> None:
        free = shutil.disk_usage(self._tools.folder).free
        if free < self._tools.policy.min_free_bytes:
            raise FailedError("disk_full", "there is no room on the disk")

    async def _join(self) -> Session:
        """A member of the encrypted session. Without a secret there is no session to join: the SDK
        refuses one that the server calls clear or relayed before anything is sent."""
        name = self._line.session
        try:
            secret = await self._secret.first(time.monotonic())
        except NoSecretError as cause:
            raise FailedError("refused", str(cause)) from cause
        key = self._tools.key
        token = key.client_token(name, int(time.time()))
        session = Session(self._tools.url, key.api_key, name, token, encryption_secret=secret)
        try:
            await session.connect()
        except SealrouteError as cause:
            raise FailedError("join_failed", f"cannot join: {cause}") from cause
        if session.encryption is None:
            await session.disconnect()
            raise FailedError("join_failed", "the session is not encrypted")
        session.encryption.on_unknown_hint = self.doubt_secret
        return session

    async def _follow_secret(self, session: Session) -> None:
        """Whoever changes the secret is waited for some seconds: with the new one in time nothing
        of the archive is lost. Until it is there, what is encrypted under it is left out."""
        while True:
            await asyncio.sleep(SECRET_TICK_S)
            secret = await self._secret.changed(time.monotonic())
            if secret is None:
                continue
            try:
                await session.set_encryption_secret(secret)
            except SealrouteError as refused:
                log.warning("archive %s: the new secret is not used: %s", self.archive, refused)
            else:
                log.info("archive %s: the secret has changed", self.archive)

    async def _announce(self, session: Session) -> None:
        """Nobody is recorded without knowing it: all members hear it, and who comes later does. It
        is an encrypted signal, bound to this connection, so no server can say it of somebody else.
        Of what the server said it repeats the id alone, which has the form of a UUID."""
        session.on("connectionCreated", self._on_newcomer)
        try:
            await self._send_notice(session, STARTED)
        except SealrouteError as cause:
            raise FailedError("join_failed", f"the members cannot be notified: {cause}") from cause
        self._spawn(self._announce_to_newcomers(session))

    def _on_newcomer(self, event: ConnectionCreated) -> None:
        with suppress(asyncio.QueueFull):
            self._newcomers.put_nowait(str(event.connection["connectionId"]))

    async def _announce_to_newcomers(self, session: Session) -> None:
        while True:
            newcomer = await self._newcomers.get()
            try:
                await self._send_notice(session, STARTED, newcomer)
            except SealrouteError as gone:
                log.warning("archive %s: a newcomer did not get the notice: %s", self.archive, gone)

    async def _send_notice(self, session: Session, what: str, to: str | None = None) -> None:
        await session.signal(json.dumps({"id": self.archive}), type=what, to=to)

    def _begin_job(self) -> None:
        line = self._line
        # The id has the form of a UUID: it is no path.
        folder = self._tools.folder / line.archive
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            raise FailedError("refused", "there is an archive of this id") from None
        except OSError as cause:
            raise FailedError("storage", f"the folder cannot be written: {cause}") from cause
        self._feed = Feed(lambda: time.monotonic_ns() // 1000, self._on_key_wanted)
        job = ArchiveJob(
            archive=line.archive,
            folder=folder,
            session=line.session,
            name=line.name,
            created_unix_ms=time.time_ns() // 1_000_000,
            hold_ms=HOLD_MS,
            composition=line.composition,
        )
        try:
            self._job = self._tools.egress.start(job, self._feed.child_end, self)
        except EgressError as cause:
            raise FailedError("no_capacity", cause.message) from cause
        if self._layout is not None:
            self._job.set_layout(self._layout)
        if self._paused:
            self._job.pause()

    async def _watch(self, session: Session) -> None:
        await session.wait_closed()
        self.stop()

    async def _follow(self, session: Session) -> None:
        """Subscribes to what belongs to the archive, until it is stopped."""
        while not self._stopping.is_set() and not self._ended.is_set():
            self._changed.clear()
            for one in list(self._streams.values()):
                if one.subscriber is None and one.stream in session.streams:
                    await self._subscribe(session, one)
            await self._changed.wait()

    async def _subscribe(self, session: Session, one: RecordedStream) -> None:
        try:
            subscriber = await session.subscribe(
                one.stream, audio="audio" in one.kinds, video="video" in one.kinds
            )
        except SealrouteError as refused:
            log.warning("archive %s: a stream is not there: %s", self.archive, refused)
            return
        one.subscriber = subscriber
        self._spawn(self._settle(session, one, subscriber))

    async def _settle(self, session: Session, one: RecordedStream, subscriber: Subscriber) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await subscriber.wait_for_tracks()
        if self._streams.get(one.stream) is not one:
            await self._unsubscribe(session, subscriber)
        elif self._feed is not None and subscriber.tracks:
            one.begin(self._feed, subscriber, lambda: next(self._ssrcs))

    @staticmethod
    async def _unsubscribe(session: Session, subscriber: Subscriber) -> None:
        with suppress(SealrouteError):
            await session.unsubscribe(subscriber)

    async def _finish(self, session: Session) -> None:
        if not session.is_leaving:
            await asyncio.sleep(DRAIN_S)
        if self._feed is None or self._job is None:
            raise FailedError("child_lost", "nothing records")
        for one in self._streams.values():
            one.end(self._feed)
        self._feed.end()
        self._job.finish("stopped")
        with suppress(SealrouteError):
            await self._send_notice(session, STOPPED)
        await session.disconnect()
        await self._ended.wait()
        await self._upload()

    async def _upload(self) -> None:
        """The server hears the end afterwards: an archive that is `uploaded` is there."""
        uploads, done = self._tools.uploads, self._outcome
        if (
            uploads is not None
            and self._file is not None
            and isinstance(done, lines.MemberDoneLine)
        ):
            await uploads.bring(self._tools.key.api_key, self.archive, self._file, done.size_bytes)

    async def _tick(self) -> None:
        """Says that it is there: the server takes a silent member for lost."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._job is not None:
                self._report(
                    lines.MemberProgressLine(self.archive, self._recorded_ms, self._size_bytes)
                )

    def _on_key_wanted(self, ssrc: int) -> None:
        for one in self._streams.values():
            if one.wants_key_frame(ssrc):
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- what the job says ------------------------------------------------------------------

    def on_recording(self) -> None:
        log.info("archive %s: the first frame is in a file", self.archive)

    def on_progress(self, recorded_ms: int, size_bytes: int) -> None:
        self._recorded_ms, self._size_bytes = recorded_ms, size_bytes

    def on_finished(self, result: Finished) -> None:
        log.info("archive %s: %s", self.archive, result.file)
        self._file = result.file
        digest = result.sha256.hex()
        self._end(lines.MemberDoneLine(self.archive, result.size_bytes, digest, result.recorded_ms))

    def on_failed(self, code: str, text: str) -> None:
        log.warning("archive %s: %s", self.archive, text)
        known = {"no_media", "disk_full", "storage", "child_lost"}
        self._end(lines.MemberFailedLine(self.archive, code if code in known else "child_lost"))  # type: ignore[arg-type]

    def _end(self, outcome: Struct) -> None:
        self._outcome = outcome
        self._ended.set()
        self._changed.set()


MAX_STREAMS = 50
"""The server says no more of an archive; what it says beyond is not believed."""

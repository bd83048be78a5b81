"""The archives of one node in virtual time: a real store and real folders, sessions over the media
plane of tests, and jobs that do what a test says."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import ArchiveSettings
from signaling.archives.files import ArchiveFiles
from signaling.archives.house_keeping import HouseKeeping
from signaling.archives.parts import ArchiveParts
from signaling.archives.service import Archives, WantedArchive
from signaling.domain.archiving import ArchiveRecord, StreamMode
from signaling.domain.effects import Notify
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.projects import Project, new_project
from signaling.domain.session_options import SessionRecord
from signaling.egress.distant_stops import DistantStops
from signaling.egress.links import Links
from signaling.egress.members import Members
from signaling.egress.styles import Styles
from signaling.metrics import Metrics
from signaling.storage.base import Store
from tests.conversation import House, settle
from tests.egress_world import alone
from tests.fakes.egress import FakeEgress, FakeJob
from tests.fakes.stylesheets import FakeStylesheets
from tests.fakes.taps import FakeTap
from tests.fakes.uploads import FakeUploader

WANTED = WantedArchive("n", StreamMode.AUTO, has_audio=True, has_video=True, tag="")


class FilesOnDisk(ArchiveFiles):
    """`free`: what the disk is said to have left."""

    free = 1 << 40

    def free_bytes(self) -> int:
        return self.free

    async def ids(self) -> list[str]:
        """The archives that have a folder here."""
        return [folder.name for folder in self._root.glob("*/*") if folder.is_dir()]


class ArchiveWorld:
    """`notices`: what the application was told, all of it. `tap`: that of the last archive."""

    tap: FakeTap
    time_passes = False
    """Whether the clock goes on while something waits."""

    def __init__(
        self, store: Store, folder: Path, project: Project | None = None, **settings: object
    ) -> None:
        self.store = store
        self.house = House()
        self.egress = FakeEgress()
        self.stylesheets = FakeStylesheets()
        self.uploader = FakeUploader()
        self.files = FilesOnDisk(folder / "archives")
        self.metrics = Metrics(dict)
        self.members = Members(self.metrics)
        self.settings = ArchiveSettings(**settings)
        self.notices: list[Notify] = []
        self.runs: list[Archives] = []
        self.project = project or new_project(random_bytes=os.urandom(44), now_ms=1)
        self.session = replace(self.house.record, project_id=self.project.api_key)
        self.house.record = self.session
        self.restart()

    async def prepare(self) -> "ArchiveWorld":
        await self.store.add_project(self.project)
        await self.store.add_session(self.session)
        return self

    def restart(self, stops: DistantStops | None = None) -> None:
        """Another process: nothing of the earlier one is in memory."""
        parts = ArchiveParts(
            store=self.store,
            sessions=self.house.directory,
            files=self.files,
            egress=self.egress,
            report_event=self._report,
            metrics=self.metrics,
            clock=self.house.time,
            schedule=self.house.time.call_later,
            settings=self.settings,
            links=Links("http://node.test/"),
            styles=Styles(self.stylesheets, self.metrics),
            members=self.members,
            stops=stops or alone(),
            sleep=self._sleep,
            uploader=self.uploader,
            allowed_networks="10.9.0.0/16",
        )
        self.archives = Archives(parts)
        self.keeping = HouseKeeping(parts, self.archives)
        self.runs.append(self.archives)

    async def _sleep(self, seconds: float) -> None:
        if self.time_passes:
            self.house.time.advance(seconds)
        await asyncio.sleep(0)

    def _report(self, _record: SessionRecord, notice: Notify) -> None:
        self.notices.append(notice)

    async def start(self, **changes: object) -> ArchiveRecord:
        wanted = replace(WANTED, **changes)
        record = await self.archives.start(self.project, self.session, wanted)
        (media,) = self.house.plane.sessions.values()
        self.tap = media.taps[-1]
        return record

    async def publisher(self):
        """A client that publishes, and its stream."""
        client = await self.house.joined()
        return client, await client.publish()

    def job(self, record: ArchiveRecord) -> FakeJob:
        return self.egress.jobs[record.id]

    async def close(self) -> None:
        """Everything that a test left running."""
        await self.keeping.close()
        for archives in self.runs:
            await archives.close(0.01)
        await self.house.plane.close()
        await self.egress.close()
        await self.store.close()

    async def shown(self, record: ArchiveRecord) -> ArchiveRecord:
        return await self.archives.show(self.project, record.id)

    async def stored(self, record: ArchiveRecord) -> ArchiveRecord | None:
        """What another node reads, once everything is written."""
        await self.archives._writes.written(record.id)
        return await self.store.archives.archive(record.id)

    async def over(self) -> None:
        """Until every job and what follows it is done."""
        await settle()
        while self.archives._tasks:
            await asyncio.wait(self.archives._tasks)

    def statuses(self) -> list[tuple[str, str]]:
        """Status and reason of each callback, in order."""
        events = [notice.archive for notice in self.notices if notice.event == "archive"]
        return [(str(one["status"]), str(one["reason"])) for one in events]


async def refused(call, code: ErrorCode) -> None:
    with pytest.raises(DomainError) as failure:
        await call
    assert failure.value.code == code


async def available(world):
    await world.publisher()
    record = await world.start()
    world.job(record).record(1_000)
    await world.archives.stop(world.project, record.id)
    await world.over()
    return await world.stored(record)

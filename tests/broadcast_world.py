"""The broadcasts of one node in virtual time: a real store and real folders, sessions over the
media plane of tests, and jobs that do what a test says."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from config.broadcast_settings import BroadcastSettings
from sfu.target_policy import TargetPolicy, networks
from signaling.broadcasts.folders import BroadcastFolders
from signaling.broadcasts.house_keeping import HouseKeeping
from signaling.broadcasts.parts import BroadcastParts
from signaling.broadcasts.service import Broadcasts, WantedBroadcast, WantedHls, WantedRtmp
from signaling.domain.archiving import StreamMode
from signaling.domain.broadcasting import BroadcastRecord
from signaling.domain.effects import Notify
from signaling.domain.projects import Project, new_project
from signaling.domain.session_options import SessionRecord
from signaling.egress.distant_stops import DistantStops
from signaling.egress.links import Links
from signaling.egress.styles import Styles
from signaling.metrics import Metrics
from signaling.storage.base import Store
from tests.conversation import House, settle
from tests.egress_world import alone
from tests.fakes.broadcasting import FakeBroadcast, FakeBroadcastEgress, FakeHls
from tests.fakes.stylesheets import FakeStylesheets
from tests.fakes.taps import FakeTap

RTMP = WantedRtmp("foo", "rtmp://live.example.com/app", "stream-secret")
WANTED = WantedBroadcast(
    stream_mode=StreamMode.AUTO,
    has_audio=True,
    has_video=True,
    tag="",
    resolution="640x480",
    max_duration_s=14_400,
    max_bitrate=None,
    layout={"type": "bestFit"},
    hls=WantedHls(low_latency=False, dvr=False),
    rtmp=(RTMP,),
)
NAMES = {
    "live.example.com": ["93.184.216.34"],
    "inside.example.com": ["10.0.0.7"],
    "both.example.com": ["10.0.0.7", "93.184.216.34"],
    "allowed.example.com": ["10.9.0.1"],
}


class FoldersOnDisk(BroadcastFolders):
    """`free`: what the disk is said to have left."""

    free = 1 << 40

    def free_bytes(self) -> int:
        return self.free


class BroadcastWorld:
    """`notices`: what the application was told, all of it. `tap`: that of the last broadcast."""

    tap: FakeTap

    def __init__(
        self, store: Store, folder: Path, project: Project | None = None, **settings: object
    ) -> None:
        self.store = store
        self.house = House()
        self.egress = FakeBroadcastEgress()
        self.stylesheets = FakeStylesheets()
        self.hls = FakeHls()
        self.folders = FoldersOnDisk(folder / "broadcasts")
        self.metrics = Metrics(dict)
        self.settings = BroadcastSettings(**settings)
        self.notices: list[Notify] = []
        self.runs: list[Broadcasts] = []
        self.project = project or new_project(random_bytes=os.urandom(44), now_ms=1)
        self.session = replace(self.house.record, project_id=self.project.api_key)
        self.house.record = self.session
        self.restart()

    async def prepare(self) -> "BroadcastWorld":
        await self.store.add_project(self.project)
        await self.store.add_session(self.session)
        return self

    def restart(self, stops: DistantStops | None = None) -> None:
        """Another process: nothing of the earlier one is in memory."""
        parts = BroadcastParts(
            store=self.store,
            sessions=self.house.directory,
            folders=self.folders,
            egress=self.egress,
            report_event=self._report,
            metrics=self.metrics,
            clock=self.house.time,
            schedule=self.house.time.call_later,
            settings=self.settings,
            links=Links("http://node.test:8090/"),
            targets=TargetPolicy(networks("10.9.0.0/16")),
            random_bytes=lambda count: bytes(range(count)),
            styles=Styles(self.stylesheets, self.metrics),
            hls=self.hls,
            stops=stops or alone(),
            sleep=self._sleep,
            resolve=self._resolve,
        )
        self.broadcasts = Broadcasts(parts)
        self.keeping = HouseKeeping(parts, self.broadcasts)
        self.runs.append(self.broadcasts)

    async def _sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0)

    async def _resolve(self, host: str, port: int) -> list[str]:
        del port
        if host not in NAMES:
            raise OSError("no such name")
        return NAMES[host]

    def _report(self, _record: SessionRecord, notice: Notify) -> None:
        self.notices.append(notice)

    async def start(self, **changes: object) -> BroadcastRecord:
        wanted = replace(WANTED, **changes)
        record = await self.broadcasts.start(self.project, self.session, wanted)
        (media,) = self.house.plane.sessions.values()
        self.tap = media.taps[-1]
        return record

    async def publisher(self):
        """A client that publishes, and its stream."""
        client = await self.house.joined()
        return client, await client.publish()

    def job(self, record: BroadcastRecord) -> FakeBroadcast:
        return self.egress.jobs[record.id]

    async def shown(self, record: BroadcastRecord) -> BroadcastRecord:
        return await self.broadcasts.show(self.project, record.id)

    async def stored(self, record: BroadcastRecord) -> BroadcastRecord | None:
        """What another node reads, once everything is written."""
        await self.broadcasts._writes.written(record.id)
        return await self.store.broadcasts.broadcast(record.id)

    async def over(self) -> None:
        """Until every job and what follows it is done."""
        await settle()
        while self.broadcasts._tasks:
            await asyncio.wait(self.broadcasts._tasks)

    def statuses(self) -> list[tuple[str, str, str, str]]:
        """Status, reason, that of HLS and of the first RTMP target of each callback, in order."""
        found = [one.broadcast for one in self.notices if one.event == "broadcast"]
        return [
            (
                str(one["status"]),
                str(one["reason"]),
                str(one["broadcastUrls"].get("hlsStatus", "")),
                "".join(rtmp["status"] for rtmp in one["broadcastUrls"]["rtmp"][:1]),
            )
            for one in found
        ]

    async def close(self) -> None:
        """Everything that a test left running."""
        for broadcasts in self.runs:
            await broadcasts.close(0.01)
        await self.house.plane.close()
        for job in self.egress.jobs.values():
            job.media.close()
        await self.store.close()

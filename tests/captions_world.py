"""The captions of one node in virtual time: a real store, sessions over the media plane of tests,
and processes that say what a test wants."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from config.caption_settings import CaptionSettings
from sfu.target_policy import TargetPolicy, networks
from signaling.captions.marks import Marks
from signaling.captions.service import CaptionParts, Captions, WantedCaptions
from signaling.domain.captioning import CaptionsRecord
from signaling.domain.effects import Notify
from signaling.domain.projects import Project, new_project
from signaling.domain.roles import Role
from signaling.domain.session_options import SessionRecord
from signaling.domain.tokens import Admission
from signaling.egress.distant_stops import DistantStops
from signaling.metrics import Metrics
from signaling.storage.base import Store
from tests.conversation import House
from tests.egress_world import alone
from tests.fakes.captioning import FakeCaptioners, FakeCaptionRun

WANTED = WantedCaptions(language=None, partials=True, max_duration_s=14_400)


class CaptionsWorld:
    """`notices`: what the application was told, all of it."""

    def __init__(
        self, store: Store, folder: Path, project: Project | None = None, **settings: object
    ) -> None:
        self.store = store
        self.house = House()
        self.egress = FakeCaptioners()
        self.marks = Marks(folder / "captions")
        self.metrics = Metrics(dict)
        self.settings = CaptionSettings(**settings)
        self.notices: list[Notify] = []
        self.runs: list[Captions] = []
        self.project = project or new_project(random_bytes=os.urandom(44), now_ms=1)
        self.session = replace(self.house.record, project_id=self.project.api_key)
        self.house.record = self.session
        self.restart()

    async def prepare(self) -> "CaptionsWorld":
        await self.store.add_project(self.project)
        await self.store.add_session(self.session)
        return self

    def restart(self, stops: DistantStops | None = None) -> None:
        """Another process: nothing of the earlier one is in memory."""
        parts = CaptionParts(
            store=self.store,
            sessions=self.house.directory,
            marks=self.marks,
            egress=self.egress,
            report_event=self._report,
            metrics=self.metrics,
            clock=self.house.time,
            schedule=self.house.time.call_later,
            settings=self.settings,
            callback_targets=TargetPolicy(networks("127.0.0.0/8")),
            stops=stops or alone(),
            sleep=self._sleep,
        )
        self.captions = Captions(parts)
        self.runs.append(self.captions)

    async def _sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0)

    def _report(self, _record: SessionRecord, notice: Notify) -> None:
        self.notices.append(notice)

    async def start(
        self, role: Role = Role.MODERATOR, session: SessionRecord | None = None, **changes: object
    ) -> CaptionsRecord:
        admission = Admission(session or self.session, role, 2_000_000_000)
        return await self.captions.start(admission, replace(WANTED, **changes))

    @property
    def run(self) -> FakeCaptionRun:
        """The process of the last captions."""
        return self.egress.runs[-1]

    @property
    def tapped(self) -> set[str]:
        """The streams in the tap of the last captions."""
        (media,) = self.house.plane.sessions.values()
        return set(media.taps[-1].streams)

    async def stored(self, record: CaptionsRecord) -> CaptionsRecord | None:
        """What another node reads, once everything is written."""
        await self.captions._writes.written(record.id)
        return await self.store.captions.captions(record.id)

    def statuses(self) -> list[tuple[str, str]]:
        """Status and reason of each callback, in order."""
        found = [one.captions for one in self.notices if one.event == "captions"]
        return [(str(one["status"]), str(one.get("reason", ""))) for one in found]

    async def close(self) -> None:
        """Everything that a test left running."""
        for captions in self.runs:
            await captions.close()
        await self.house.plane.close()
        await self.store.close()

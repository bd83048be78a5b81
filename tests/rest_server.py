"""A REST server for tests: the real application over a real store, live sessions in memory."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiohttp import web

from config.broadcast_settings import BroadcastSettings
from config.caption_settings import CaptionSettings
from config.connector_settings import ConnectorSettings
from config.settings import ArchiveSettings, HttpSettings, RoomsSettings
from config.sip_settings import SipSettings
from sfu.core_api import MediaKind
from sfu.ids import ConnectionId, SubscriberId
from sfu.media_view import EncodingView
from sfu.target_policy import TargetPolicy
from signaling.archives.files import ArchiveFiles
from signaling.archives.parts import ArchiveParts
from signaling.archives.service import Archives
from signaling.authenticator import Authenticator
from signaling.broadcasts.folders import BroadcastFolders
from signaling.broadcasts.parts import BroadcastParts
from signaling.broadcasts.service import Broadcasts
from signaling.calls.marks import CallMarks
from signaling.calls.service import CallParts, SipCalls
from signaling.captions.marks import Marks
from signaling.captions.service import CaptionParts, Captions
from signaling.clock import SystemClock
from signaling.connectors.service import AudioConnectors, ConnectorParts
from signaling.domain.errors import ErrorCode, NotFound
from signaling.domain.projects import Project, new_project
from signaling.domain.session_options import SessionRecord
from signaling.domain.session_state import Stream
from signaling.egress.dialing import Dialer
from signaling.egress.links import Links
from signaling.egress.members import Members
from signaling.egress.styles import Styles
from signaling.metrics import Metrics
from signaling.protocol.messages import StreamInfo
from signaling.rest.call import Services
from signaling.rest.download_places import DownloadPlaces
from signaling.rest.downloads import DownloadParts, Downloads
from signaling.rest.live_sessions import LiveConnection, LiveSession, LiveStream
from signaling.rest.member_gate import MemberGate
from signaling.rest.rooms import Rooms
from signaling.sessions.explanation import (
    Code,
    Explanation,
    Reason,
    Received,
    SentEncoding,
    SubscriberReport,
    TrackReport,
)
from signaling.storage.base import Store
from signaling.web_app import Surface, WebApp
from tests.egress_world import alone
from tests.migrated import open_migrated
from tests.render_world import renders_of


@dataclass
class FakeLiveSessions:
    """Rooms of streams and connections by session id, and what was asked of them."""

    streams_of: dict[str, list[LiveStream]] = field(default_factory=dict)
    connections_of: dict[str, list[LiveConnection]] = field(default_factory=dict)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    live_sessions: list[LiveSession] = field(default_factory=list)

    def _member(self, record: SessionRecord, connection_id: str | None) -> None:
        members = self.connections_of.get(record.session_id, [])
        if not members:
            raise NotFound(ErrorCode.NOBODY_CONNECTED)
        if connection_id is not None and all(m.connection_id != connection_id for m in members):
            raise NotFound(ErrorCode.CONNECTION_NOT_FOUND)

    def _stream(self, record: SessionRecord, stream_id: str) -> None:
        streams = self.streams_of.get(record.session_id, [])
        if all(stream.stream_id != stream_id for stream in streams):
            raise NotFound(ErrorCode.STREAM_NOT_FOUND)

    async def signal(self, record, to, type_, data) -> None:
        self._member(record, to)
        self.asked.append(("signal", to, type_, data))

    async def sessions(self, project_id: str) -> Sequence[LiveSession]:
        """Of any project: the caller filters nothing."""
        self.asked.append(("sessions", project_id))
        return self.live_sessions

    async def streams(self, record: SessionRecord) -> Sequence[LiveStream]:
        return self.streams_of.get(record.session_id, [])

    async def connections(self, record: SessionRecord) -> Sequence[LiveConnection]:
        return self.connections_of.get(record.session_id, [])

    async def set_layout_classes(self, record, classes) -> None:
        for stream_id in classes:
            self._stream(record, stream_id)
        self.streams_of[record.session_id] = [
            replace(one, layout_classes=classes.get(one.stream_id, one.layout_classes))
            for one in self.streams_of[record.session_id]
        ]

    async def explain(self, record, stream_id) -> Explanation:
        self._stream(record, stream_id)
        info = StreamInfo(stream_id=stream_id, connection_id="ann", creation_time=1)
        stream = Stream(info, ConnectionId("ann"), {}, {})
        reason = Reason(Code.WITHHELD, "paused")
        got = Received(MediaKind.VIDEO, flowing=False, reasons=(reason,), lost=0.125)
        report = SubscriberReport(ConnectionId("ben"), SubscriberId("sub"), (got,))
        encoding = SentEncoding(EncodingView("f", 3, 700_000, (640, 360), 29.97), live=True)
        track = TrackReport(MediaKind.VIDEO, "vp8", True, (encoding,), ())
        return Explanation(stream, 1.0, 0, (track,), (report,))

    async def force_disconnect(self, record, connection_id) -> None:
        self._member(record, connection_id)
        self.asked.append(("force_disconnect", connection_id))

    async def force_mute_stream(self, record, stream_id) -> None:
        self._stream(record, stream_id)
        self.asked.append(("force_mute_stream", stream_id))

    async def force_mute_all(self, record, *, active, excluded) -> None:
        self.asked.append(("force_mute_all", active, excluded))


class NoSessions:
    """Nobody is connected to any session."""

    def find(self, session: str) -> None:
        return None


def archive_parts(store: Store, metrics: Metrics, data_dir: Path) -> ArchiveParts:
    """Of a server that cannot record."""
    return ArchiveParts(
        store=store,
        sessions=NoSessions(),
        files=ArchiveFiles(data_dir / "archives"),
        egress=None,
        report_event=lambda _record, _notice: None,
        metrics=metrics,
        clock=SystemClock(),
        schedule=asyncio.get_running_loop().call_later,
        settings=ArchiveSettings(),
        links=Links("http://node.test"),
        styles=Styles(None, metrics),
        members=Members(metrics),
        stops=alone(),
    )


def broadcast_parts(store: Store, metrics: Metrics, data_dir: Path) -> BroadcastParts:
    """Of a server that cannot broadcast."""
    return BroadcastParts(
        store=store,
        sessions=NoSessions(),
        folders=BroadcastFolders(data_dir / "broadcasts"),
        egress=None,
        report_event=lambda _record, _notice: None,
        metrics=metrics,
        clock=SystemClock(),
        schedule=asyncio.get_running_loop().call_later,
        settings=BroadcastSettings(),
        links=Links("http://node.test:8090"),
        targets=TargetPolicy(),
        random_bytes=os.urandom,
        styles=Styles(None, metrics),
        stops=alone(),
    )


def caption_parts(store: Store, metrics: Metrics, data_dir: Path) -> CaptionParts:
    """Of a server that cannot recognize speech."""
    return CaptionParts(
        store=store,
        sessions=NoSessions(),
        marks=Marks(data_dir / "captions"),
        egress=None,
        report_event=lambda _record, _notice: None,
        metrics=metrics,
        clock=SystemClock(),
        schedule=asyncio.get_running_loop().call_later,
        settings=CaptionSettings(),
        callback_targets=TargetPolicy(),
        stops=alone(),
    )


def connectors_of(metrics: Metrics) -> AudioConnectors:
    """Of a server that cannot connect audio."""
    dialer = Dialer(TargetPolicy())
    parts = ConnectorParts(NoSessions(), None, dialer, metrics, ConnectorSettings(), alone())
    return AudioConnectors(parts)


def calls_of(metrics: Metrics, data_dir: Path) -> SipCalls:
    """Of a server that cannot call."""
    dialer = Dialer(TargetPolicy())
    parts = CallParts(
        directory=NoSessions(),
        egress=None,
        dialer=dialer,
        metrics=metrics,
        clock=SystemClock(),
        report_event=lambda *_: None,
        settings=SipSettings(),
        marks=CallMarks(data_dir / "calls"),
        session_of=NoSessions().find,
    )
    return SipCalls(parts)


async def refuse_websocket(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=426)


ArchivesOf = Callable[[Store, Project], Archives] | None
CaptionsOf = Callable[[Store, Project], Captions] | None
BroadcastsOf = Callable[[Store, Project], Broadcasts] | None


@dataclass
class RestServer:
    app: web.Application
    store: Store
    live: FakeLiveSessions
    metrics: Metrics
    project: Project
    operations: web.Application
    places: DownloadPlaces
    members: Members


def _open_downloads(services: Services, data_dir: Path, http: HttpSettings, most: int):
    def count(limit: str) -> None:
        services.metrics.downloads_refused.labels(limit).inc()

    clock = services.archives._parts.clock
    places = DownloadPlaces(most, count)
    files = ArchiveFiles(data_dir / "archives")
    return Downloads(DownloadParts(services.store, files, clock, http, places)), places


async def open_rest_server(
    data_dir: Path,
    http: HttpSettings | None = None,
    archives_of: ArchivesOf = None,
    broadcasts_of: BroadcastsOf = None,
    max_downloads: int = 128,
    connectors: AudioConnectors | None = None,
    calls: SipCalls | None = None,
    rendering: dict[str, object] | None = None,
    captions_of: CaptionsOf = None,
    **project: object,
):
    """A server with one project; keyword arguments are the project's. `archives_of`: its archives,
    if it can record; `broadcasts_of` the same; `connectors`, if it can connect audio; `calls`,
    if it can call; `rendering`: of `render_parts`, if it can render; `captions_of`: its captions,
    if it can recognize speech."""
    store = await open_migrated(data_dir)
    options = {"now_ms": 1_700_000_000_000, "e2ee_enabled": True, **project}
    owner = new_project(random_bytes=os.urandom(44), **options)
    await store.add_project(owner)
    clock, metrics, live = SystemClock(), Metrics(dict), FakeLiveSessions()
    archives = Archives(archive_parts(store, metrics, data_dir))
    if archives_of is not None:
        archives = archives_of(store, owner)
    broadcasts = Broadcasts(broadcast_parts(store, metrics, data_dir))
    if broadcasts_of is not None:
        broadcasts = broadcasts_of(store, owner)
    services = Services(
        store=store,
        authenticator=Authenticator(store, clock),
        live=live,
        metrics=metrics,
        clock=clock,
        random_bytes=os.urandom,
        archives=archives,
        broadcasts=broadcasts,
        connectors=connectors or connectors_of(metrics),
        calls=calls or calls_of(metrics, data_dir),
        renders=renders_of(store, data_dir, **(rendering or {})),
        members=archives._parts.members,
        captions=Captions(caption_parts(store, metrics, data_dir))
        if captions_of is None
        else captions_of(store, owner),
    )
    rooms = Rooms(store, clock, RoomsSettings(enabled=True), http or HttpSettings())
    downloads, places = _open_downloads(services, data_dir, http or HttpSettings(), max_downloads)
    recorders = MemberGate(services.authenticator, services.members, clock, metrics)
    surface = Surface(
        services,
        http or HttpSettings(),
        refuse_websocket,
        rooms,
        (*downloads.routes(), *recorders.routes()),
        web_root=data_dir,
    )
    web_app = WebApp(surface)
    return RestServer(
        *(web_app.build(), store, live, metrics, owner),
        *(web_app.build_operations(), places, services.members),
    )

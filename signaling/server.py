"""The composition root: builds the server from the settings, runs it, and shuts it down.

It creates every part and passes it to those that need it; no other module looks up its parts.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web

from config.load import ConfigurationError
from config.settings import HttpSettings, MediaSettings, OperationsSettings, Settings
from sfu.core_api import WorkerSettings
from sfu.egress.broadcast_jobs import BroadcastEgress
from sfu.media_plane import MediaPlane
from sfu.native_plane import NativeMediaPlane
from sfu.peer_transport import MediaPlaneSettings
from sfu.placement import SplitRules
from signaling.addresses import ONLY_LOOPBACK, only_loopback, public_addresses
from signaling.administration import DEVELOPMENT_FILE, NO_PROJECT, first_project, welcome
from signaling.archives.files import ArchiveFiles
from signaling.archives.parts import ArchiveParts
from signaling.archives.running import (
    EgressOpener,
    archive_folder,
    open_egress,
    open_uploader,
    running_archives,
)
from signaling.authenticator import Authenticator
from signaling.broadcasts.folders import BroadcastFolders
from signaling.broadcasts.parts import BroadcastParts
from signaling.broadcasts.running import broadcast_folder, open_hls, running_broadcasts
from signaling.broadcasts.service import Broadcasts
from signaling.callbacks.service import running_callbacks, target_policy
from signaling.calls.running import running_calls
from signaling.captions.marks import Marks
from signaling.captions.running import (
    marks_folder,
    open_captioners,
    running_captions,
)
from signaling.captions.service import CaptionParts
from signaling.clock import Clock, SystemClock
from signaling.clustered import clustered
from signaling.connectors.running import ConnectorOpener, open_connectors, running_connectors
from signaling.draining import Drain, DrainEnd, Hurried, StopSignals
from signaling.egress.distant_stops import running_stops
from signaling.egress.links import Links
from signaling.egress.members import Members
from signaling.egress.policy import egress_policy
from signaling.egress.reading_styles import running_styles
from signaling.http.connection_gate import ConnectionGate
from signaling.http.listener import bound_sockets, reason_of
from signaling.http.request_gate import RequestGate
from signaling.http.runner import Deadlines, Gates, HttpRunner
from signaling.http.served_certificate import ServedCertificate
from signaling.ice_servers import ice_servers_of
from signaling.joining import joining_of
from signaling.leaving import Leaving, leave, refuse_joins
from signaling.logs import configure_logs
from signaling.memory import keep_for_good
from signaling.metrics import Metrics
from signaling.renders.own_node import OwnNode
from signaling.renders.running import renders_of, running_renders
from signaling.rest.call import Services
from signaling.rest.download_places import DownloadPlaces
from signaling.rest.downloads import DownloadParts, Downloads
from signaling.rest.live_actors import LiveActors
from signaling.rest.member_gate import MemberGate
from signaling.rest.rooms import Rooms
from signaling.rest.whip import WhipGate
from signaling.sampling import sample_counts, sample_lag
from signaling.sessions.directory import SessionDirectory
from signaling.storage.base import Store
from signaling.storage.choosing import Migrate, serving_store
from signaling.storage.migrating import migrate_apart
from signaling.web_app import Readiness, Surface, WebApp, listening_line
from signaling.websocket.gate import WebSocketGate

log = structlog.get_logger(__name__)

MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The addresses of a running server. `media_port` is its first UDP port, `media_addresses` are
    those that clients send media to, `welcome` is the text shown at the start, `reload` reads the
    TLS certificate again, `drain` refuses new clients and waits for the end of the calls, and
    `operations_port` is the port of the metrics and the admin API."""

    url: str
    http_port: int
    media_port: int
    media_addresses: tuple[str, ...]
    welcome: str | None
    reload: Callable[[], None]
    drain: Callable[[Hurried], Awaitable[DrainEnd]]
    operations_port: int | None = None


def worker_settings(media: MediaSettings) -> WorkerSettings:
    """The settings of a worker: those of its names in section `media`, and the core's defaults."""
    shared = {f.name for f in fields(WorkerSettings)} & {f.name for f in fields(media)}
    return WorkerSettings(**{name: getattr(media, name) for name in shared})


def open_media_plane(settings: Settings) -> tuple[MediaPlane, int]:
    """The media plane of this node and its first port. Errors: `ConfigurationError`, `OSError`."""
    media = settings.media
    workers = media.workers or len(os.sched_getaffinity(0))
    if media.port + workers - 1 > MAX_PORT:
        raise ConfigurationError(f"[media] port {media.port} leaves no room for {workers} workers")
    worker = worker_settings(media)
    addresses = public_addresses(media.public_ips, media.host)
    try:
        rules = SplitRules(media.split_load, media.split_sinks)
        plane = NativeMediaPlane.open(
            worker, MediaPlaneSettings(addresses=addresses, tcp=media.tcp, split=rules), workers
        )
    except ImportError as cause:
        raise ConfigurationError(
            "the media core is not installed; install the wheel, or run `make build`"
        ) from cause
    if workers > 1:
        log.info("media_workers", ports=list(plane.ports))
    return plane, plane.ports[0]


PlaneOpener = Callable[[Settings], tuple[MediaPlane, int]]


@contextlib.asynccontextmanager
async def running_server(
    settings: Settings,
    clock: Clock | None = None,
    open_plane: PlaneOpener = open_media_plane,
    migrate: Migrate | None = None,
    make_egress: EgressOpener = open_egress,
    make_connectors: ConnectorOpener = open_connectors,
) -> AsyncIterator[RunningServer]:
    """A server that accepts clients inside the block, and disconnects them at its end. `migrate`:
    see `serving_store`. `make_egress`, `make_connectors`: what records archives, and what connects
    audio."""
    clock = clock or SystemClock()
    ice_servers = ice_servers_of(settings.ice)
    targets = target_policy(settings.callbacks)
    async with contextlib.AsyncExitStack() as stack:
        # Before the store: a start that fails here leaves no data folder behind.
        plane, media_port = open_plane(settings)
        stack.push_async_callback(plane.close)
        metrics = Metrics(plane.counters)
        certificate = ServedCertificate.of(settings.http, metrics)
        bound = await _bind(settings.http)
        for each in bound:
            stack.callback(each.close)
        store = await stack.enter_async_context(serving_store(settings.storage, migrate))
        authenticator = Authenticator(store, clock, settings.storage.cache_ms / 1000)
        callbacks = running_callbacks(
            settings.callbacks, store, Path(settings.storage.data_dir), clock, metrics
        )
        recorder = await stack.enter_async_context(callbacks)
        directory = SessionDirectory(
            plane, clock, settings.signaling, report_event=recorder.notify, ice_servers=ice_servers
        )
        live, members = LiveActors(directory, clock), Members(metrics)
        others = await stack.enter_async_context(
            clustered(joining_of(settings, clock), authenticator, directory, clock, metrics)
        )
        parts = ArchiveParts(
            store=store,
            sessions=directory,
            files=ArchiveFiles(archive_folder(settings)),
            egress=make_egress(settings),
            report_event=recorder.notify,
            metrics=metrics,
            clock=clock,
            schedule=asyncio.get_running_loop().call_later,
            settings=settings.archive,
            links=Links(settings.archive.public_url),
            styles=await stack.enter_async_context(running_styles(settings, metrics)),
            stops=await stack.enter_async_context(
                running_stops(store.stops, clock, is_shared=bool(settings.storage.url.reveal()))
            ),
            members=members,
            uploader=open_uploader(settings),
            allowed_networks=settings.egress.allowed_networks,
        )
        archives = await stack.enter_async_context(running_archives(parts))
        broadcasts = await stack.enter_async_context(_broadcasting(settings, parts, directory))
        node = OwnNode(settings, getattr(plane, "ports", (media_port,)))
        services = Services(
            store=store,
            authenticator=authenticator,
            live=live,
            metrics=metrics,
            clock=clock,
            random_bytes=os.urandom,
            archives=archives,
            broadcasts=broadcasts,
            connectors=await stack.enter_async_context(
                running_connectors(settings, directory, metrics, parts.stops, make_connectors)
            ),
            calls=await stack.enter_async_context(running_calls(settings, directory, parts)),
            renders=await stack.enter_async_context(
                running_renders(renders_of(settings, parts, directory.find, node))
            ),
            members=members,
            captions=await stack.enter_async_context(
                running_captions(_caption_parts(settings, parts, directory))
            ),
            callback_targets=targets,
        )
        gate = WebSocketGate(authenticator, directory, clock, settings, metrics, others.elsewhere)
        readiness, rooms = Readiness(), Rooms(store, clock, settings.rooms, settings.http)
        whip = WhipGate(authenticator, directory, settings.http, metrics)
        downloads = stack.enter_context(contextlib.closing(_downloads(settings, parts)))
        routes = (*whip.routes(others.homeward), *downloads.routes(), *_members(services).routes())
        surface = Surface(
            services, settings.http, gate.handle, rooms, routes, readiness, homeward=others.homeward
        )
        web_app = WebApp(surface)

        gates = partial(_gates, settings, clock, metrics, [])
        operations = await _listen_for_operators(web_app.build_operations(), settings, gates())
        stack.push_async_callback(operations.cleanup)
        runner = HttpRunner(web_app.build(), Deadlines.of(settings.http), gates())
        await _listen(runner, settings.http, bound, certificate)
        refusing = partial(refuse_joins, readiness, directory, metrics, others.drain)
        leaving = Leaving(runner, directory, services, refusing)
        stack.push_async_callback(leave, leaving, settings.signaling.shutdown_ms / 1000)
        await others.listen(whip, services, settings.http)
        stack.callback(others.leave)
        for sampler in (
            *(sample_lag(metrics), sample_counts(metrics, live)),
            *([] if certificate is None else [certificate.watch()]),
        ):
            stack.push_async_callback(_cancel, asyncio.create_task(sampler))
        node.http_port = port = runner.addresses[0][1]
        url = _url(settings, port)
        parts.links.base_url = parts.links.base_url or url
        # Last, so that a failed start does not use up the text of the first start.
        text = await _first_words(store, clock, settings, url)
        addresses = public_addresses(settings.media.public_ips, settings.media.host)
        _log_listening(addresses, (port, _port_of(operations), media_port))
        reload = _nothing_to_reload if certificate is None else certificate.reload
        drain = Drain(refusing, lambda: live.counts().connections, clock)
        yield RunningServer(
            url=url,
            http_port=port,
            media_port=media_port,
            media_addresses=addresses,
            welcome=text,
            reload=reload,
            drain=partial(drain.run, settings.signaling.drain_s),
            operations_port=_port_of(operations),
        )


@contextlib.asynccontextmanager
async def _broadcasting(
    settings: Settings, archives: ArchiveParts, directory: SessionDirectory
) -> AsyncIterator[Broadcasts]:
    """Broadcasts run beside the archives, in processes of the same egress."""
    egress = archives.egress if isinstance(archives.egress, BroadcastEgress) else None
    hls = None if egress is None else await open_hls(settings)
    public_url = settings.broadcast.public_url
    parts = BroadcastParts(
        store=archives.store,
        sessions=directory,
        folders=BroadcastFolders(broadcast_folder(settings)),
        egress=egress,
        report_event=archives.report_event,
        metrics=archives.metrics,
        clock=archives.clock,
        schedule=archives.schedule,
        settings=settings.broadcast,
        links=Links(public_url or _url(settings, 0 if hls is None else hls.port)),
        targets=egress_policy(settings),
        random_bytes=os.urandom,
        styles=archives.styles,
        stops=archives.stops,
        hls=hls,
    )
    async with running_broadcasts(parts, hls) as broadcasts:
        yield broadcasts


def _caption_parts(
    settings: Settings, archives: ArchiveParts, directory: SessionDirectory
) -> CaptionParts:
    return CaptionParts(
        store=archives.store,
        sessions=directory,
        marks=Marks(marks_folder(settings)),
        egress=open_captioners(settings),
        report_event=archives.report_event,
        metrics=archives.metrics,
        clock=archives.clock,
        schedule=archives.schedule,
        settings=settings.captions,
        callback_targets=target_policy(settings.callbacks),
        stops=archives.stops,
    )


async def _first_words(store: Store, clock: Clock, settings: Settings, url: str) -> str | None:
    """The text shown at the start: the first project's credentials file, or how to create one."""
    data_dir = Path(settings.storage.data_dir)
    path = data_dir / DEVELOPMENT_FILE
    if not settings.storage.development_project:
        if await store.projects():
            return None
        log.warning("no project yet", advice=NO_PROJECT)
        return NO_PROJECT
    created = await first_project(store, clock, data_dir)
    if created is not None:
        return welcome(created, url, path)
    return f"Credentials of the development project: {path}" if path.exists() else None


async def run_server(settings: Settings, say: Callable[[str], None], *, as_json: bool) -> int:
    """Serves until SIGTERM or SIGINT, drains for `signaling.drain_s` or until a second signal, and
    returns the exit code. SIGHUP reads the TLS certificate again."""
    configure_logs(settings.log.level, settings.log.format)
    stop = StopSignals()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.note)
    loop.add_signal_handler(signal.SIGHUP, log.info, "nothing to reload yet")
    async with running_server(settings, migrate=migrate_apart) as server:
        loop.add_signal_handler(signal.SIGHUP, server.reload)
        keep_for_good()
        if not as_json:
            for text in start_words(server, settings.operations):
                say(text)
        say(listening_line(server.url, server.media_port, as_json=as_json))
        await stop.first.wait()
        log.info("draining", at_most_s=settings.signaling.drain_s)
        log.info("going down", because=await server.drain(stop.second_within))
    return 0


def start_words(server: RunningServer, operations: OperationsSettings) -> list[str]:
    """What a person should know of a server that has started."""
    words = [server.welcome] if server.welcome else []
    words.append(_media_words(server.media_addresses))
    if server.operations_port is None:
        words.append(
            f"No metrics and no admin API: the operations port {operations.host}:{operations.port}"
            " cannot be used. Set [operations] host and port."
        )
    return words


def _media_words(addresses: tuple[str, ...]) -> str:
    text = f"Clients send media to {', '.join(addresses)}"
    return f"{text}\n{ONLY_LOOPBACK}" if only_loopback(addresses) else text


def _log_listening(media: tuple[str, ...], ports: tuple[int, int | None, int]) -> None:
    """`ports`: of HTTP, of the operators, and of media."""
    http_port, operations_port, media_port = ports
    log.info(
        "listening",
        http_port=http_port,
        operations_port=operations_port,
        media_port=media_port,
        media_addresses=media,
    )
    if only_loopback(media):
        log.warning("media on loopback only", advice=ONLY_LOOPBACK)


def _members(services: Services) -> MemberGate:
    return MemberGate(services.authenticator, services.members, services.clock, services.metrics)


def _downloads(settings: Settings, archives: ArchiveParts) -> Downloads:
    def count(limit: str) -> None:
        archives.metrics.downloads_refused.labels(limit).inc()

    places = DownloadPlaces(settings.archive.max_downloads, count)
    parts = DownloadParts(archives.store, archives.files, archives.clock, settings.http, places)
    return Downloads(parts)


def _gates(
    settings: Settings, clock: Clock, metrics: Metrics, beside: list[ConnectionGate]
) -> Gates:
    """For one listener; what they refuse is counted for all of them. `beside`: one list for all."""

    def count_request(limit: str) -> None:
        metrics.requests_refused.labels(limit).inc()

    def count_connection(ending: str) -> None:
        metrics.connections_ended.labels(ending).inc()

    return Gates(
        RequestGate(settings.http, clock, count_request),
        ConnectionGate(settings.http, clock, count_connection, beside),
    )


async def _bind(http: HttpSettings) -> list[socket.socket]:
    try:
        return await bound_sockets(http.host, http.port)
    except OSError as cause:
        raise _unusable_port(cause, http.host, http.port) from cause


async def _listen(
    runner: HttpRunner,
    http: HttpSettings,
    bound: list[socket.socket],
    certificate: ServedCertificate | None,
) -> None:
    tls = None if certificate is None else certificate.listening
    try:
        await runner.listen_on(bound, tls)
    except OSError as cause:
        raise _unusable_port(cause, http.host, http.port) from cause


def _unusable_port(cause: OSError, host: str, port: int) -> OSError:
    return OSError(
        cause.errno,
        f"the HTTP port {host}:{port} cannot be used: {reason_of(cause)}. Stop what uses it, "
        "or choose another with --port",
    )


async def _listen_for_operators(
    app: web.Application, settings: Settings, gates: Gates
) -> web.AppRunner:
    """If the port is taken, the server runs without metrics and logs a warning."""
    wanted = settings.operations
    port = 0 if settings.http.port == 0 and wanted == OperationsSettings() else wanted.port
    runner = HttpRunner(app, Deadlines.of(settings.http), gates)
    try:
        await runner.listen(wanted.host, port, None)
    except OSError as cause:
        log.warning(
            "no metrics and no admin API",
            reason=reason_of(cause),
            advice=f"cannot listen on {wanted.host}:{port}: set [operations] host and port",
        )
    return runner


def _port_of(runner: web.AppRunner) -> int | None:
    return runner.addresses[0][1] if runner.addresses else None


def _nothing_to_reload() -> None:
    log.info("nothing to reload", reason="the server has no TLS certificate")


def _url(settings: Settings, port: int) -> str:
    host = settings.http.host
    shown = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1") else host  # noqa: S104 - compared
    return f"{'https' if settings.http.tls_certificate else 'http'}://{shown}:{port}"


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

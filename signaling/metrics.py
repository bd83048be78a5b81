"""Every metric: name with unit, help text, and its closed set of labels.

The only module that uses the metrics library. Labels come from small enums and tables, never from a
peer; per-object detail is `dump()`. The media plane's totals are described where they are counted
(`sfu.core_api`, `sfu.plane_counters`); a total without a description is an error.
"""

import asyncio
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from config.version import version
from sfu.core_api import COUNTERS, CounterInfo
from sfu.plane_counters import HELP, LABELS, PlaneCounter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DROPS = "drop"
_MEDIA_TOTALS: Mapping[str, CounterInfo] = {info.name: info for info in COUNTERS} | {
    counter: CounterInfo(counter, "counter", HELP[counter])
    for counter in PlaneCounter
    if counter not in LABELS
}
# Totals of the media plane with a label in their name: prefix → metric, help, label.
_LABELED: Mapping[str, tuple[str, str, str]] = {
    _DROPS: ("sealroute_packets_dropped", "Packets not forwarded.", "reason"),
} | {
    counter: (f"sealroute_{name}", HELP[counter], LABELS[counter])
    for counter, name in (
        (PlaneCounter.HANDSHAKES, "dtls_handshakes"),
        (PlaneCounter.TRANSPORTS_LOST, "transports_lost"),
        (PlaneCounter.COMMANDS_FAILED, "media_commands_failed"),
    )
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric that is read when it is asked for: its values by those of its label."""

    name: str
    help: str
    values: Mapping[str, float]
    label: str = ""
    is_total: bool = False


class Metrics:
    """The metrics of one server, in its own registry. `plane` returns the media counters."""

    def __init__(self, plane: Callable[[], Mapping[str, int]]) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(_MediaCounters(plane))
        build = Gauge(
            "sealroute_build_info",
            "Always 1; the labels name the release and the Python that runs it.",
            ("version", "python"),
            registry=registry,
        )
        build.labels(version(), platform.python_version()).set(1)
        tasks = Gauge("sealroute_tasks", "Tasks of the event loop.", registry=registry)
        tasks.set_function(_tasks)
        self.sessions = Gauge("sealroute_sessions", "Sessions in memory.", registry=registry)
        self.draining = Gauge(
            "sealroute_draining", "1 from SIGTERM on: new clients are refused.", registry=registry
        )
        self.connections = Gauge(
            "sealroute_connections", "Clients connected to sessions.", registry=registry
        )
        self.streams = Gauge("sealroute_streams", "Streams published.", registry=registry)
        self.sessions_created = Counter(
            "sealroute_sessions_created_total",
            "Sessions created with REST.",
            ("e2ee",),
            registry=registry,
        )
        self.joins = Counter(
            "sealroute_joins_total", "Attempts to join.", ("result",), registry=registry
        )
        self.join_seconds = Histogram(
            "sealroute_join_duration_seconds",
            "From the first message to the welcome.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.refusals = Counter(
            "sealroute_refusals_total",
            "Features refused because of the session's properties.",
            ("feature", "reason"),
            registry=registry,
        )
        self.authentication_failures = Counter(
            "sealroute_authentication_failures_total",
            "Credentials refused.",
            ("where", "code"),
            registry=registry,
        )
        self.rest_requests = Counter(
            "sealroute_rest_requests_total",
            "REST requests by route.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.rest_seconds = Histogram(
            "sealroute_rest_request_duration_seconds",
            "Time to answer a REST request.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.requests_refused = Counter(
            "sealroute_http_requests_refused_total",
            "HTTP requests above the limits of their network or connection.",
            ("reason",),
            registry=registry,
        )
        self.connections_ended = Counter(
            "sealroute_http_connections_ended_total",
            "Unauthenticated HTTP connections that the server refused or ended.",
            ("reason",),
            registry=registry,
        )
        self.websocket_messages = Counter(
            "sealroute_websocket_messages_total",
            "Signaling messages.",
            ("direction",),
            registry=registry,
        )
        self.websocket_refused = Counter(
            "sealroute_websocket_messages_refused_total",
            "Client messages that were refused, before or after decoding.",
            ("reason",),
            registry=registry,
        )
        self.websocket_dropped = Counter(
            "sealroute_websocket_dropped_total",
            "Clients whose WebSocket the server ended.",
            ("reason",),
            registry=registry,
        )
        self.clients_gated = Gauge(
            "sealroute_clients_gated",
            "Clients whose WebSocket ends here and whose session lives at another node.",
            registry=registry,
        )
        self.links = Gauge(
            "sealroute_links",
            "Links to other nodes, by who opened them.",
            ("direction",),
            registry=registry,
        )
        self.links_refused = Counter(
            "sealroute_links_refused_total",
            "Links, and messages on them, that were refused.",
            ("reason",),
            registry=registry,
        )
        self.forwarded = Counter(
            "sealroute_requests_forwarded_total",
            "Requests of HTTP that were forwarded to the node at which their session lives.",
            ("result",),
            registry=registry,
        )
        self.callbacks_waiting = Gauge(
            "sealroute_callbacks_waiting",
            "Callbacks in the outbox, of all nodes on its storage.",
            registry=registry,
        )
        self.callback_events_not_queued = Gauge(
            "sealroute_callback_events_not_queued",
            "Events in this node's journal that are not in the outbox yet.",
            registry=registry,
        )
        self.callbacks_oldest_seconds = Gauge(
            "sealroute_callbacks_oldest_age_seconds",
            "Age of the oldest waiting callback.",
            registry=registry,
        )
        self.callbacks_dead = Gauge(
            "sealroute_callbacks_given_up",
            "Given-up callbacks in storage.",
            registry=registry,
        )
        self.callback_deliveries = Counter(
            "sealroute_callback_deliveries_total",
            "Attempts to deliver a callback.",
            ("result",),
            registry=registry,
        )
        self.callback_seconds = Histogram(
            "sealroute_callback_duration_seconds",
            "Response time of callback receivers.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.callback_events_lost = Counter(
            "sealroute_callback_events_lost_total",
            "Events lost before a callback was queued.",
            ("reason",),
            registry=registry,
        )
        self.egress_starts = Counter(
            "sealroute_egress_starts_total",
            "Recordings and audio connections started.",
            ("feature",),
            registry=registry,
        )
        self.egress_running = Gauge(
            "sealroute_egress_running",
            "Recordings that run or whose files are being finished, and audio connections.",
            ("feature",),
            registry=registry,
        )
        self.egress_failures = Counter(
            "sealroute_egress_failures_total",
            "Recordings that ended without a file, and audio connections that failed or were lost.",
            ("feature", "reason"),
            registry=registry,
        )
        self.egress_output_bytes = Counter(
            "sealroute_egress_output_bytes_total",
            "Size of finished files.",
            ("feature",),
            registry=registry,
        )
        self.member_services = Gauge(
            "sealroute_member_services",
            "Member services that are connected.",
            registry=registry,
        )
        self.member_lies = Counter(
            "sealroute_member_lies_total",
            "Member services that were disconnected for what they reported: it could not be true.",
            registry=registry,
        )
        self.archive_starts_refused = Counter(
            "sealroute_archive_starts_refused_total",
            "Archives that were not started for want of room.",
            ("reason",),
            registry=registry,
        )
        self.archives_over_quota = Counter(
            "sealroute_archives_over_quota_total",
            "Running archives that stopped because their project has too much disk space.",
            registry=registry,
        )
        self.stylesheets_refused = Counter(
            "sealroute_stylesheets_refused_total",
            "Stylesheets of layouts that were not used, by what is wrong with them.",
            ("reason",),
            registry=registry,
        )
        self.archive_uploads = Counter(
            "sealroute_archive_uploads_total",
            "Attempts to bring archives to buckets, by result; given_up: the file stays here.",
            ("result",),
            registry=registry,
        )
        self.downloads_refused = Counter(
            "sealroute_archive_downloads_refused_total",
            "Downloads of archives above the limits of their archive, network, project, or of all.",
            ("reason",),
            registry=registry,
        )
        self.tls_reloads = Counter(
            "sealroute_tls_reloads_total",
            "Reloads of the TLS certificate.",
            ("result",),
            registry=registry,
        )
        self.tls_certificate_expiry = Gauge(
            "sealroute_tls_certificate_expiry_timestamp_seconds",
            "Expiry of the TLS certificate in use, in Unix time; 0 without TLS.",
            registry=registry,
        )
        self.event_loop_lag_seconds = Histogram(
            "sealroute_event_loop_lag_seconds",
            "Wake-up delay of the event loop.",
            buckets=_SECONDS,
            registry=registry,
        )

    def watch_connectors(self, counters: Callable[[], Mapping[str, int]]) -> None:
        """`counters`: totals of the audio connections, by name."""
        self.registry.register(_ProcessCounters("sealroute_audio_", _AUDIO_TOTALS, counters))

    def watch_calls(self, counters: Callable[[], Mapping[str, int]]) -> None:
        """`counters`: totals of the SIP calls, by name."""
        self.registry.register(_ProcessCounters("sealroute_sip_", _SIP_TOTALS, counters))

    def watch_renders(self, counters: Callable[[], Mapping[str, int]]) -> None:
        """`counters`: totals of the renders, by name."""
        self.registry.register(_ProcessCounters("sealroute_render_", _RENDER_TOTALS, counters))

    def watch_captions(self, counters: Callable[[], Mapping[str, int]]) -> None:
        """`counters`: totals of captions, by name."""
        self.registry.register(_ProcessCounters("sealroute_captions_", _CAPTION_TOTALS, counters))

    def watch_egress(self, counters: Callable[[], Mapping[str, int]]) -> None:
        """Reads the totals of recording processes (`Egress.counters`) at each scrape."""
        self.registry.register(_EgressCounters(counters))

    def show(self, read: Callable[[], Iterable[Figure]]) -> None:
        """Asks for these figures whenever the metrics are read."""
        self.registry.register(_Figures(read))

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


def _tasks() -> float:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        # Called outside the loop, for example by tests.
        return 0.0


class _Figures(Collector):
    def __init__(self, read: Callable[[], Iterable[Figure]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for one in self._read():
            kind = CounterMetricFamily if one.is_total else GaugeMetricFamily
            family = kind(one.name, one.help, labels=[one.label] if one.label else [])
            for label, value in one.values.items():
                family.add_metric([label] if one.label else [], value)
            yield family


class _MediaCounters(Collector):
    """The media plane's counters, read at each scrape (`MediaPlane.counters`)."""

    def __init__(self, plane: Callable[[], Mapping[str, int]]) -> None:
        self._plane = plane

    def collect(self) -> Iterator[Metric]:
        labeled = {prefix: _labeled_family(prefix) for prefix in _LABELED}
        for name, value in sorted(self._plane().items()):
            prefix, _, label = name.partition(".")
            if label:
                labeled[prefix].add_metric([label], value)
            else:
                yield _media_family(_MEDIA_TOTALS[name], value)
        yield from labeled.values()

    def describe(self) -> Iterator[Metric]:
        """Empty, so that registration does not read the counters."""
        return iter(())


class _EgressCounters(Collector):
    """What happens inside recordings, of all features together."""

    def __init__(self, counters: Callable[[], Mapping[str, int]]) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        totals = self._counters()
        yield CounterMetricFamily(
            "sealroute_egress_restarts",
            "Recording processes that died and were followed by another one.",
            value=totals.get("restarts", 0),
        )
        yield CounterMetricFamily(
            "sealroute_egress_lies",
            "Recording processes that were ended for what they reported: it could not be true.",
            value=totals.get("lies", 0),
        )
        ignored = CounterMetricFamily(
            "sealroute_egress_ignored",
            "What reached a recording and is in no file.",
            labels=["reason"],
        )
        for name, value in sorted(totals.items()):
            kind, _, reason = name.partition(".")
            if kind == "ignored":
                ignored.add_metric([reason], value)
        yield ignored

    def describe(self) -> Iterator[Metric]:
        """Empty, so that registration does not read the counters."""
        return iter(())


_AUDIO_TOTALS = {
    "reconnects": "WebSockets of audio connections that were lost and opened again, or tried to.",
    "lies": "Processes of audio connections that said what none says, and were killed.",
    "frames_sent": "20 ms of audio that were sent to applications.",
    "frames_left_out": "20 ms of audio that were not sent: the application does not read, or this"
    " machine is too slow.",
    "bytes_dropped": "Bytes of audio from applications beyond the minute that may wait.",
    "messages_ignored": "Messages of applications that mean nothing.",
    "undecodable_packets": "Packets of participants that are not Opus.",
}
"""By the names of `ConnectorEgress.counters()`."""


_SIP_TOTALS = {
    "redirected": "Calls that were redirected to another address, which was called.",
    "lies": "Processes of calls that said what none says, and were killed.",
    "places_refused": "Addresses that telephones named and that are not reached from here.",
    "packets_sent": "RTP packets that were sent to telephones.",
    "reports_sent": "RTCP reports about these packets that were sent to telephones.",
    "reports_received": "RTCP reports of telephones.",
    "packets_ignored": "Packets of telephones, or of others, that mean nothing.",
    "messages_ignored": "SIP messages that mean nothing.",
    "messages_of_strangers": "SIP messages from addresses that are no part of their call.",
    "undecodable_packets": "Packets of participants that are not Opus.",
    "unsent": "Messages and packets that the system did not take.",
}
"""By the names of `SipEgress.counters()`."""


_RENDER_TOTALS = {
    "crashes": "Browsers of renders that crashed or did not begin.",
    "lies": "Processes of renders that said what none says, and were killed.",
    "connections": "Connections of rendered pages that were made.",
    "connections_refused": "Connections of rendered pages beyond those that one may have.",
    "requests_refused": "Requests of rendered pages to addresses that they may not reach, or that"
    " do not answer.",
    "requests_failed": "Requests of rendered pages that are none, or whose connection broke.",
    "bytes": "Bytes to and from rendered pages.",
}
"""By the names of `RenderEgress.counters()`."""


_CAPTION_TOTALS = {
    "restarts": "Processes of captions that died and were followed by another one.",
    "lies": "Processes of captions that said what none says, and were killed.",
    "captions": "Captions that came from processes, also those that nobody asked for.",
    "phrases": "Phrases that were recognized.",
    "blocks_dropped": "20 ms of speech that were not recognized: too many people spoke at once, or"
    " this machine is too slow.",
    "late_packets": "Packets of participants that came after later ones had been recognized.",
    "streams_left_out": "Streams that were not heard: a session had too many.",
    "undecodable_packets": "Packets of participants that are not Opus.",
}
"""By the names of `CaptionEgress.counters()`."""


class _ProcessCounters(Collector):
    """What happens inside the processes of a feature, of all of them together."""

    def __init__(
        self, prefix: str, texts: Mapping[str, str], counters: Callable[[], Mapping[str, int]]
    ) -> None:
        self._prefix, self._texts, self._counters = prefix, texts, counters

    def collect(self) -> Iterator[Metric]:
        totals = self._counters()
        for name, text in self._texts.items():
            yield CounterMetricFamily(f"{self._prefix}{name}", text, value=totals.get(name, 0))

    def describe(self) -> Iterator[Metric]:
        """Empty, so that registration does not read the counters."""
        return iter(())


def _labeled_family(prefix: str) -> CounterMetricFamily:
    name, text, label = _LABELED[prefix]
    return CounterMetricFamily(name, text, labels=[label])


def _media_family(info: CounterInfo, value: int) -> Metric:
    family = GaugeMetricFamily if info.kind == "gauge" else CounterMetricFamily
    return family(f"sealroute_media_{info.name}", info.help, value)

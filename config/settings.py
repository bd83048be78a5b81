"""Every knob of the server, with its unit, default, range and trade-off.

`knob(default, why, low, high)` describes a number; texts and switches have no range. The
commented sample `default.toml` has the same defaults; a test compares them.
"""

from dataclasses import dataclass, field

from config.broadcast_settings import BroadcastSettings
from config.caption_settings import CaptionSettings
from config.cluster_settings import ClusterSettings
from config.connector_settings import ConnectorSettings
from config.knobs import knob
from config.render_settings import RenderSettings
from config.secret import Secret
from config.sip_settings import SipSettings

NO_SECRET: Secret[str] = Secret("")
"""The default of every secret knob: not set."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """REST, WebSocket, WHIP, health and static files: the public listener."""

    host: str = knob("0.0.0.0", "Address to listen on.")  # noqa: S104 - a server for others
    port: int = knob(8080, "TCP port; 0 selects a free one.", 0, 65_535)
    tls_certificate: str = knob(
        "", "PEM file with the certificate chain. Empty: plain HTTP behind your own TLS proxy."
    )
    tls_key: str = knob("", "PEM file with the certificate's key.")
    max_body_bytes: int = knob(
        262_144, "Largest REST body. Larger bodies take more memory.", 1_024, 67_108_864
    )
    read_timeout_ms: int = knob(
        8_000,
        "Time limit for a complete request: TLS handshake, head and body together. Longer helps"
        " slow links, shorter limits slowloris attacks.",
        100,
        120_000,
    )
    write_timeout_ms: int = knob(
        60_000, "How long a client may take to read an answer.", 100, 600_000
    )
    idle_timeout_ms: int = knob(
        75_000,
        "How long a connection may wait for its next request. Set it longer than that of your load"
        " balancer.",
        100,
        3_600_000,
    )
    trusted_proxies: str = knob(
        "",
        "Networks of your own proxies and load balancers, space-separated, whose X-Forwarded-For"
        " is trusted. Limits per network do not apply to their requests without that header.",
    )
    requests_per_s_of_network: int = knob(
        500,
        "Requests per second from one network (a /24 of IPv4, a /64 of IPv6), with a burst of ten"
        " seconds' worth; a /56 may make twice and a /48 four times as many. 0: no limit. Behind"
        " your own proxy set trusted_proxies, otherwise all clients count as one network. Raise it"
        " if many clients share a carrier's NAT.",
        0,
        1_000_000,
    )
    requests_per_s_of_connection: int = knob(
        250,
        "The same for one connection, unless it is a trusted proxy's. 0: no limit.",
        0,
        1_000_000,
    )
    pending_connections: int = knob(
        4_096,
        "Connections that have not joined a session: TLS handshakes, requests, idle ones. Above it"
        " an idle connection of the network with the most is closed. 0: no limit.",
        0,
        1_000_000,
    )
    pending_connections_of_network: int = knob(
        2_048,
        "The same for one network (a /24 of IPv4, a /48 of IPv6), unless it is a trusted proxy's."
        " 0: no limit.",
        0,
        1_000_000,
    )
    allowed_origins: str = knob(
        "*", "Web origins that may open the WebSocket, space-separated; * allows all."
    )


@dataclass(frozen=True, slots=True)
class OperationsSettings:
    """Metrics, health and the admin API: a separate listener for operators."""

    host: str = knob(
        "127.0.0.1",
        "Address to listen on. Loopback: this machine only. In a container use 0.0.0.0 and do not"
        " publish the port.",
    )
    port: int = knob(
        9_091,
        "TCP port; 0 selects a free one, as does the default if [http] port is 0.",
        0,
        65_535,
    )


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """The media ports: one port number per worker, for UDP and TCP."""

    host: str = knob("0.0.0.0", "Address of the media sockets.")  # noqa: S104 - as above
    port: int = knob(10_000, "Media port; 0 selects a free one.", 0, 65_535)
    workers: int = knob(
        1,
        "Threads that forward media, each with its own port: port, port + 1, and so on. A session"
        " is on one worker until it is large. More workers use more cores; 0 starts one per core.",
        0,
        64,
    )
    split_load: float = knob(
        0.6, "Share of a core that a session's worker uses before it may get another one.", 0, 1
    )
    split_sinks: int = knob(
        25, "Streams that its worker sends to a session's clients before that.", 0, 1_000_000
    )
    tcp: bool = knob(True, "Accept media over TCP on that port, for networks that block UDP.")
    loudest_voices: int = knob(
        0, "How many of the loudest speakers a large session forwards. 0 forwards all.", 0, 1_000
    )
    voices_of_large_session: int = knob(
        20, "A session with more audio streams than this is large.", 0, 100_000
    )
    start_downlink_kbps: int = knob(
        800,
        "Initial bandwidth estimate per subscriber in kbit/s, used until feedback arrives. Higher"
        " starts with a higher resolution; lower causes less queuing on slow links.",
        100,
        1_000_000,
    )
    max_downlink_kbps: int = knob(
        100_000,
        "Upper limit of the media sent to one client in kbit/s, for any link.",
        100,
        1_000_000,
    )
    public_ips: str = knob(
        "",
        "Addresses that clients can reach, space-separated. Empty: every local IPv4 address."
        " With 127.0.0.1 alone, Firefox and clients on other machines cannot connect.",
    )


@dataclass(frozen=True, slots=True)
class IceSettings:
    """STUN and TURN servers for clients, for networks that block other traffic."""

    stun_urls: str = knob(
        "", "STUN servers, space-separated, such as stun:turn.example.com; for relayed sessions."
    )
    turn_urls: str = knob(
        "",
        "TURN servers, space-separated, such as turn:turn.example.com?transport=tcp.",
    )
    turn_secret: Secret[str] = knob(  # noqa: RUF009 - a secret never changes
        NO_SECRET, "Secret shared with the TURN servers (coturn: static-auth-secret)."
    )
    turn_lifetime_s: int = knob(
        86_400,
        "Lifetime of a client's TURN credentials. Each join gives new ones.",
        60,
        604_800,
    )


@dataclass(frozen=True, slots=True)
class SignalingSettings:
    """Limits of sessions and clients."""

    connections_per_session: int = knob(
        3_000,
        "Connections per session. The welcome message lists all of them in at most 1 MiB: about"
        " 7,000 without connection data, 2,800 with 200 characters each. Further connections are"
        " refused, as above this limit.",
        1,
        100_000,
    )
    streams_per_connection: int = knob(8, "Streams that one client may publish.", 1, 64)
    subscribers_per_connection: int = knob(
        300, "Streams that one client may receive. Each costs downlink bandwidth.", 1, 3_000
    )
    messages_per_s: float = knob(50.0, "Sustained message rate of one client.", 1, 10_000)
    message_burst: int = knob(
        200, "Messages that a client may send in one burst above that rate.", 1, 100_000
    )
    bytes_per_s: int = knob(
        262_144,
        "Sustained rate of one client's message bytes. SDP answers are long in large sessions.",
        16_384,
        16_777_216,
    )
    byte_burst: int = knob(
        2_097_152,
        "Bytes that a client may send in one burst above that rate.",
        524_288,
        67_108_864,
    )
    fan_out_bytes_per_s: int = knob(
        4_194_304,
        "Sustained rate of bytes that one client's messages cause to other clients: the size of"
        " each signal times its receivers.",
        65_536,
        1_073_741_824,
    )
    fan_out_burst: int = knob(
        33_554_432,
        "Bytes that a client may cause in one burst above that rate. 8 KB to 3,000 clients are"
        " 25 MB.",
        65_536,
        1_073_741_824,
    )
    joins_per_token_per_min: int = knob(
        600,
        "Joins per minute with the same token, because a token can be shared.",
        1,
        100_000,
    )
    joins_per_s: float = knob(
        500.0, "Joins per second into one session; more are refused.", 1, 100_000
    )
    hello_timeout_ms: int = knob(
        8_000,
        "Time limit for the first message, including the TLS handshake and the request head.",
        100,
        120_000,
    )
    keep_alive_ms: int = knob(
        10_000, "Ping interval of clients. Shorter detects lost clients sooner.", 500, 120_000
    )
    grace_ms: int = knob(
        15_000, "How long a client stays in the session after it lost its WebSocket.", 0, 300_000
    )
    linger_ms: int = knob(10_000, "How long an empty session stays in memory.", 0, 600_000)
    send_queue_bytes: int = knob(
        4_194_304,
        "Send queue of one client in bytes; a client above it is dropped.",
        65_536,
        268_435_456,
    )
    send_queues_total_bytes: int = knob(
        268_435_456,
        "Send queues of all clients together in bytes; above it slow clients are dropped.",
        1_048_576,
        68_719_476_736,
    )
    drain_s: int = knob(
        0,
        "How long calls may go on after SIGTERM, while new clients are refused; it ends with the"
        " last client, and at once at a second SIGTERM. Longer is for nodes beside which others"
        " take the new clients: with one node nobody can join meanwhile.",
        0,
        86_400,
    )
    shutdown_ms: int = knob(5_000, "Time limit to notify clients of a shutdown.", 0, 300_000)


@dataclass(frozen=True, slots=True)
class E2eeSettings:
    """End-to-end encryption as the server sees it: policy, never keys."""

    enabled_for_new_projects: bool = knob(
        False, "Enable the add-on in new projects unless the request says otherwise."
    )


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Projects and sessions."""

    data_dir: str = knob("./data", "Folder of the database and of the sealing key (mode 0700).")
    url: Secret[str] = knob(  # noqa: RUF009 - a secret never changes
        NO_SECRET,
        "postgresql://user:password@host/name for several nodes. Empty: SQLite in data_dir.",
    )
    sealing_key: Secret[str] = knob(  # noqa: RUF009
        NO_SECRET,
        "Key that wraps secrets in the database: 32 bytes in URL-safe base64, the same on every"
        " node; during a change: new,old. Empty: the file sealing.key in data_dir.",
    )
    busy_timeout_ms: int = knob(
        5_000, "How long a write waits for another process before it fails.", 100, 60_000
    )
    development_project: bool = knob(
        False,
        "Create a development project if there is none, with its credentials in a file in"
        " data_dir. Not for production: the file gives full access to the project.",
    )
    cache_ms: int = knob(
        1_000, "How long a project is cached in memory. 0: always read it.", 0, 60_000
    )


@dataclass(frozen=True, slots=True)
class RoomsSettings:
    """Rooms that the page at / opens for any visitor, in a separate project."""

    enabled: bool = knob(
        False,
        "Let any visitor of the page open rooms, without a token. Off: only applications create"
        " sessions. `serve --development` turns it on where nothing else is said.",
    )
    per_minute: int = knob(60, "Rooms opened per minute by all visitors together.", 1, 100_000)
    per_minute_of_network: int = knob(
        20,
        "The same for one network (a /24 of IPv4, a /64 of IPv6). Behind your own proxy set [http]"
        " trusted_proxies, otherwise all visitors count as one network.",
        1,
        100_000,
    )
    joins_per_room: int = knob(
        25, "Joins per minute, as a multiple of the rooms per minute above.", 1, 1_000
    )


@dataclass(frozen=True, slots=True)
class CallbackSettings:
    """Callbacks (webhooks): events of sessions, posted to URLs of applications."""

    allowed_networks: str = knob(
        "",
        "Non-public networks that callbacks may reach, space-separated.",
    )
    timeout_ms: int = knob(
        10_000, "Time limit per attempt. Longer delays the session's next event.", 100, 60_000
    )
    give_up_after_h: int = knob(24, "How long delivery is retried. Longer stores more.", 1, 720)
    keep_given_up_h: int = knob(
        168, "How long deliveries that were given up are kept for a retry.", 1, 8_760
    )
    max_in_flight: int = knob(
        64,
        "Concurrent attempts. Each may use a connection. One project has at most three times what"
        " is left for others.",
        1,
        4_096,
    )
    max_in_flight_per_origin: int = knob(
        16, "Concurrent attempts to one receiver, so that none blocks the others.", 1, 4_096
    )
    max_waiting_per_project: int = knob(
        100_000, "Waiting deliveries per project. Newer events are lost.", 1, 10_000_000
    )


@dataclass(frozen=True, slots=True)
class EgressSettings:
    """Processes that record clear sessions."""

    children_max: int = knob(
        64,
        "Recordings at a time. Each is a process of about 5 MB, and needs room and speed of the"
        " disk. More are refused. 0: none.",
        0,
        1_024,
    )
    cores: int = knob(
        0,
        "Processor cores for composed archives and broadcasts; more of them are refused. One of"
        " 640x480 takes 0.35 of a core, 1280x720 0.65, 1920x1080 1.25; one alone is never refused."
        " 0: half of the cores.",
        0,
        1_024,
    )
    allowed_networks: str = knob(
        "",
        "Non-public networks that broadcasts may be sent to by RTMP and audio by WebSocket or"
        " SIP, space-separated.",
    )


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """Archives of sessions that are not end-to-end encrypted."""

    enabled: bool = knob(True, "Let applications archive sessions. Off: starts answer 501.")
    dir: str = knob(
        "",
        "Folder of the files, which hold the media in clear (mode 0700). Empty: archives in"
        " data_dir.",
    )
    public_url: str = knob(
        "",
        "What links to finished archives begin with, such as https://media.example.com. Empty: the"
        " address that the server shows at its start.",
    )
    max_duration_s: int = knob(
        14_400, "Recorded time after which an archive stops. Longer makes larger files.", 60, 43_200
    )
    idle_s: int = knob(
        3_600, "How long an archive waits for the next stream before it stops.", 60, 43_200
    )
    empty_s: int = knob(
        60,
        "How long an archive goes on in a session without clients, and how long it waits for the"
        " first stream.",
        5,
        3_600,
    )
    keep_h: int = knob(
        72, "How long finished files are kept. Longer needs more disk space.", 1, 8_760
    )
    running_per_project: int = knob(
        32,
        "Archives of one project at a time on this server, so that others find room. All together"
        " are limited by [egress] children_max.",
        1,
        1_024,
    )
    min_free_mb: int = knob(
        2_048,
        "Free disk space below which no archive starts. Running ones stop below an eighth of it.",
        64,
        1_048_576,
    )
    max_project_mb: int = knob(
        0,
        "Disk space of one project's archives, so that others find some. Above it no archive of the"
        " project starts, and running ones stop. 0: no limit but the disk's.",
        0,
        1_073_741_824,
    )
    max_downloads: int = knob(
        128,
        "Downloads of archives at a time. One archive and one network have an eighth of them, one"
        " project at most three times what is left for others.",
        8,
        65_536,
    )
    hold_ms: int = knob(
        400,
        "How long packets wait for those that were lost and are sent again. Longer mends more.",
        0,
        5_000,
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Structured logs on standard error."""

    level: str = knob(
        "info", "Lowest level that is logged.", choices=("debug", "info", "warning", "error")
    )
    format: str = knob(
        "json", "json for machines, console for people.", choices=("json", "console")
    )


@dataclass(frozen=True, slots=True)
class Settings:
    http: HttpSettings = field(default_factory=HttpSettings)
    operations: OperationsSettings = field(default_factory=OperationsSettings)
    media: MediaSettings = field(default_factory=MediaSettings)
    ice: IceSettings = field(default_factory=IceSettings)
    signaling: SignalingSettings = field(default_factory=SignalingSettings)
    e2ee: E2eeSettings = field(default_factory=E2eeSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    rooms: RoomsSettings = field(default_factory=RoomsSettings)
    callbacks: CallbackSettings = field(default_factory=CallbackSettings)
    egress: EgressSettings = field(default_factory=EgressSettings)
    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    broadcast: BroadcastSettings = field(default_factory=BroadcastSettings)
    connector: ConnectorSettings = field(default_factory=ConnectorSettings)
    sip: SipSettings = field(default_factory=SipSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    captions: CaptionSettings = field(default_factory=CaptionSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    log: LogSettings = field(default_factory=LogSettings)

"""Every knob of the server, with its unit, default, range and what it trades.

`knob(default, why, low, high)` describes a number; texts and switches have no range. The
commented sample `default.toml` holds the same defaults, and a test keeps them equal.
"""

from dataclasses import dataclass, field
from typing import Any

from config.secret import Secret

NO_SECRET: Secret[str] = Secret("")
"""The default of every secret knob: nothing is set."""


def knob(
    default: Any,  # noqa: ANN401 - the field's annotation says the type
    why: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:  # noqa: ANN401 - dataclass fields take their type from the annotation
    """A dataclass field with its documentation and range."""
    return field(
        default=default, metadata={"why": why, "low": low, "high": high, "choices": choices}
    )


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """REST, WebSocket, WHIP, health and static files: the listener for everybody."""

    host: str = knob("0.0.0.0", "Address to listen on.")  # noqa: S104 - a server for others
    port: int = knob(8080, "TCP port; 0 takes a free one.", 0, 65_535)
    tls_certificate: str = knob(
        "", "PEM file with the certificate chain; empty: plain HTTP behind your own TLS."
    )
    tls_key: str = knob("", "PEM file with the certificate's key.")
    max_body_bytes: int = knob(
        262_144, "Largest REST body. More memory for each request.", 1_024, 67_108_864
    )
    read_timeout_ms: int = knob(
        8_000,
        "Time for a request as a whole: TLS handshake, head and body together. Slow links against"
        " slowloris.",
        100,
        120_000,
    )
    write_timeout_ms: int = knob(
        60_000, "How long a client may take to read an answer.", 100, 600_000
    )
    idle_timeout_ms: int = knob(
        75_000,
        "How long a connection may wait for its next request. Longer than your load balancer's.",
        100,
        3_600_000,
    )
    trusted_proxies: str = knob(
        "",
        "Networks of your own proxies and load balancers, with blanks between, whose"
        " X-Forwarded-For is believed. Limits of networks do not hold for what such a one does not"
        " tell the client of.",
    )
    requests_per_s_of_network: int = knob(
        500,
        "Requests that one network (a /24 of IPv4, a /64 of IPv6) may make, with ten seconds of"
        " them at once; a /56 twice and a /48 four times as many. 0: no limit. Behind a proxy of"
        " yours set trusted_proxies, or all clients are one network; where a carrier's NAT brings"
        " you many, raise it.",
        0,
        1_000_000,
    )
    requests_per_s_of_connection: int = knob(
        250,
        "Of these, over one connection, unless it is a trusted proxy's. 0: no limit.",
        0,
        1_000_000,
    )
    pending_connections: int = knob(
        4_096,
        "Connections that have not joined a session: handshakes of TLS, requests, idle ones. Beyond"
        " them somebody who only waits gives way, of the network that has the most. 0: no limit.",
        0,
        1_000_000,
    )
    pending_connections_of_network: int = knob(
        2_048,
        "Of these, from one network (a /24 of IPv4, a /48 of IPv6), unless it is a trusted"
        " proxy's. 0: no limit.",
        0,
        1_000_000,
    )
    allowed_origins: str = knob(
        "*", "Web origins that may open the WebSocket, with blanks between; * allows all."
    )


@dataclass(frozen=True, slots=True)
class OperationsSettings:
    """Metrics, health and the admin API: a listener of their own, for operators."""

    host: str = knob(
        "127.0.0.1",
        "Address to listen on. Loopback: this machine alone. In a container 0.0.0.0, and do not"
        " publish the port.",
    )
    port: int = knob(
        9_091,
        "TCP port; 0 takes a free one, and so does the default when [http] port is 0.",
        0,
        65_535,
    )


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """The media ports: one number for each worker, UDP and TCP."""

    host: str = knob("0.0.0.0", "Address the media socket binds.")  # noqa: S104 - as above
    port: int = knob(10_000, "Media port; 0 takes a free one.", 0, 65_535)
    workers: int = knob(
        1,
        "Threads that forward, each with a port of its own: port, port + 1, and so on. A session"
        " stays on one. More serve more than one core can; 0 takes one for each core.",
        0,
        64,
    )
    tcp: bool = knob(True, "Take media over TCP on that port where a network passes no UDP.")
    loudest_voices: int = knob(
        0, "Voices forwarded in large sessions: the loudest. 0 forwards all.", 0, 1_000
    )
    voices_of_large_session: int = knob(
        20, "A session is large with more audio streams than this.", 0, 100_000
    )
    start_downlink_kbps: int = knob(
        800,
        "What a client's link is taken to carry, in kbit/s, until the client has said something of"
        " it. More shows larger pictures from the first one on; less queues less on slow links.",
        100,
        1_000_000,
    )
    max_downlink_kbps: int = knob(
        100_000,
        "No client is sent more media than this, in kbit/s, however much its link carries.",
        100,
        1_000_000,
    )
    public_ips: str = knob(
        "",
        "Addresses that clients can reach, with blanks between. Empty: every local IPv4 address."
        " With 127.0.0.1 alone no Firefox connects, and nobody from elsewhere.",
    )


@dataclass(frozen=True, slots=True)
class IceSettings:
    """STUN and TURN servers that clients are told of, for networks that let nothing else pass."""

    stun_urls: str = knob(
        "", "STUN servers with blanks between, such as stun:turn.example.com; for relayed sessions."
    )
    turn_urls: str = knob(
        "",
        "TURN servers with blanks between, such as turn:turn.example.com?transport=tcp.",
    )
    turn_secret: Secret[str] = knob(  # noqa: RUF009 - a secret never changes
        NO_SECRET, "What the TURN servers and this one share (coturn: static-auth-secret)."
    )
    turn_lifetime_s: int = knob(
        86_400,
        "How long a client may use its TURN credentials. A client gets fresh ones with each join.",
        60,
        604_800,
    )


@dataclass(frozen=True, slots=True)
class SignalingSettings:
    """Limits of sessions and clients."""

    connections_per_session: int = knob(
        3_000,
        "Members of one session. Everybody learns of everybody, in one message of 1 MiB: some 7,000"
        " without data of their own, 2,800 with 200 characters each. Beyond that they are refused"
        " like beyond this limit.",
        1,
        100_000,
    )
    streams_per_connection: int = knob(8, "Streams one client may publish.", 1, 64)
    subscribers_per_connection: int = knob(
        300, "Streams one client may receive. Each costs downlink bandwidth.", 1, 3_000
    )
    messages_per_s: float = knob(50.0, "Steady rate of messages of one client.", 1, 10_000)
    message_burst: int = knob(
        200, "Messages a client may send at once before the rate counts.", 1, 100_000
    )
    bytes_per_s: int = knob(
        262_144,
        "Steady rate of bytes of one client's messages. Large rooms answer with long descriptions.",
        16_384,
        16_777_216,
    )
    byte_burst: int = knob(
        2_097_152,
        "Bytes a client may send at once before the rate counts.",
        524_288,
        67_108_864,
    )
    fan_out_bytes_per_s: int = knob(
        4_194_304,
        "Steady rate of bytes that one client's messages cost on their way to others: the size of"
        " each signal times its receivers.",
        65_536,
        1_073_741_824,
    )
    fan_out_burst: int = knob(
        33_554_432,
        "Bytes to others that a client may cause at once. 8 KB to 3,000 members are 25 MB.",
        65_536,
        1_073_741_824,
    )
    joins_per_token_per_min: int = knob(
        600,
        "Joins with one and the same token. Tokens may be shared, but not without end.",
        1,
        100_000,
    )
    joins_per_s: float = knob(
        500.0, "Joins per second into one session; more wait for the next second.", 1, 100_000
    )
    hello_timeout_ms: int = knob(
        8_000,
        "Time for the first message, with the TLS handshake and the head before it.",
        100,
        120_000,
    )
    keep_alive_ms: int = knob(
        10_000, "How often clients ping. Shorter finds dead ones sooner.", 500, 120_000
    )
    grace_ms: int = knob(
        15_000, "How long a member lives on after it lost its WebSocket.", 0, 300_000
    )
    linger_ms: int = knob(10_000, "How long an empty session stays in memory.", 0, 600_000)
    send_queue_bytes: int = knob(
        4_194_304, "What may wait for a slow client before it is dropped.", 65_536, 268_435_456
    )
    send_queues_total_bytes: int = knob(
        268_435_456,
        "What may wait for all slow clients together; beyond it whoever is slow is dropped.",
        1_048_576,
        68_719_476_736,
    )
    shutdown_ms: int = knob(5_000, "Time to say goodbye when the server stops.", 0, 300_000)


@dataclass(frozen=True, slots=True)
class E2eeSettings:
    """End-to-end encryption as the server sees it: policy, never keys."""

    enabled_for_new_projects: bool = knob(
        False, "Switch the add-on on in projects made without saying so."
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
        "Seals secrets in the database: 32 bytes in URL-safe base64, the same on every node; "
        "while it is changed: new,old. Empty: the file sealing.key in data_dir.",
    )
    busy_timeout_ms: int = knob(
        5_000, "How long a write waits for another process. Then it fails.", 100, 60_000
    )
    development_project: bool = knob(
        False,
        "Make a project for trying things out where there is none, its credentials in a file of"
        " data_dir. Not for production: whoever reads the file can do everything.",
    )
    cache_ms: int = knob(
        1_000, "How long a known project may be answered from memory. 0: always read.", 0, 60_000
    )


@dataclass(frozen=True, slots=True)
class RoomsSettings:
    """Rooms that the page at / opens for anybody, in a project of their own."""

    enabled: bool = knob(True, "Let visitors of the page open rooms. Off: only your applications.")
    per_minute: int = knob(60, "Rooms opened per minute by all visitors together.", 1, 100_000)
    per_minute_of_network: int = knob(
        20,
        "Of these, by the visitors of one network (a /24 of IPv4, a /64 of IPv6). Behind a proxy"
        " of yours set [http] trusted_proxies, or all visitors are one network.",
        1,
        100_000,
    )
    joins_per_room: int = knob(
        25, "Joins per room that the limit of joins per minute counts with.", 1, 1_000
    )


@dataclass(frozen=True, slots=True)
class CallbackSettings:
    """Callbacks: what happens in sessions, posted to the URLs of applications."""

    allowed_networks: str = knob(
        "",
        "Networks that are not public and may be called all the same, with blanks between.",
    )
    timeout_ms: int = knob(
        10_000, "Time for one attempt. Longer holds up the session's next event.", 100, 60_000
    )
    give_up_after_h: int = knob(
        24, "How long delivery is tried. Longer keeps more in the storage.", 1, 720
    )
    keep_given_up_h: int = knob(
        168, "How long what was given up is kept for a look and a retry.", 1, 8_760
    )
    max_in_flight: int = knob(64, "Attempts at a time. Each may hold a connection.", 1, 4_096)
    max_in_flight_per_origin: int = knob(
        16, "Attempts at a time to one receiver, so that a hanging one leaves room.", 1, 4_096
    )
    max_waiting_per_project: int = knob(
        100_000, "What may wait for one project's receivers. Newer events are lost.", 1, 10_000_000
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Structured logs on standard error."""

    level: str = knob(
        "info", "What is worth a line.", choices=("debug", "info", "warning", "error")
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
    log: LogSettings = field(default_factory=LogSettings)

"""What two clients of a test call saw: values only, so that the report needs no client."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CallFailure:
    """Where the call ended. `code` and `reason` are those of the client's error."""

    step: str
    code: str
    message: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PathRecord:
    """One media transport. `offered`: the server's addresses, as `udp 192.0.2.1:10000`."""

    state: str
    ice_state: str
    dtls_state: str
    offered: tuple[str, ...] = ()
    connect_ms: int | None = None
    pair: str = ""
    packets: int = 0
    lost: int = 0
    round_trip_ms: float | None = None


@dataclass(slots=True)
class MediaRecord:
    """What arrived of one kind, decrypted. `first_ms` counts from the request to subscribe.
    `tone_hz` is the loudest frequency, `numbers` are those read in the frames of the pattern."""

    first_ms: int | None = None
    decoded: int = 0
    frames: int = 0
    bits_per_s: int = 0
    tone_hz: float | None = None
    numbers: tuple[int, ...] = ()


@dataclass(slots=True)
class CallRecord:
    """Filled while the call goes on; what was not reached has its default."""

    seconds: float
    joined_ms: dict[str, int] = field(default_factory=dict)
    """Of `sender` and `receiver`."""
    codes_are_equal: bool | None = None
    paths: dict[str, PathRecord] = field(default_factory=dict)
    """`uplink` and `downlink`."""
    media: dict[str, MediaRecord] = field(
        default_factory=lambda: {"audio": MediaRecord(), "video": MediaRecord()}
    )
    states: dict[str, str] = field(default_factory=dict)
    """What `sender` and `receiver` say of the stream's encryption."""
    failures: list[CallFailure] = field(default_factory=list)

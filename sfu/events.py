"""What the media core reports: one frozen dataclass per event, delivered in batches."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sfu.ids import PublisherHandle, SubscriberHandle, TransportHandle


@dataclass(frozen=True, slots=True)
class IceValidated:
    """The first connectivity check with the right password arrived; DTLS may follow."""

    transport: TransportHandle


@dataclass(frozen=True, slots=True)
class DtlsDatagram:
    """A DTLS record from the ICE-validated address."""

    transport: TransportHandle
    datagram: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConsentExpired:
    """No valid check for the consent time (RFC 7675): the peer is gone."""

    transport: TransportHandle


@dataclass(frozen=True, slots=True)
class SourceActive:
    """The first authenticated packet of a source (and RID) was accepted for forwarding."""

    publisher: PublisherHandle
    mid: str
    rid: str | None


@dataclass(frozen=True, slots=True)
class DominantSpeaker:
    """Another publisher of its session is the one who speaks (RFC 6464 levels)."""

    publisher: PublisherHandle


@dataclass(frozen=True, slots=True)
class NotEncrypted:
    """The seal guard dropped packets of a source. At most one event per source and second."""

    publisher: PublisherHandle
    mid: str
    packets: int


class VideoSupply(StrEnum):
    """Whether a subscriber's link carries its video (docs/bandwidth.md)."""

    ENOUGH = "enough"
    SCARCE = "scarce"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class VideoSupplyChanged:
    """What a subscriber's link carries of its video has changed."""

    subscriber: SubscriberHandle
    supply: VideoSupply

    def __post_init__(self) -> None:
        object.__setattr__(self, "supply", VideoSupply(self.supply))


@dataclass(frozen=True, slots=True)
class VideoDemandChanged:
    """Other encodings of a video than before are worth sending: `wanted` by RID, None for the only
    one of a video without RIDs; empty: nobody watches."""

    publisher: PublisherHandle
    mid: str
    wanted: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class CommandFailed:
    """A command conflicted with the core's state. `handle` is the command's main handle."""

    command: str
    handle: int
    reason: str


Event = (
    IceValidated
    | DtlsDatagram
    | ConsentExpired
    | SourceActive
    | DominantSpeaker
    | NotEncrypted
    | VideoSupplyChanged
    | VideoDemandChanged
    | CommandFailed
)

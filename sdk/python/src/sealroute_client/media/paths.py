"""What a media transport looks like from here: its state, the addresses it uses, its losses."""

from dataclasses import dataclass
from typing import Any, Final

from aiortc import RTCDtlsTransport, RTCPeerConnection

NOMINATED: Final = "_nominated"
"""Of aioice's connection: the candidate pair that ICE chose, by component."""
RTP: Final = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """One end of a path."""

    type: str
    address: str
    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class MediaPath:
    """`state`, `ice_state` and `dtls_state` as WebRTC names them. `local` and `remote` are the
    candidates that ICE chose, None before. `offered` are the other end's candidates.
    `connect_ms`: how long ICE and DTLS took."""

    state: str
    ice_state: str
    dtls_state: str
    connect_ms: int | None = None
    local: Candidate | None = None
    remote: Candidate | None = None
    offered: tuple[Candidate, ...] = ()
    packets: int = 0
    """Sent packets of the uplink, received ones of the downlink."""
    packets_lost: int = 0
    round_trip_ms: float | None = None
    """By RTCP, of what is sent."""


def _chosen(one: Any) -> Candidate:
    """aioice's."""
    return Candidate(one.type, one.host, one.port, one.transport.lower())


def _transport(peer: RTCPeerConnection) -> RTCDtlsTransport | None:
    """All m-lines share one."""
    return next((one.receiver.transport for one in peer.getTransceivers()), None)


async def path_of(peer: RTCPeerConnection, connect_s: float | None) -> MediaPath:
    transport = _transport(peer)
    if transport is None:
        return MediaPath(peer.connectionState, peer.iceConnectionState, "new")
    ice = transport.transport
    pair = getattr(ice._connection, NOMINATED).get(RTP)  # noqa: SLF001 - its hook test has it
    figures = await _figures(peer)
    return MediaPath(
        state=peer.connectionState,
        ice_state=ice.state,
        dtls_state=transport.state,
        connect_ms=None if connect_s is None else round(1000 * connect_s),
        local=None if pair is None else _chosen(pair.local_candidate),
        remote=None if pair is None else _chosen(pair.remote_candidate),
        offered=tuple(
            Candidate(one.type, one.ip, one.port, one.protocol.lower())
            for one in ice.getRemoteCandidates()
        ),
        **figures,
    )


async def _figures(peer: RTCPeerConnection) -> dict[str, Any]:
    packets = lost = 0
    round_trips: list[float] = []
    for transceiver in peer.getTransceivers():
        reports = [await transceiver.sender.getStats(), await transceiver.receiver.getStats()]
        for row in (row for report in reports for row in report.values()):
            if row.type == "outbound-rtp":
                packets += row.packetsSent
            elif row.type == "inbound-rtp":
                packets += row.packetsReceived
                lost += max(0, row.packetsLost)
            elif row.type == "remote-inbound-rtp":
                lost += max(0, row.packetsLost)
                if row.roundTripTime is not None:
                    round_trips.append(1000 * row.roundTripTime)
    round_trip_ms = min(round_trips, default=None)
    return {"packets": packets, "packets_lost": lost, "round_trip_ms": round_trip_ms}

"""The totals of one Session since its start."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sealroute_client.session import Session


async def totals(session: "Session", signals_dropped: dict[str, int]) -> dict[str, Any]:
    """As `Session.stats` gives them."""
    links = [link for link in (session.subscribing.downlink, session.relay) if link is not None]
    subscribers = session.subscribers.values()
    return {
        "sent": {i: p.describe() for i, p in session.publishers.items()},
        "received": {
            s.stream_id: {k: {"frames": t.frames, "bytes": t.bytes} for k, t in s.tracks.items()}
            for s in subscribers
        },
        "decrypted": sum(s.state.decrypted for s in subscribers),
        "failed": sum(s.state.failed for s in subscribers),
        "packetsLost": sum([await link.packets_lost() for link in links]),
        "signalsDropped": signals_dropped,
    }

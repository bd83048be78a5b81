"""Why somebody sees or hears nothing: what clients were told and have, and what the server says."""

import asyncio
import logging
import subprocess
import time
from typing import Any

from sealroute_client import Session, Subscriber
from sealroute_client.emitter import Event

from tests.served import Server

logger = logging.getLogger(__name__)


class Reported:
    """What one Session and its Subscribers told their application, and when."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._began_s = time.monotonic()
        self._events: list[str] = []
        session.on("*", self._on_event)

    def _on_event(self, event: Event) -> None:
        about = ", ".join(str(value)[:80] for value in event.detail.values())
        self._events.append(f"{time.monotonic() - self._began_s:.2f} {event.name} {about}")

    def describe(self) -> dict[str, Any]:
        session = self.session
        return {
            "connection": session.connection_id,
            "publishes": session.publishing.publishers and list(session.publishers),
            "knows": sorted(session.streams),
            "downlink": session.subscribing.downlink and session.subscribing.downlink.state,
            "uplink": session.publishing.uplink and session.publishing.uplink.state,
            "watches": [
                {
                    "stream": one.stream_id,
                    "subscriber": one.subscriber_id,
                    "frames": {kind: track.frames for kind, track in one.tracks.items()},
                    "failed": one.state.failed,
                    "streamState": one.stream_state,
                    "connected": one.is_connected.is_set(),
                    "trust": str(one.trust.state),
                }
                for one in session.subscribers.values()
            ],
            "told": self._events[-60:],
        }


async def dump(server: Server, all_reported: list[Reported]) -> str:
    lines = [str(reported.describe()) for reported in all_reported]
    try:
        explained = await asyncio.to_thread(server.explained)
    except (subprocess.TimeoutExpired, ValueError) as error:
        # What was found is not lost because the server says nothing of it.
        return "\n".join([*lines, f"The server explained nothing: {error}"])
    return "\n".join([*lines, *map(str, explained)])


def reasons_of(streams: list[dict[str, Any]], subscriber_id: str, kind: str) -> list[str]:
    """The codes that the server names for one subscription, and for what it carries."""
    return [
        f"{reason['code']} {reason.get('detail') or ''}".strip()
        for stream in streams
        for report in stream["subscribers"]
        if report["subscriberId"] == subscriber_id
        for received in report["received"]
        if received["kind"] == kind
        for reason in received["reasons"]
    ]


Waiting = dict[tuple[Subscriber, str], int]
"""Subscriptions and kinds without new frames, and how many frames had arrived before."""


def is_paused(watching: Subscriber, kind: str) -> bool:
    """The application was told that the connection is too slow for the video."""
    return kind == "video" and watching.stream_state == "paused"


def frames_of(watching: Subscriber) -> dict[str, int]:
    return {kind: track.frames for kind, track in watching.tracks.items()}


async def explain_what_is_paused(server: Server, waiting: Waiting) -> None:
    """The application was told that its link is too slow for the video: the server must give that
    as its reason, unless the video has come back meanwhile."""
    streams = await asyncio.to_thread(server.explained)
    for (watching, kind), before in waiting.items():
        found = reasons_of(streams, watching.subscriber_id, kind)
        has_come = frames_of(watching).get(kind, 0) > before + 3
        logger.warning("paused: %s %s, has come since: %s", watching.stream_id, found, has_come)
        if not has_come and is_paused(watching, kind):
            assert any(code.startswith("bandwidth_estimate") for code in found), found

"""Captions as part of a server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from config.settings import Settings
from sfu.egress.caption_jobs import CaptionEgress
from sfu.egress.captioners import Captioners, zygote_program
from signaling.captions.foreseen import ForeseenCaptions
from signaling.captions.service import CaptionParts, Captions
from signaling.egress.packages import are_installed

NEEDED = ("av", "numpy", "pocketsphinx")
"""What the processes import, and nothing else of the server does."""


def marks_folder(settings: Settings) -> Path:
    return Path(settings.storage.data_dir) / "captions"


def open_captioners(settings: Settings) -> CaptionEgress | None:
    """What captions on this node, if anything may and can."""
    if not settings.captions.enabled or not are_installed(NEEDED, "no captions"):
        return None
    return Captioners(settings.captions, program=zygote_program(settings.captions))


@contextlib.asynccontextmanager
async def running_captions(parts: CaptionParts) -> AsyncIterator[Captions]:
    """Call `Captions.close` while the sessions have media."""
    foreseen = None
    if parts.egress is not None:
        parts.metrics.watch_captions(parts.egress.counters)
        foreseen = ForeseenCaptions(parts.egress.load)
        parts.sessions.on_session.append(foreseen.on_session)
        if parts.settings.preload:
            foreseen.begin()
    captions = Captions(parts)
    keeping_house = asyncio.create_task(captions.keep_house())
    try:
        yield captions
    finally:
        keeping_house.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping_house
        if foreseen is not None:
            await foreseen.close()
        if parts.egress is not None:
            await parts.egress.close()

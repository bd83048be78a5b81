"""The callback service: starts recorder and deliverer with the server and stops them after it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from config.load import ConfigurationError
from config.settings import CallbackSettings
from sfu.target_policy import TargetPolicy, networks
from signaling.callbacks.audience import Bounds
from signaling.callbacks.deliverer import Deliverer, DeliveryLimits
from signaling.callbacks.journal import Journal
from signaling.callbacks.recorder import Recorder
from signaling.callbacks.sender import Sender
from signaling.clock import Clock
from signaling.metrics import Metrics
from signaling.storage.base import Store

_HOUR_MS = 3_600_000
_CLOSE_S = 3.0


def journal_folder(data_dir: Path) -> Path:
    return data_dir / "callbacks"


def target_policy(settings: CallbackSettings) -> TargetPolicy:
    """Errors: `ConfigurationError`."""
    try:
        return TargetPolicy(networks(settings.allowed_networks))
    except ValueError as cause:
        raise ConfigurationError(
            "callbacks.allowed_networks must be space-separated networks such as 10.0.0.0/8"
        ) from cause


def open_sender(settings: CallbackSettings) -> Sender:
    """Errors: `ConfigurationError`."""
    policy = target_policy(settings)
    timeout_s = settings.timeout_ms / 1000
    return Sender(policy, timeout_s=timeout_s, connections=settings.max_in_flight)


@asynccontextmanager
async def running_callbacks(
    settings: CallbackSettings, store: Store, data_dir: Path, clock: Clock, metrics: Metrics
) -> AsyncIterator[Recorder]:
    """Records and delivers inside the block; on exit the recorded events are in the outbox."""
    sender = open_sender(settings)
    now_ms = int(clock.unix_s() * 1000)
    journal = await asyncio.to_thread(Journal, journal_folder(data_dir), now_ms, store.wrapper)
    bounds = Bounds(settings.max_waiting_per_project, settings.give_up_after_h * _HOUR_MS)
    recorder = Recorder(store, journal, clock, metrics, bounds)
    limits = DeliveryLimits(
        in_flight=settings.max_in_flight,
        per_origin=settings.max_in_flight_per_origin,
        timeout_ms=settings.timeout_ms,
        keep_dead_ms=settings.keep_given_up_h * _HOUR_MS,
    )
    deliverer = Deliverer(store, sender, clock, metrics, limits)
    recorder.queue = deliverer.queue
    await store.callbacks.look(now_ms)  # before the first event
    tasks = [asyncio.create_task(part.run()) for part in (recorder, deliverer)]
    try:
        yield recorder
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        recorder.queue = store.callbacks.queue  # nothing new is begun
        await recorder.close(_CLOSE_S)
        await deliverer.close()
        await sender.close()

"""One node with its outbox, in virtual time over a real store."""

import asyncio
import json

from signaling.callbacks.audience import Bounds
from signaling.callbacks.deliverer import Deliverer, DeliveryLimits
from signaling.callbacks.journal import Journal
from signaling.callbacks.recorder import Recorder
from signaling.callbacks.sender import Result, Sent
from signaling.domain.callbacks import Callback
from signaling.domain.effects import Notify
from signaling.domain.projects import new_project
from signaling.domain.session_options import SessionOptions, SessionRecord
from signaling.metrics import Metrics

PROJECT = new_project(random_bytes=bytes(range(44)), now_ms=0)
OTHER = new_project(random_bytes=bytes(range(1, 45)), now_ms=0)
HOUR_MS = 3_600_000
OK = Sent(Result.DELIVERED, 200)
BROKEN = Sent(Result.FAILED, 500)


class Clock:
    """Time that moves when it is told to."""

    def __init__(self):
        self.now_s = 1_700_000_000.0

    def monotonic_s(self):
        return self.now_s

    def unix_s(self):
        return self.now_s


class Receiver:
    """Stands for the applications: what arrived, in order, and what each URL answers."""

    def __init__(self):
        self.arrived = []
        self.tries = []
        self.answers = {}
        self.hanging = set()
        self.released = asyncio.Event()

    async def post(self, project, url, event_id, body, now_s):
        reported = json.loads(body)
        self.tries.append((url, reported["sessionId"], reported["event"]))
        if url in self.hanging:
            await self.released.wait()
        sent = self.answers.get(url, OK)
        if sent.result is Result.DELIVERED:
            self.arrived.append((reported["sessionId"], reported["event"], reported.get("reason")))
        return sent


class World:
    """One node with its outbox; `run` lets it work until nothing is due. `receiver`: what posts."""

    def __init__(self, store, folder, receiver=None, **limits):
        self.store, self.folder = store, folder
        self.clock, self.receiver = Clock(), receiver or Receiver()
        self.bounds = Bounds(1_000, 24 * HOUR_MS)
        self.limits = DeliveryLimits(**limits)
        self.start()

    def start(self):
        self.metrics = Metrics(dict)
        self.journal = Journal(self.folder / "j", int(self.clock.now_s * 1000), self.store.wrapper)
        self.recorder = Recorder(
            self.store, self.journal, self.clock, self.metrics, self.bounds, self.sleep
        )
        self.deliverer = Deliverer(
            self.store, self.receiver, self.clock, self.metrics, self.limits, lambda: 0.5
        )

    async def sleep(self, seconds):
        self.clock.now_s += seconds

    async def register(self, name="c", url="http://app.test/x", group="all", project=PROJECT):
        callback = Callback(name, project.api_key, group, "all", url, 0)
        await self.store.callbacks.add_callback(callback)

    def note(self, session, event="sessionCreated", reason=None, project=PROJECT):
        record = SessionRecord(session, project.api_key, SessionOptions(), 0)
        self.recorder.notify(record, Notify(event, session, reason))

    async def flush(self):
        if self.recorder._spool:
            await self.recorder._flush_when_possible()

    async def run(self):
        await self.flush()
        for _ in range(1_000):
            before = len(self.receiver.tries)
            for _ in range(2):
                await self.deliverer.turn()
                await self.deliverer.idle()
            if len(self.receiver.tries) == before:
                break
        await self.deliverer.idle()

    async def tried(self):
        """Returns once a request is out; the outbox works in a thread of its own."""
        async with asyncio.timeout(5):
            while not self.receiver.tries:  # noqa: ASYNC110 - there is nothing else to wait for
                await asyncio.sleep(0)

    async def abandon(self, deliverer=None):
        """Ends what the deliverer has under way, as a killed process does."""
        abandoned = list((deliverer or self.deliverer)._attempts)
        for task in abandoned:
            task.cancel()
        await asyncio.gather(*abandoned, return_exceptions=True)

    def pass_time(self, seconds):
        self.clock.now_s += seconds

    def count(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"sealroute_{name}", labels) or 0

"""The test call itself: one client of the Python SDK sends, another one receives.

The only module of the server that imports the SDK, which is a package of its own
(`sealroute-client`): import this module only where a call is made.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sealroute_client import (
    Candidate,
    ConnectFailed,
    MediaPath,
    RequestTimeout,
    SealrouteError,
    Session,
    Subscriber,
    events,
    generate_encryption_secret,
    read_counter,
)

from signaling.cli.call_record import CallFailure, CallRecord, MediaRecord, PathRecord
from signaling.cli.call_setup import Invitation

TONE_SAMPLES = 24_000
"""Half a second at 48 kHz: a frequency to within 2 Hz."""
LEAVE_S = 5
"""To leave the session; then the process ends, and with it the connections."""
MIN_SHARE_OF_TONE = 0.5
"""Of the audio's energy: less is noise."""


async def make_call(invitation: Invitation, seconds: float) -> CallRecord:
    """The call, of at most that length. It ends early where it cannot go on."""
    record = CallRecord(seconds)
    secret = generate_encryption_secret()
    sender, receiver = (
        Session(invitation.url, invitation.api_key, invitation.session_id, token, secret)
        for token in invitation.tokens
    )
    call = _Call(sender, receiver, record)
    try:
        await call.run()
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await asyncio.gather(sender.disconnect(), receiver.disconnect())
    return record


@dataclass(slots=True)
class _Call:
    sender: Session
    receiver: Session
    record: CallRecord
    step: str = "signaling"
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    announced: asyncio.Event = field(default_factory=asyncio.Event)
    samples: list[Any] = field(default_factory=list)

    async def run(self) -> None:
        for session in (self.sender, self.receiver):
            session.on(events.ErrorOccurred, self._on_error)
        self.receiver.on(events.StreamCreated, lambda _event: self.announced.set())
        try:
            async with asyncio.timeout(self.record.seconds):
                await self._join()
                await self._exchange()
        except TimeoutError:
            if self.step == "signaling":
                self._fail(ConnectFailed("The server did not answer in time", reason="timeout"))
            elif self.step != "media":
                self._fail(RequestTimeout("The server did not make the stream known in time"))
        except SealrouteError as error:
            self._fail(error)
        await self._take_paths()

    def _on_error(self, event: events.ErrorOccurred) -> None:
        self._fail(event.error)
        self.broken.set()

    def _fail(self, error: Exception) -> None:
        code = str(getattr(error, "code", "internal"))
        reason = str(getattr(error, "reason", ""))
        self.record.failures.append(CallFailure(self.step, code, str(error), reason))

    async def _join(self) -> None:
        # Both at once: each derives its key from the secret first, which takes a second.
        sessions = {"sender": self.sender, "receiver": self.receiver}
        for outcome in await asyncio.gather(
            *(session.connect() for session in sessions.values()), return_exceptions=True
        ):
            if outcome is not None:
                raise outcome
        self.record.joined_ms = {
            name: session.signaling.connect_ms or 0 for name, session in sessions.items()
        }
        codes = {one.verification_code() for one in (self.sender, self.receiver)}
        self.record.codes_are_equal = len(codes) == 1
        self.step = "publish"

    async def _exchange(self) -> None:
        """Until it is broken, or cancelled by the end of the time."""
        publisher = await self.sender.publish(name="sealroute doctor")
        await self.announced.wait()
        self.step = "subscribe"
        before_s = time.monotonic()
        subscriber = await self.receiver.subscribe(publisher.stream_id)
        self.step = "media"
        readers = [
            asyncio.create_task(self._read(kind, frames, before_s))
            for kind, frames in (("audio", subscriber.audio), ("video", subscriber.video))
        ]
        try:
            await self.broken.wait()
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            self._measure(subscriber, before_s)
            self.record.states = {
                "sender": str(publisher.trust.state),
                "receiver": str(subscriber.trust.state),
            }

    async def _read(self, kind: str, frames: AsyncIterator[Any], since_s: float) -> None:
        media, numbers = self.record.media[kind], list[int]()
        async with contextlib.aclosing(frames) as reading:  # type: ignore[type-var]
            async for frame in reading:
                if media.first_ms is None:
                    media.first_ms = _ms_since(since_s)
                media.decoded += 1
                if kind == "audio":
                    self.samples = [*self.samples, _left(frame)][-TONE_SAMPLES // frame.samples :]
                else:
                    numbers.append(read_counter(frame))
                    media.numbers = tuple(numbers)

    def _measure(self, subscriber: Subscriber, since_s: float) -> None:
        for kind, track in subscriber.tracks.items():
            media: MediaRecord = self.record.media[kind]
            media.frames = track.frames
            length_s = time.monotonic() - since_s - (media.first_ms or 0) / 1000
            media.bits_per_s = round(8 * track.bytes / length_s) if length_s > 0 else 0
        if self.samples:
            self.record.media["audio"].tone_hz = _frequency(np.concatenate(self.samples))

    async def _take_paths(self) -> None:
        for session in (self.sender, self.receiver):
            for name, path in (await session.paths()).items():
                self.record.paths[name] = _path(path)


def _ms_since(before_s: float) -> int:
    return round(1000 * (time.monotonic() - before_s))


def _left(frame: Any) -> Any:  # noqa: ANN401 - PyAV's frames have no types
    """One channel's samples."""
    rows = frame.to_ndarray()
    return rows[0] if frame.format.is_planar else rows[0, :: len(frame.layout.channels)]


def _frequency(samples: Any) -> float | None:  # noqa: ANN401 - an array
    """The loudest frequency in Hz; None of silence and noise."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    peak = int(np.argmax(power))
    total = float(power.sum())
    if total == 0 or float(power[max(0, peak - 2) : peak + 3].sum()) < MIN_SHARE_OF_TONE * total:
        return None
    return peak * 48_000 / len(samples)


def _path(path: MediaPath) -> PathRecord:
    pair = ""
    if path.local is not None and path.remote is not None:
        pair = f"{_named(path.local)} → {_named(path.remote)}"
    return PathRecord(
        state=path.state,
        ice_state=path.ice_state,
        dtls_state=path.dtls_state,
        offered=tuple(_address(one) for one in path.offered),
        connect_ms=path.connect_ms,
        pair=pair,
        packets=path.packets,
        lost=path.packets_lost,
        round_trip_ms=path.round_trip_ms,
    )


def _named(one: Candidate) -> str:
    return f"{one.type} {_address(one)}"


def _address(one: Candidate) -> str:
    host = f"[{one.address}]" if ":" in one.address else one.address
    return f"{one.protocol} {host}:{one.port}"

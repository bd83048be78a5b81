"""The Python SDK in this process, as an application uses it: what it is told, and what it plays."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from sealroute_client import Session
from sealroute_client.errors import SealrouteError

from tests.hostile import content
from tests.hostile.call import Problem
from tests.hostile.drivers import tap
from tests.hostile.passed import Passed
from tests.hostile.server import SESSION_ID

KIND = "python"


class PatternVideo(MediaStreamTrack):
    kind = "video"

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first, self._start, self._number = first, time.monotonic(), 0

    async def recv(self) -> Any:
        self._number += 1
        await asyncio.sleep(
            max(0.0, self._start + self._number / content.FRAME_RATE - time.monotonic())
        )
        if self.readyState != "live":
            raise MediaStreamError
        return content.image(self._first + self._number, self._number)


class PatternAudio(MediaStreamTrack):
    kind = "audio"

    def __init__(self, base_hz: int) -> None:
        super().__init__()
        self._base, self._start, self._number = base_hz, time.monotonic(), 0

    async def recv(self) -> AudioFrame:
        self._number += 1
        await asyncio.sleep(max(0.0, self._start + self._number * 0.02 - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        return content.tone(self._base, self._number)


class PythonClient:
    """One Session. `told`: names of what the application heard of, errors by their class."""

    kind = KIND

    def __init__(self, url: str, token: str, secret: str | None, person: content.Person):
        self.person, self.codec = person, "vp8"
        self.told: list[str] = []
        self.problems: list[Problem] = []
        self.changed_s = 0.0
        self.uncoded: list[str] = []
        self.signals: list[dict[str, Any]] = []
        self.played: dict[str, list[content.Seen]] = {}
        self.heard: dict[str, list[content.Seen]] = {}
        self.streams: list[str] = []
        self._session = Session(url, "key", SESSION_ID, token, secret)
        self._session.on("*", self._on_event)
        self._tasks: list[asyncio.Task[None]] = []
        self._publishers: list[Any] = []
        self._subscribers: dict[str, Any] = {}
        self._watched: list[Any] = []

    @property
    def passed(self) -> list[Passed]:
        mine = [tap.received(subscriber) for subscriber in self._watched]
        return [*tap.SENT, *(one for noted in mine for one in noted)]

    def _on_event(self, event: Any) -> None:
        if event.name == "error":
            self._fail(event.detail["error"])
            return
        self.told.append(event.name)
        if event.name == "signal":
            self.signals.append(event.detail)
        if event.name == "streamCreated":
            stream_id = event.detail["stream"]["streamId"]
            self.streams.append(stream_id)
            self._tasks.append(asyncio.create_task(self._watch(stream_id)))

    def _fail(self, error: SealrouteError) -> None:
        self.told.append(type(error).__name__)
        self.problems.append(Problem(error.code, str(error)))

    async def _guarded(self, step: Any) -> Any:
        try:
            return await step
        except SealrouteError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - judged: an application can do nothing with it
            self.told.append(type(error).__name__)
            self.uncoded.append(f"{type(error).__name__}: {error}")
        return None

    async def connect(self) -> bool:
        async def join() -> bool:
            await self._session.connect()
            return True

        return bool(await self._guarded(join()))

    async def publish(self) -> str | None:
        tracks = {
            "audio": PatternAudio(self.person.base_hz),
            "video": PatternVideo(self.person.first),
        }
        publisher = await self._guarded(self._session.publish(**tracks, video_codec=self.codec))
        if publisher is None:
            return None
        self._publishers.append(publisher)
        return str(publisher.stream_id)

    async def unpublish(self) -> None:
        if self._publishers:
            await self._guarded(self._session.unpublish(self._publishers.pop()))

    async def set_secret(self, secret: str, *, immediate: bool = False) -> None:
        await self._guarded(self._session.set_encryption_secret(secret, immediate=immediate))
        self.changed_s = time.monotonic()

    async def signal(self, data: str, to: str | None = None) -> None:
        await self._guarded(self._session.signal(data, type="chat", to=to))

    async def mute(self, muted: bool) -> None:
        await self._guarded(self._publishers[-1].publish_audio(not muted))

    async def unsubscribe(self, stream_id: str) -> None:
        await self._guarded(self._session.unsubscribe(self._subscribers[stream_id]))

    async def prefer_size(self, stream_id: str, width: int, height: int) -> None:
        await self._guarded(self._subscribers[stream_id].set_preferred_resolution((width, height)))

    async def doubt(self) -> None:
        """The Python SDK has nobody who tells it of networks."""

    async def code(self) -> str:
        return str(self._session.verification_code())

    async def is_encrypted(self) -> bool:
        return bool(self._session.is_encrypted)

    async def _watch(self, stream_id: str) -> None:
        subscriber = await self._guarded(self._session.subscribe(stream_id))
        if subscriber is None:
            return
        subscriber.on("*", lambda event: self.told.append(f"subscriber {event.name}"))
        self._subscribers[stream_id] = subscriber
        self._watched.append(subscriber)
        played = self.played.setdefault(stream_id, [])
        heard = self.heard.setdefault(stream_id, [])
        await asyncio.gather(
            self._read(subscriber.video, content.read_image, played),
            self._read(subscriber.audio, content.read_tone, heard),
        )

    async def _read(
        self, frames: Any, read: Callable[[Any], int | None], seen: list[content.Seen]
    ) -> None:
        async for frame in frames:
            number = read(frame)
            seen.append(content.Seen(time.monotonic(), number))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.disconnect()


class PythonDriver:
    kind = KIND

    def __init__(self) -> None:
        tap.install()

    async def client(
        self, url: str, token: str, secret: str | None, person: content.Person
    ) -> PythonClient:
        return PythonClient(url, token, secret, person)

    async def close(self) -> None:
        """Nothing outlives the clients."""

"""Python clients of one process for tests in other languages: a command in, an answer out, each a
line of JSON. They join, publish, and watch every other; what counts is what they decode.

python -m tests.people
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from sealroute_client import Session
from sealroute_client.events import StreamCreated
from sealroute_client.media.sources import open_test_pattern
from sealroute_client.subscriber import Subscriber

SIZE = (256, 144)
"""All of them encode and decode in one process, beside two browsers."""
LOUD = 100
"""Of 32,767: a tone, and not the noise of an encoder."""


class Person:
    """Subscribes to every stream, as an application does, and decodes what comes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.met: dict[str, set[str]] = {}
        self._subscribers: dict[str, Subscriber] = {}
        self._tasks: list[asyncio.Task[None]] = []
        session.on(StreamCreated, lambda event: self._start(self._watch(event.stream)))

    def _start(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def come(self, gap_s: float) -> str:
        await asyncio.sleep(gap_s)
        await self.session.connect()
        source = open_test_pattern(size=SIZE)
        published = await self.session.publish(audio=source.audio, video=source.video)
        return published.stream_id

    async def _watch(self, stream: dict[str, Any]) -> None:
        subscriber = await self.session.subscribe(stream)
        self._subscribers[subscriber.stream_id] = subscriber
        self._start(self._see(subscriber))
        self._start(self._hear(subscriber))

    async def _see(self, subscriber: Subscriber) -> None:
        async for image in subscriber.video:
            if image.to_ndarray(format="gray").std() > 10:  # not black
                self._met(subscriber, "seen")
                return

    async def _hear(self, subscriber: Subscriber) -> None:
        async for audio_frame in subscriber.audio:
            if np.abs(audio_frame.to_ndarray()).max() > LOUD:
                self._met(subscriber, "heard")
                return

    def _met(self, subscriber: Subscriber, what: str) -> None:
        self.met.setdefault(subscriber.stream_id, set()).add(what)

    async def meet(self, streams: set[str], timeout_s: float) -> dict[str, Any] | None:
        """What was missed of the streams, or None."""
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        while missing := {one for one in streams if self.met.get(one) != {"seen", "heard"}}:
            if asyncio.get_running_loop().time() > deadline_s:
                return {"kind": "python", "missing": [self._known_of(one) for one in missing]}
            await asyncio.sleep(0.05)
        return None

    def _known_of(self, stream: str) -> dict[str, Any]:
        subscriber = self._subscribers.get(stream)
        known: dict[str, Any] = {"streamId": stream, "met": sorted(self.met.get(stream, ()))}
        if subscriber is not None:
            known["frames"] = {kind: track.frames for kind, track in subscriber.tracks.items()}
            known["failed"] = subscriber.state.failed
        return known

    async def leave(self) -> None:
        await self.session.disconnect()
        done = await asyncio.gather(*self._tasks, return_exceptions=True)
        failures = [failure for failure in done if isinstance(failure, BaseException)]
        if failures:
            raise failures[0]


class People:
    def __init__(self) -> None:
        self._present: list[Person] = []
        self._streams: list[str] = []

    async def join(self, command: dict[str, Any]) -> list[str]:
        room, secret = command["room"], command["secret"]
        place = (room["url"], room["apiKey"], room["sessionId"])
        self._present = [Person(Session(*place, one["token"], secret)) for one in command["people"]]
        gaps = [one["gapMs"] / 1_000 for one in command["people"]]
        self._streams = await asyncio.gather(
            *(person.come(gap) for person, gap in zip(self._present, gaps, strict=True))
        )
        return self._streams

    async def meet(self, command: dict[str, Any]) -> list[dict[str, Any] | None]:
        timeout_s = command["timeoutMs"] / 1_000
        return await asyncio.gather(
            *(
                person.meet({*command["streams"]} - {own}, timeout_s)
                for person, own in zip(self._present, self._streams, strict=True)
            )
        )

    async def leave(self, _command: dict[str, Any]) -> None:
        present, self._present = self._present, []
        await asyncio.gather(*(person.leave() for person in present))


async def main() -> None:
    people = People()
    verbs = {"join": people.join, "meet": people.meet, "leave": people.leave}
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        try:
            answer = {"answer": await verbs[command["command"]](command)}
        except Exception as error:  # noqa: BLE001 - the other side shows it
            answer = {"error": repr(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    await people.leave({})


if __name__ == "__main__":
    asyncio.run(main())

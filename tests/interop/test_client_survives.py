"""The Python client when `sealroute serve` ends and comes back: it comes back by itself."""

import asyncio
import signal
import time

import pytest
from sealroute_client import Session

from tests.served import NEEDS_THE_MEDIA_CORE, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(120),
    NEEDS_THE_MEDIA_CORE,
]


class Viewer:
    """Subscribes to every stream, as an application does, and counts decrypted frames."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.subscribers = []
        self.tasks = []
        self.events: list[str] = []
        session.on("*", lambda event: self.events.append(event.name))
        session.on("streamCreated", lambda event: self.subscribe(event.detail["stream"]))
        for stream in session.streams.values():
            self.subscribe(stream)

    def subscribe(self, stream) -> None:
        async def run() -> None:
            self.subscribers.append(await self.session.subscribe(stream))

        self.tasks.append(asyncio.create_task(run()))

    @property
    def frames(self) -> int:
        tracks = self.subscribers[-1].tracks if self.subscribers else {}
        return tracks["video"].frames if "video" in tracks else 0


@pytest.mark.parametrize(
    ("end", "down_s", "back_s"),
    [
        pytest.param(signal.SIGKILL, 0.0, 5.0, id="killed"),
        pytest.param(signal.SIGKILL, 24.0, 8.0, id="killed-for-24-s", marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, 0.0, 5.0, id="restarted-as-planned", marks=pytest.mark.long),
    ],
)
async def test_a_server_that_ends_and_comes_back_finds_its_clients_again(
    server, sessions, end, down_s, back_s
) -> None:
    sessions += [await server.join() for _ in range(3)]
    publisher = await sessions[0].publish()
    viewers = [Viewer(session) for session in sessions[1:]]
    await until(lambda: all(viewer.frames > 20 for viewer in viewers), 15)
    before = (publisher.stream_id, sessions[0].connection_id)
    server.process.send_signal(end)
    await server.process.wait()
    await asyncio.sleep(down_s)  # real time: an outage lasts
    await server.serve()
    started = time.monotonic()
    subscribed = [viewer.subscribers[-1] for viewer in viewers]
    await until(
        lambda: all(
            viewer.subscribers[-1] is not old and viewer.frames > 10
            for viewer, old in zip(viewers, subscribed, strict=True)
        ),
        30,
    )
    took_s = time.monotonic() - started
    assert took_s < back_s + 5  # the machine of the tests may be busy; bench/ has the figure
    assert before != (publisher.stream_id, sessions[0].connection_id)
    assert all("sessionReconnected" in viewer.events for viewer in viewers)
    assert all("disconnected" not in viewer.events for viewer in viewers)
    assert all(old.is_ended.is_set() for old in subscribed)
    assert [session.trust.state for session in sessions] == ["keyed"] * 3
    # Nothing is left behind of the connection before: one uplink, or one downlink, each.
    await until(lambda: [len(s._peers._open) for s in sessions] == [1, 1, 1])

"""Subscribe, unsubscribe, publish, unpublish, mute and change of secret in any order, with a server
that is slow, refuses, is silent, loses transports and restarts. On virtual time."""

import asyncio
from collections.abc import Coroutine
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from sealroute_client import SealrouteError, Session, session, subscribing

from tests.unit.client import virtual

SECRETS = ("correct horse battery", "another secret for all", "a third secret for all")
SETTLE_S = 300.0  # longer than all delays after losses together
LATE_S = 120.0


class SessionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = virtual.VirtualLoop()
        self.server = virtual.FakeServer()
        self.peers = virtual.FakePeers()
        self.tasks: list[asyncio.Task[None]] = []
        self.faults: list[str] = []
        self.own = []
        self.watched = []
        self.patches = [
            mock.patch.object(session.secrets, "derive", virtual.derive),
            mock.patch.object(subscribing, "Downlink", virtual.FakeDownlink),
            mock.patch.object(session, "PeerConnections", return_value=self.peers),
        ]
        for patch in self.patches:
            patch.start()
        self.loop.set_exception_handler(lambda _loop, context: self.faults.append(str(context)))

    def run(self, work: Coroutine[None, None, None]) -> None:
        self.loop.run_until_complete(work)

    @initialize()
    def join(self) -> None:
        async def joined() -> None:
            self.session = Session("http://server", "key", "session", "token", SECRETS[0])
            self.session.signaling = self.server
            self.server.session = self.session
            await self.session.connect()
            self.session.encryption._clock = self.loop.time

        self.run(joined())

    def start(self, work: Coroutine[None, None, None]) -> None:
        """An operation of the application; it ends with a result or an error of the SDK."""

        async def guarded() -> None:
            try:
                await work
            except SealrouteError:
                pass
            except BaseException as error:
                self.faults.append(repr(error))
                raise

        async def begin() -> None:
            self.tasks.append(asyncio.create_task(guarded()))
            await asyncio.sleep(0)

        self.run(begin())

    # --- the application -----------------------------------------------------------------

    @rule(video=st.booleans())
    def publish(self, video: bool) -> None:
        async def work() -> None:
            self.own.append(await self.session.publish(video=video))

        self.start(work())

    @rule(choice=st.integers(0, 7))
    def unpublish(self, choice: int) -> None:
        if self.own:
            self.start(self.session.unpublish(self.own.pop(choice % len(self.own))))

    @rule(choice=st.integers(0, 7), kind=st.sampled_from(["audio", "video"]), on=st.booleans())
    def mute(self, choice: int, kind: str, on: bool) -> None:
        if self.own:
            publisher = self.own[choice % len(self.own)]
            set_sending = publisher.publish_audio if kind == "audio" else publisher.publish_video
            self.start(set_sending(on))

    @rule(name=st.sampled_from(["stream-1", "stream-2"]))
    def subscribe(self, name: str) -> None:
        async def work() -> None:
            self.watched.append(await self.session.subscribe(name))

        self.start(work())

    @rule(choice=st.integers(0, 7))
    def unsubscribe(self, choice: int) -> None:
        if self.watched:
            self.start(self.session.unsubscribe(self.watched.pop(choice % len(self.watched))))

    @rule(text=st.sampled_from(SECRETS), immediate=st.booleans())
    def change_secret(self, text: str, immediate: bool) -> None:
        async def work() -> None:
            await self.session.set_encryption_secret(text, immediate=immediate)
            if immediate:
                hint = (await virtual.derive(text, "session")).hint
                for publisher in self.session.publishers.values():
                    for track in publisher.tracks:
                        if track.encryptor.kid & 0xFFFF != hint:
                            self.faults.append("a frame could leave under the old secret")

        self.start(work())

    # --- the server and the network ------------------------------------------------------

    @rule(latency_ms=st.sampled_from([0, 10, 50, 400, 3_000]))
    def network(self, latency_ms: int) -> None:
        self.server.latency_s = latency_ms / 1000

    @rule(how=st.sampled_from(["refusal", "silence"]), times=st.integers(1, 3))
    def fail(self, how: str, times: int) -> None:
        self.server.failing = [how] * times

    @rule(direction=st.sampled_from(["uplink", "downlink"]))
    def lose(self, direction: str) -> None:
        self.on_loop(lambda: self.server.lose(direction))

    @rule()
    def restart(self) -> None:
        self.on_loop(self.server.restart)

    @rule(name=st.sampled_from(["stream-1", "stream-2"]))
    def toggle_stream(self, name: str) -> None:
        self.on_loop(lambda: self.server.toggle_stream(name))

    @rule(text=st.sampled_from(SECRETS))
    def announce(self, text: str) -> None:
        async def work() -> None:
            self.server.announce((await virtual.derive(text, "session")).hint)

        self.run(work())

    @rule(milliseconds=st.sampled_from([1, 30, 100, 700, 6_000]))
    def wait(self, milliseconds: int) -> None:
        self.run(asyncio.sleep(milliseconds / 1000))

    def on_loop(self, step) -> None:
        async def work() -> None:
            step()

        self.run(work())

    # --- the end -------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if hasattr(self, "session"):
                self.settle()
        finally:
            for patch in self.patches:
                patch.stop()
            self.loop.set_exception_handler(lambda _loop, _context: None)
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                self.run(asyncio.wait(left))
            self.loop.close()

    def settle(self) -> None:
        self.server.failing, self.server.latency_s = [], 0.05
        self.run(asyncio.sleep(SETTLE_S))
        assert all(task.done() for task in self.tasks), "an operation has no result"
        self.on_loop(self.session.recovery.resume)
        self.run(asyncio.sleep(SETTLE_S))
        self.check_streams()
        self.check_secrets()
        links = (self.session.publishing.uplink, self.session.subscribing.downlink)
        in_use = {link._peer for link in links if link is not None}
        assert self.peers.open_peers == in_use, "a transport that nobody uses is open"
        self.run(self.session.disconnect())
        self.run(asyncio.sleep(LATE_S))
        assert self.peers.open_peers == set(), "a transport was left open"
        assert self.session._tasks.running == set()
        assert self.faults == []
        assert self.server.faults == []

    def check_streams(self) -> None:
        assert set(self.session.publishers) == self.server.published
        assert set(self.session.subscribers) == set(self.server.subscribed)
        for name, subscriber in self.session.subscribers.items():
            assert subscriber.stream_id == self.server.subscribed[name]
            assert set(subscriber.tracks) == {"audio", "video"}, "a stream stays black"
            assert all(track.tap.take is not None for track in subscriber.tracks.values())
        for subscriber in self.watched:
            is_there = subscriber in self.session.subscribers.values()
            assert is_there != subscriber.is_ended.is_set()
        owners = [id(t.tap) for s in self.session.subscribers.values() for t in s.tracks.values()]
        assert len(owners) == len(set(owners)), "one m-line has two owners"

    def check_secrets(self) -> None:
        encryption = self.session.encryption
        assert encryption.sending is encryption.current
        for publisher in self.session.publishers.values():
            for track in publisher.tracks:
                assert track.encryptor.kid & 0xFFFF == encryption.current.hint
                assert track.old_kids == []
                assert track.is_muted == publisher.is_muted(track.kind)


SessionMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
TestSessionMachine = SessionMachine.TestCase

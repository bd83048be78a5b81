"""A secret that is set while the session is being joined, and two that are set at once."""

import asyncio
from argparse import Namespace
from typing import Any
from unittest import mock

import pytest
from sealroute_client import NotConnected, SealrouteError, Session, session
from sealroute_client.cli_run import Run
from sealroute_client.e2ee.secret import SessionSecret
from sealroute_client.e2ee.trust import SessionTrust
from sealroute_client.errors import EncryptionSecretMissing

from tests.unit.client import virtual

OLD, NEW = "correct horse battery", "another secret for all"


class Deriving:
    """Derivations end when the test says so."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.begun: list[str] = []

    async def derive(self, text: str, session_id: str) -> SessionSecret:
        self.begun.append(text)
        if text in self.gates:
            await self.gates[text].wait()
        return await virtual.derive(text, session_id)


class Server(virtual.FakeServer):
    """Holds the welcome back, and keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.latency_s = 0.0
        self.may_welcome = asyncio.Event()
        self.is_read = False
        self.seen: list[tuple[str, dict[str, Any]]] = []

    async def connect(self) -> dict[str, Any]:
        await self.may_welcome.wait()
        return self.welcome()

    def start_reading(self) -> None:
        self.is_read = True

    async def request(self, kind: str, **members: Any) -> dict[str, Any]:
        self.seen.append((kind, members))
        return await super().request(kind, **members)


@pytest.fixture
def deriving():
    made = Deriving()
    with (
        mock.patch.object(session.secrets, "derive", made.derive),
        mock.patch.object(session, "PeerConnections", return_value=virtual.FakePeers()),
    ):
        yield made


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def joining(secret: str | None) -> tuple[Session, Server]:
    made, server = Session("http://server", "key", "session", "token", secret), Server()
    made.signaling = server  # type: ignore[assignment]
    server.session = made
    return made, server


async def holds(one: Session, text: str) -> bool:
    assert one.encryption is not None
    wanted = await virtual.derive(text, "session")
    return one.encryption.current.is_same(wanted) and one.encryption.sending.is_same(wanted)


@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize("immediate", [False, True])
async def test_a_secret_that_is_set_before_the_welcome_counts(deriving, before, immediate) -> None:
    one, server = joining(before)
    connecting = asyncio.create_task(one.connect())
    await turns()
    await one.set_encryption_secret(NEW, immediate=immediate)
    server.may_welcome.set()
    await connecting
    assert one.is_encrypted
    assert await holds(one, NEW)
    assert len(one.encryption.ring.hints) == 1
    await one.signal("attack at dawn")
    kind, members = server.seen[-1]
    assert kind == "signal"
    assert "data" not in members
    await one.disconnect()


async def test_one_that_is_set_while_that_is_derived_counts_and_nothing_is_read(deriving) -> None:
    one, server = joining(OLD)
    deriving.gates[NEW] = asyncio.Event()
    connecting = asyncio.create_task(one.connect())
    await turns()
    await one.set_encryption_secret(NEW)
    server.may_welcome.set()
    await turns()
    assert deriving.begun == [OLD, NEW]
    assert not server.is_read
    await one.set_encryption_secret("a third secret for all")
    deriving.gates[NEW].set()
    await connecting
    assert server.is_read
    assert await holds(one, "a third secret for all")
    await one.disconnect()


async def test_trust_without_a_key_is_not_entered(deriving) -> None:
    one, server = joining(OLD)
    with pytest.raises(EncryptionSecretMissing):
        one._enter(server.welcome(), None)
    assert one.connection_id == ""


@pytest.mark.parametrize("state", [SessionTrust.KEYED, SessionTrust.REFUSED])
async def test_what_is_sent_and_subscribed_to_is_decided_by_the_trust(deriving, state) -> None:
    """Not by whether a key is there: without one there is nothing that goes in clear."""
    one, server = joining(OLD)
    server.may_welcome.set()
    await one.connect()
    if state is SessionTrust.REFUSED:
        one.trust.on_welcome(False, "routed")
    one.encryption = None
    seen: list[object] = []
    one.on("signal", seen.append)
    server.seen.clear()
    for work in (one.signal("x"), one.subscribe("stream-1"), one.publish(video=False)):
        with pytest.raises(SealrouteError) as caught:
            await work
        assert caught.value.code == "encryption_internal"
    one._messages.handle({"t": "signalReceived", "from": "peer", "type": "chat", "data": "forged"})
    assert (server.seen, seen) == ([], [])
    await one.disconnect()


async def test_two_changes_take_effect_in_the_order_of_the_calls(deriving) -> None:
    one, server = joining(OLD)
    server.may_welcome.set()
    await one.connect()
    first, second = "the first of two secrets", "the second of two secrets"
    deriving.gates[first] = asyncio.Event()
    changes = [asyncio.create_task(one.set_encryption_secret(s)) for s in (first, second)]
    await turns()
    deriving.gates[first].set()
    await asyncio.gather(*changes)
    wanted = await virtual.derive(second, "session")
    assert one.encryption.current.is_same(wanted)
    await one.disconnect()


@pytest.mark.parametrize("immediate", [False, True])
async def test_of_changes_that_wait_the_newest_alone_is_derived(deriving, immediate) -> None:
    """And one of them that shuts somebody out does so all the same."""
    one, server = joining(OLD)
    server.may_welcome.set()
    await one.connect()
    one.encryption.on_hint("peer", 1)  # not ready: senders follow after 5 s
    first, second, third = (f"secret number {number}" for number in (1, 2, 3))
    deriving.gates[first] = asyncio.Event()
    changes = [asyncio.create_task(one.set_encryption_secret(first))]
    await turns()
    changes += [
        asyncio.create_task(one.set_encryption_secret(second, immediate=immediate)),
        asyncio.create_task(one.set_encryption_secret(OLD)),
        asyncio.create_task(one.set_encryption_secret(third)),
    ]
    await turns()
    assert not any(change.done() for change in changes)
    deriving.gates[first].set()
    await asyncio.gather(*changes)
    assert deriving.begun == [OLD, first, third]
    wanted = await virtual.derive(third, "session")
    assert one.encryption.current.is_same(wanted)
    assert one.encryption.sending.is_same(wanted) == immediate
    await one.disconnect()


async def test_a_change_whose_caller_has_gone_is_made(deriving) -> None:
    one, server = joining(OLD)
    server.may_welcome.set()
    await one.connect()
    deriving.gates[NEW] = asyncio.Event()
    change = asyncio.create_task(one.set_encryption_secret(NEW, immediate=True))
    await turns()
    change.cancel()
    await turns()
    deriving.gates[NEW].set()
    await turns()
    assert await holds(one, NEW)
    await one.disconnect()


async def test_changes_that_a_disconnect_meets_end_with_its_error(deriving) -> None:
    one, server = joining(OLD)
    server.may_welcome.set()
    await one.connect()
    deriving.gates[NEW] = asyncio.Event()
    changes = [asyncio.create_task(one.set_encryption_secret(NEW)) for _ in range(3)]
    await asyncio.sleep(0)  # the first has not even begun
    await one.disconnect()
    ends = await asyncio.gather(*changes, return_exceptions=True)
    assert [type(end) for end in ends] == [NotConnected] * 3


async def test_a_session_that_was_left_takes_no_secret(deriving) -> None:
    one, server = joining(OLD)
    server.may_welcome.set()
    await one.connect()
    deriving.gates[NEW] = asyncio.Event()
    change = asyncio.create_task(one.set_encryption_secret(NEW))
    await turns()
    await one.disconnect()
    deriving.gates[NEW].set()
    with pytest.raises(NotConnected):
        await change
    with pytest.raises(NotConnected):
        await one.set_encryption_secret(NEW)


async def test_a_refused_session_is_not_made_usable_by_a_secret(deriving) -> None:
    one, server = joining(OLD)
    server.may_welcome.set()
    reported = {"sessionId": "session", "e2ee": False, "mediaMode": "routed"}
    lie = server.welcome() | {"session": reported}
    server.welcome = lambda: lie  # type: ignore[method-assign]
    with pytest.raises(SealrouteError):
        await one.connect()
    with pytest.raises(NotConnected):
        await one.set_encryption_secret(NEW)
    assert one.trust.state is SessionTrust.REFUSED


async def test_the_command_while_connecting_reports_the_code_of_the_secret_that_is_used(
    deriving, tmp_path
) -> None:
    one, server = joining(OLD)
    output = mock.Mock()
    run = Run(Namespace(verb="subscribe", duration=None), one, output)
    playing = asyncio.create_task(run.play())
    await turns()
    (tmp_path / "secret").write_text(NEW)
    command = {"command": "setEncryptionSecret", "secretFile": str(tmp_path / "secret")}
    original, is_set = one.set_encryption_secret, asyncio.Event()

    async def set_it(secret: str, *, immediate: bool) -> None:
        await original(secret, immediate=immediate)
        is_set.set()

    one.set_encryption_secret = set_it  # type: ignore[method-assign]
    setting = asyncio.create_task(run._set_secret(command))
    await is_set.wait()
    server.may_welcome.set()
    await setting
    code = (await virtual.derive(NEW, "session")).verification_code()
    output.line.assert_any_call("encryptionSecretSet", verificationCode=code)
    run.leave.set()
    await playing
    await run.finish()

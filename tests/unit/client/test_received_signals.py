"""Signals that are not delivered are counted and told, and told no more often than is of use."""

from unittest import mock

import pytest
from sealroute_client import Session, events, session
from sealroute_client.e2ee.secret import SessionSecret
from sealroute_client.e2ee.signals import SignalContent, SignalEncryptor
from sealroute_client.server_messages import MAX_DEPARTED

from tests.unit.client import virtual

SECRET = "correct horse battery"


class Listener:
    """An application, and the other member, who encrypts."""

    def __init__(self, one: Session, secret: SessionSecret) -> None:
        self.one, self._secret = one, secret
        self._encryptor = SignalEncryptor(virtual.PEER)
        self.seen: list[str] = []
        self.errors: list[str] = []
        self.archives: list[events.ArchiveStarted | events.ArchiveStopped] = []
        one.on(events.SignalReceived, lambda event: self.seen.append(event.data))
        one.on(events.ArchiveStarted, self.archives.append)
        one.on(events.ArchiveStopped, self.archives.append)
        one.on(events.ErrorOccurred, lambda event: self.errors.append(event.error.code))

    def encrypted(self, to: str = "", data: str = "hello", type_: str = "chat") -> bytes:
        made = self._encryptor.encrypt(self._secret, SignalContent(to, type_, data))
        assert made is not None
        return made

    def take(self, **members: object) -> None:
        self.one._messages.handle({"t": "signalReceived", **members})

    def take_notice(self, what: str, data: str) -> None:
        encrypted = self.encrypted(data=data, type_=what)
        self.take(**{"from": virtual.PEER}, encrypted=encrypted)

    @property
    def dropped(self) -> dict[str, int]:
        return dict(self.one._messages.signals.dropped)


@pytest.fixture
async def listener():
    one, server = Session("http://server", "key", "session", "token", SECRET), virtual.FakeServer()
    one.signaling, server.session = server, one  # type: ignore[assignment]
    server.latency_s = 0.0
    with (
        mock.patch.object(session.secrets, "derive", virtual.derive),
        mock.patch.object(session, "PeerConnections", return_value=virtual.FakePeers()),
    ):
        await one.connect()
    yield Listener(one, await virtual.derive(SECRET, "session"))
    await one.disconnect()


STRANGE, UNDECRYPTED = "unexpected_server_response", "encryption_secret_mismatch"
ROUNDS = 15
"""Fewer than the keys that are derived in a second for one sender."""
DROPPED = {
    "clear": ({"from": virtual.PEER, "type": "chat", "data": "x"}, "clear", STRANGE),
    "of nobody": ({"from": "nobody"}, "strayed", STRANGE),
    "of no sender": ({"from": None}, "strayed", STRANGE),
    "for another": ({"from": virtual.PEER, "to": "another"}, "strayed", STRANGE),
    "as one's own": ({"from": virtual.ME}, "undecrypted", UNDECRYPTED),
    "changed": ({"from": virtual.PEER, "change": True}, "undecrypted", UNDECRYPTED),
    "empty": ({"from": virtual.PEER, "encrypted": b""}, "undecrypted", UNDECRYPTED),
    "too large": ({"from": virtual.PEER, "encrypted": bytes(16_385)}, "misshapen", STRANGE),
}


@pytest.mark.parametrize("name", DROPPED)
async def test_what_is_dropped_is_counted_and_reported_with_its_code(listener, name) -> None:
    members, reason, code = DROPPED[name]
    for _ in range(ROUNDS):
        reported = {name: value for name, value in members.items() if name in ("from", "data")}
        if "data" not in members:
            made = bytearray(listener.encrypted(str(members.get("to", ""))))
            made[-1] ^= bool(members.get("change"))
            reported["encrypted"] = members.get("encrypted", bytes(made))
        listener.take(**reported)
    assert listener.dropped == {reason: ROUNDS}
    assert listener.errors == [code]
    assert listener.seen == []
    listener.take(**{"from": virtual.PEER}, encrypted=listener.encrypted(data="still heard"))
    assert listener.seen == ["still heard"]
    assert (await listener.one.stats())["signalsDropped"] == {reason: ROUNDS}


async def test_a_signal_that_came_before_is_counted_and_not_reported(listener) -> None:
    """After a resume an honest server may send one again."""
    encrypted = listener.encrypted()
    for _ in range(3):
        listener.take(**{"from": virtual.PEER}, encrypted=encrypted)
    assert (listener.seen, listener.dropped) == (["hello"], {"replayed": 2})
    assert listener.errors == []


async def test_a_server_that_pushes_errors_in_a_loop_is_reported_now_and_then(listener) -> None:
    for number in range(1_000):
        listener.one._messages.handle({"t": "error", "code": "internal", "message": f"no {number}"})
    assert 1 <= len(listener.errors) <= 20


async def test_sender_statistics_are_no_signal_of_the_application(listener) -> None:
    listener.take(
        **{"from": virtual.PEER},
        encrypted=listener.encrypted(data="{}", type_="sealroute-sender-stats"),
    )
    assert (listener.seen, listener.errors, listener.dropped) == ([], [], {})


STARTED, STOPPED = "archiveStarted", "archiveStopped"


async def test_a_member_that_says_that_it_records_is_shown_until_it_stops(listener) -> None:
    for what in (STOPPED, STARTED, STARTED, STOPPED, STOPPED, STARTED):
        listener.take_notice(what, '{"id": "a"}')
    started = events.ArchiveStarted("a", virtual.PEER)
    assert listener.archives == [started, events.ArchiveStopped("a", virtual.PEER), started]
    assert listener.seen == ['{"id": "a"}'] * 6  # signals they are all the same
    assert listener.errors == []


async def test_a_recorder_that_the_server_calls_gone_stopped_by_its_word_alone(listener) -> None:
    listener.take_notice(STARTED, '{"id": "a"}')
    listener.take_notice(STARTED, '{"id": "b"}')
    gone = {
        "t": "connectionDestroyed",
        "connectionId": virtual.PEER,
        "reason": "clientDisconnected",
    }
    listener.one._messages.handle(gone)
    listener.one._messages.handle(gone)
    stopped = [
        events.ArchiveStopped(archive, virtual.PEER, "recorderLeft") for archive in ("a", "b")
    ]
    assert listener.archives[2:] == stopped


async def test_nobody_but_a_member_says_who_records(listener) -> None:
    """The server cannot, nor can the application's server, whose signals are clear."""
    for sender in (virtual.PEER, None):
        listener.take(**{"from": sender}, type=STARTED, data='{"id": "a"}')
    assert listener.archives == []


NO_NOTICES = ("", "a", "null", "[]", "{}", '{"id": 1}', '{"id": ""}', "[" * 8_000, "1" * 5_000)


@pytest.mark.parametrize(
    "data", [*NO_NOTICES, '{"id": "' + "a" * 65 + '"}', '{"id": "' + "a" * 300]
)
async def test_what_is_no_notice_is_a_signal_and_nothing_else(listener, data) -> None:
    listener.take_notice(STARTED, data)
    assert (listener.seen, listener.archives, listener.errors) == ([data], [], [])


async def test_who_is_said_to_come_back_has_the_name_of_who_left(listener) -> None:
    seen: list[object] = []
    listener.one.on(events.ConnectionCreated, lambda event: seen.append(event.connection["data"]))
    left = {"connectionId": "bob", "reason": "clientDisconnected"}
    for data in ("Bob", "Mallory", None):
        bob = {"connectionId": "bob", "creationTime": 1, "data": data}
        listener.one._messages.handle({"t": "connectionCreated", "connection": bob})
        listener.one._messages.handle({"t": "connectionDestroyed", **left})
    assert seen == ["Bob"] * 3


async def test_of_those_who_left_the_last_ones_are_remembered(listener) -> None:
    handle = listener.one._messages.handle
    names = [str(number) for number in range(MAX_DEPARTED + 1)]
    for name in names:
        bob = {"connectionId": name, "creationTime": 1, "data": "before"}
        handle({"t": "connectionCreated", "connection": bob})
        handle({"t": "connectionDestroyed", "connectionId": name, "reason": "clientDisconnected"})
    for name in (names[0], names[1], names[-1]):
        bob = {"connectionId": name, "creationTime": 1, "data": "after"}
        handle({"t": "connectionCreated", "connection": bob})
    found = [
        one["data"] for one in listener.one.connections.values() if one["connectionId"] in names
    ]
    assert found == ["after", "before", "before"]


async def test_a_member_that_says_it_without_end_is_shown_to_make_ten(listener) -> None:
    for number in range(ROUNDS):
        listener.take_notice(STARTED, f'{{"id": "{number}"}}')
    assert [one.id for one in listener.archives] == [str(number) for number in range(10)]

"""What the server makes for a request that nobody waits for any more is given back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock

import pytest
from sealroute_client import NotConnected, RequestTimeout, Session, session, subscribing
from sealroute_client.codec import decode
from sealroute_client.credentials import Credentials
from sealroute_client.errors import EncryptionInternalError
from sealroute_client.rules import REQUEST_TIMEOUT_S
from sealroute_client.signaling import Signaling

from tests.unit.client import virtual

PUBLISHED = {"t": "published", "streamId": "own", "answer": "", "tracks": []}
SUBSCRIBED = {"t": "subscribed", "subscriberId": "one", "streamId": "stream"}
MADE = {
    "publish": (PUBLISHED, {"t": "unpublish", "streamId": "own"}),
    "subscribe": (SUBSCRIBED, {"t": "unsubscribe", "subscriberId": "one"}),
}


class Socket:
    closed = False

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(decode(data))


class Client(Signaling):
    def __init__(self) -> None:
        super().__init__(Credentials("http://server", "key", "session", "token"), {})
        self.socket = Socket()
        self._socket = self.socket  # type: ignore[assignment]
        self._is_up.set()

    def answer(self, message: dict[str, Any]) -> None:
        self._dispatch({**message, "re": 1})

    @property
    def given_back(self) -> list[dict[str, Any]]:
        return [{k: v for k, v in one.items() if k != "id"} for one in self.socket.sent[1:]]


async def out_of_time(client: Client, asked: asyncio.Task[Any], answer: dict[str, Any]) -> None:
    await asyncio.sleep(REQUEST_TIMEOUT_S + 1)
    with pytest.raises(RequestTimeout):
        await asked
    client.answer(answer)


async def cancelled(client: Client, asked: asyncio.Task[Any], answer: dict[str, Any]) -> None:
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    client.answer(answer)


async def cancelled_at_once(
    client: Client, asked: asyncio.Task[Any], answer: dict[str, Any]
) -> None:
    asked.cancel()
    client.answer(answer)
    with pytest.raises(asyncio.CancelledError):
        await asked


async def answered_and_cancelled(
    client: Client, asked: asyncio.Task[Any], answer: dict[str, Any]
) -> None:
    client.answer(answer)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def lost(client: Client, asked: asyncio.Task[Any], answer: dict[str, Any]) -> None:
    """The server took it, and its answer comes over the next socket."""
    client._fail_waiting()
    with pytest.raises(NotConnected):
        await asked
    client.answer(answer)


@pytest.fixture
def loop():
    made = virtual.VirtualLoop()
    yield made
    made.close()


Act = Callable[[Client, "asyncio.Task[Any]", dict[str, Any]], Coroutine[Any, Any, None]]


@pytest.mark.parametrize(
    "act", [out_of_time, cancelled, cancelled_at_once, answered_and_cancelled, lost]
)
@pytest.mark.parametrize("request_kind", MADE)
def test_what_is_made_for_nobody_is_given_back_once(loop, request_kind: str, act: Act) -> None:
    answer, returned = MADE[request_kind]

    async def run() -> Client:
        client = Client()
        asked = asyncio.create_task(client.request(request_kind))
        await asyncio.sleep(0.1)
        await act(client, asked, answer)
        client.answer(answer)
        await asyncio.sleep(0.1)
        return client

    assert loop.run_until_complete(run()).given_back == [returned]


def test_refusals_and_answers_of_a_wrong_shape_give_nothing_back(loop) -> None:
    async def run(late: dict[str, Any]) -> list[dict[str, Any]]:
        client = Client()
        asked = asyncio.create_task(client.request("publish"))
        await asyncio.sleep(0.1)
        await cancelled(client, asked, late)
        await asyncio.sleep(0.1)
        return client.given_back

    refusal = {"t": "error", "code": "x", "name": "OT_X", "number": 1, "message": "no"}
    for late in (refusal, {"t": "published"}, {"t": "ok"}, SUBSCRIBED):
        assert loop.run_until_complete(run(late)) == []


async def test_a_stream_whose_encryption_does_not_start_is_given_back() -> None:
    one = Session("http://server", "key", "session", "token", "correct horse battery")
    server = virtual.FakeServer()
    server.session, server.latency_s = one, 0.0
    one.signaling = server  # type: ignore[assignment]
    with (
        mock.patch.object(session.secrets, "derive", virtual.derive),
        mock.patch.object(subscribing, "Downlink", virtual.FakeDownlink),
        mock.patch.object(session, "PeerConnections", return_value=virtual.FakePeers()),
    ):
        await one.connect()
        failure = EncryptionInternalError("it did not start")
        with (
            mock.patch.object(one.encryption, "activate", side_effect=failure),
            pytest.raises(EncryptionInternalError),
        ):
            await one.publish()
        async with asyncio.timeout(10):
            while server.published:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert one.publishers == {}
        await one.disconnect()

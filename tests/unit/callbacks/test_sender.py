"""One attempt against real receivers on this machine."""

import asyncio

import aiohttp
import pytest
import vonage_jwt
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.ports import free_port
from sfu.target_policy import TargetPolicy, networks
from signaling.callbacks.sender import Result, Sender, Sent
from signaling.domain.callbacks import signature_secret
from signaling.domain.projects import new_project

PROJECT = new_project(random_bytes=bytes(range(44)), now_ms=0)
LOCAL = TargetPolicy(networks("127.0.0.0/8"))


class Receiver:
    """Answers by path."""

    def __init__(self):
        self.seen = []

    async def handle(self, request):
        self.seen.append((request.path, dict(request.headers), await request.read()))
        return await getattr(self, request.path.strip("/"))(request)

    async def fine(self, request):
        return web.Response(status=204)

    async def accepted(self, request):
        return web.Response(status=202, text="thanks")

    async def denied(self, request):
        return web.Response(status=404)

    async def broken(self, request):
        return web.Response(status=503)

    async def moved(self, request):
        raise web.HTTPFound("/fine")

    async def slow(self, request):
        await asyncio.sleep(30)

    async def cookie(self, request):
        answer = web.Response()
        answer.set_cookie("a", "b")
        return answer

    async def endless(self, request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x" * 65_536)
        except (ConnectionError, aiohttp.ClientError):
            pass
        return answer


@pytest.fixture
async def receiver():
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path}", made.handle)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    made.url = f"http://127.0.0.1:{server.port}"
    yield made
    await server.close()


@pytest.fixture
async def sender():
    made = Sender(LOCAL, timeout_s=0.5, connections=4)
    yield made
    await made.close()


def post(sender, url, body=b"{}"):
    return sender.post(PROJECT, url, "event-1", body, 1_700_000_000)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/fine", Sent(Result.DELIVERED, 204)),
        ("/accepted", Sent(Result.DELIVERED, 202)),
        ("/denied", Sent(Result.REFUSED, 404)),
        ("/broken", Sent(Result.FAILED, 503)),
        ("/moved", Sent(Result.REDIRECTED, 302)),
        ("/slow", Sent(Result.TIMEOUT)),
        ("/endless", Sent(Result.DELIVERED, 200)),
    ],
)
async def test_every_answer_has_its_meaning(receiver, sender, path, sent):
    assert await post(sender, receiver.url + path) == sent
    assert [seen[0] for seen in receiver.seen] == [path]


async def test_the_receiver_knows_who_called_and_what_for(receiver, sender):
    await post(sender, receiver.url + "/fine", b'{"event":"x"}')
    _, headers, body = receiver.seen[0]
    assert body == b'{"event":"x"}'
    assert headers["Content-Type"] == "application/json"
    assert headers["Sealroute-Event-Id"] == "event-1"
    token = headers["Authorization"].removeprefix("Bearer ")
    assert vonage_jwt.verify_signature(token, signature_secret(PROJECT)) is True


async def test_a_receiver_cannot_leave_anything_with_us(receiver, sender):
    await post(sender, receiver.url + "/cookie")
    await post(sender, receiver.url + "/fine")
    assert "Cookie" not in receiver.seen[1][1]


async def test_nobody_there_and_no_tls_there_are_distinguished(receiver, sender):
    assert await post(sender, f"http://127.0.0.1:{free_port()}/") == Sent(Result.UNREACHABLE)
    tls = receiver.url.replace("http:", "https:")
    assert await post(sender, tls + "/fine") == Sent(Result.TLS)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "0.0.0.0"])
async def test_no_spelling_of_this_machine_gets_around_the_policy(receiver, host):
    sender = Sender(TargetPolicy(), timeout_s=2, connections=1)
    port = receiver.url.rpartition(":")[2]
    sent = await post(sender, f"http://{host}:{port}/fine")
    await sender.close()
    # Whether a resolver takes a bare number for an address differs between systems.
    assert sent.result is Result.FORBIDDEN or (host.isdigit() and sent == Sent(Result.UNREACHABLE))
    assert receiver.seen == []


@pytest.mark.parametrize(
    "url", ["http://[v1.x]/", "http://a.test:port/", "http://%zz/", "http://."]
)
async def test_a_url_that_cannot_be_called_is_unreachable(sender, url):
    assert (await post(sender, url)).result in (Result.UNREACHABLE, Result.FORBIDDEN)

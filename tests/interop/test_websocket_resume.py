"""A client that lost its WebSocket comes back over a real one, or is gone after a while."""

import asyncio

import pytest

from tests.websocket_site import greet, hello, websocket_site


@pytest.fixture
async def gate(request):
    async with websocket_site(**getattr(request, "param", {})) as made:
        yield made


async def test_a_lost_client_comes_back_and_hears_what_it_missed(gate):
    ada, bob = await gate.connect(), await gate.connect()
    welcome = await hello(ada)
    await hello(bob)
    ada.ws._response.connection.transport.abort()
    await asyncio.sleep(0.05)  # the loss has to reach the server
    await bob.send("signal", type="chat", encrypted=b"are you there?")
    await bob.receive("signalReceived")
    again = await gate.connect()
    resumed = await hello(again, resume=welcome["resume"])
    assert resumed["resumed"] is True
    assert resumed["connection"] == welcome["connection"]
    assert (await again.receive("signalReceived"))["encrypted"] == b"are you there?"


async def test_a_resume_token_ends_when_its_client_has_the_next(gate):
    ada = await gate.connect()
    welcome = await hello(ada)
    again, third = await gate.connect(), await gate.connect()
    await hello(again, resume=welcome["resume"])
    await again.send("ping")
    await again.receive("pong")
    refused = await hello(third, resume=welcome["resume"])
    assert (refused["t"], refused["code"]) == ("error", "resume_unknown")


async def test_a_client_whose_welcome_was_lost_comes_back(gate):
    ada = await gate.connect()
    welcome = await hello(ada)
    lost = await gate.connect()
    await greet(lost, resume=welcome["resume"])
    await asyncio.sleep(0.05)  # the server has answered, and the answer is lost
    lost.ws._response.connection.transport.abort()
    again = await hello(await gate.connect(), resume=welcome["resume"])
    assert (again["resumed"], again["connection"]) == (True, welcome["connection"])


async def test_a_connection_that_is_taken_up_again_and_again_has_to_wait(gate):
    """Each time costs a whole welcome."""
    client = await gate.connect()
    latest = await hello(client)
    for _ in range(10):
        client = await gate.connect()
        latest = await hello(client, resume=latest["resume"])
        assert latest["resumed"] is True
    refused = await hello(await gate.connect(), resume=latest["resume"])
    assert (refused["t"], refused["code"]) == ("error", "overloaded")
    await client.send("ping")
    assert (await client.receive())["t"] == "pong", "it stays as it is"


async def test_nobody_hears_of_a_client_that_comes_back_too_late(gate):
    ada, late = await gate.connect(), await gate.connect()
    await hello(ada)
    refused = await hello(late, resume="of a server that was restarted")
    assert (refused["t"], refused["code"]) == ("error", "resume_unknown")
    await ada.send("ping")
    assert (await ada.receive())["t"] == "pong", "nothing was told before"
    again = await gate.connect()
    assert (await hello(again))["resumed"] is False, "who asks for no resume joins at once"


async def test_a_lost_client_leaves_after_the_grace_time(gate):
    ada, bob = await gate.connect(), await gate.connect()
    gone = await hello(ada)
    await hello(bob)
    ada.ws._response.connection.transport.abort()
    destroyed = await bob.receive("connectionDestroyed")
    assert destroyed["connectionId"] == gone["connection"]["connectionId"]
    assert destroyed["reason"] == "networkDisconnected"

"""Why is it black? Real calls through a running server, one cause at a time."""

import asyncio
import socket
import struct
from contextlib import suppress

import aiohttp
import pytest

from bench.client import ClientError, LoadClient, new_kid
from bench.peer import TransportJob
from bench.sdp import VP8_PAYLOAD_TYPE
from sfu._native import SrtpSession
from tests.served import NEEDS_THE_MEDIA_CORE, subscribed, until

pytestmark = [
    pytest.mark.interop,
    NEEDS_THE_MEDIA_CORE,
]

SSRC = 0x1234
KEY_FRAME = b"\x10\x02\x00\x9d\x01\x2a\x80\x02\x68\x01"
LATER_FRAME = b"\x11"
FRAMES_PER_S = 25


async def explained(server) -> dict:
    """The stream, as `sealroute doctor session` has it."""
    (stream,) = await asyncio.to_thread(server.explained)
    return stream


async def becomes(server, expected: list[list[str]]) -> None:
    """On a busy machine clients answer late, and are first explained by that."""
    for _ in range(6):
        found = codes(await explained(server))
        if found == expected:
            return
    assert found == expected


def codes(stream: dict, kind: str = "video") -> list[list[str]]:
    """By subscriber, those that subscribed first."""
    received = [
        one for report in stream["subscribers"] for one in report["received"] if one["kind"] == kind
    ]
    assert all(reason["message"].endswith(".") for one in received for reason in one["reasons"])
    return [[reason["code"] for reason in one["reasons"]] for one in received]


class Camera:
    """Sends VP8 as it is told, over an uplink that a load client brought up."""

    def __init__(self, job: TransportJob, kid: bytes) -> None:
        keys = job.srtp
        self._encrypt = SrtpSession(
            keys["profile"], bytes.fromhex(keys["local_key"]), bytes.fromhex(keys["local_salt"])
        )
        self._socket = socket.socket(fileno=socket.dup(job.fd))
        self._kid = kid
        self._frame = 0
        self.sends: str | None = None

    async def run(self) -> None:
        while True:
            if self.sends is not None:
                self._socket.send(self._encrypt.protect_rtp(self._packet(self.sends)))
            await asyncio.sleep(1 / FRAMES_PER_S)

    def _packet(self, what: str) -> bytes:
        self._frame += 1
        number = self._frame
        head = struct.pack(
            "!BBHII", 0x80, 0x80 | VP8_PAYLOAD_TYPE, number, number * 90_000 // FRAMES_PER_S, SSRC
        )
        descriptor = b"\x90\xe0" + struct.pack("!HBB", 0x8000 | number, number & 0xFF, 0x20)
        if what == "clear":
            return head + descriptor + KEY_FRAME + bytes(100)
        begin = KEY_FRAME if what == "key frames" else LATER_FRAME
        return head + descriptor + begin + b"\xf1" + self._kid + bytes(100)

    def close(self) -> None:
        self._socket.close()


class Unconnected(LoadClient):
    """Subscribes, and never answers the downlink's offer."""

    async def _answer_downlink(self, offer) -> None:
        """Its network lets nothing pass."""


async def join(server, client: LoadClient) -> LoadClient:
    await client.join(server.url, server.api_key, server.session_id, await server.token())
    return client


async def test_what_the_publisher_sends_or_does_not_send_is_reported_by_its_reason(server) -> None:
    async with aiohttp.ClientSession() as http:
        ann, ben, eve = [await join(server, LoadClient(http)) for _ in range(3)]
        kid = new_kid()
        stream, uplink = await ann.publish("video", SSRC, kid)
        await ben.subscribe([stream])
        camera = Camera(uplink, kid)
        sending = asyncio.create_task(camera.run())
        try:
            await becomes(server, [["publisher_silent"], ["not_subscribed"]])
            camera.sends = "later frames"
            await becomes(server, [["no_key_frame"], ["not_subscribed"]])
            camera.sends = "key frames"
            await becomes(server, [["best_available"], ["not_subscribed"]])
            camera.sends = "clear"
            reported = await explained(server)
            assert "not_encrypted" in codes(reported)[0]
            assert reported["unencryptedPackets"] > 0
        finally:
            sending.cancel()
            camera.close()
            await asyncio.gather(*(one.leave() for one in (ann, ben, eve)))


async def test_a_subscriber_whose_network_lets_nothing_pass_gets_that_reason(server) -> None:
    async with aiohttp.ClientSession() as http:
        ann = await join(server, LoadClient(http))
        ben = await join(server, Unconnected(http))
        kid = new_kid()
        stream, uplink = await ann.publish("video", SSRC, kid)
        camera = Camera(uplink, kid)
        camera.sends = "key frames"
        sending = asyncio.create_task(camera.run())
        waiting = asyncio.create_task(ben.subscribe([stream]))
        try:
            await asyncio.sleep(0.5)
            await becomes(server, [["not_connected"]])
        finally:
            for task in (sending, waiting):
                task.cancel()
            with suppress(asyncio.CancelledError, ClientError):
                await waiting
            camera.close()
            await asyncio.gather(ann.leave(), ben.leave())


async def test_what_a_publisher_or_a_moderator_switches_off_is_distinguished(server) -> None:
    ann, ben = await server.join(), await server.join()
    try:
        publisher = await ann.publish()
        viewer = await subscribed(ben)
        await until(lambda: viewer.tracks["video"].frames > 5)
        reported = await explained(server)
        assert codes(reported) == codes(reported, "audio") == [["best_available"]]
        await publisher.publish_video(False)
        reported = await explained(server)
        assert (codes(reported), codes(reported, "audio")) == (
            [["muted_by_publisher"]],
            [["best_available"]],
        )
    finally:
        await asyncio.gather(ann.disconnect(), ben.disconnect())

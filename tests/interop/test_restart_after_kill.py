"""A server that is killed and started again on the same ports and data."""

import asyncio
import json
import os
import socket
import sys
import time

import aiohttp
import opentok
import pytest

from bench.ports import free_port
from signaling.administration import DEVELOPMENT_FILE
from tests.served import NEEDS_THE_MEDIA_CORE

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]


class Server:
    """One process at a time, always on the same ports and folder."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.port, self.media_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "signaling", "serve", "--data-dir", str(self.folder)),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--media-host", "127.0.0.1", "--media-port", str(self.media_port)),
            env=os.environ | {"SEALROUTE_STORAGE_DEVELOPMENT_PROJECT": "true"},
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(20):
            async for line in self.process.stdout:
                if b"listens" in line:
                    break
            else:
                raise AssertionError("the server ended")

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


async def hello(http, server, key, session, token, **members):
    ws = await http.ws_connect(f"{server.url}/v1/signal", protocols=("sealroute.v2.json",))
    greeting = {
        "t": "hello",
        "id": 1,
        "apiKey": key,
        "sessionId": session,
        "token": token,
        "sdk": {"name": "test", "version": "1"},
        **members,
    }
    await ws.send_json(greeting)
    return ws, await ws.receive_json(timeout=5)


async def test_after_a_kill_the_same_ports_take_clients_at_once(tmp_path) -> None:
    server = Server(tmp_path)
    await server.start()
    project = json.loads((tmp_path / DEVELOPMENT_FILE).read_text())
    key = project["apiKey"]
    application = opentok.Client(key, project["apiSecret"], api_url=server.url)
    made = await asyncio.to_thread(application.create_session, media_mode=opentok.MediaModes.routed)
    session, token = made.session_id, application.generate_token(made.session_id)
    async with aiohttp.ClientSession() as http:
        _, welcome = await hello(http, server, key, session, token)
        # Connections that are open at the end keep their addresses in the kernel for a minute.
        media = socket.create_connection(("127.0.0.1", server.media_port), 5)
        begin = time.monotonic()
        await server.kill()
        await server.start()
        try:
            late, refused = await hello(http, server, key, session, token, resume=welcome["resume"])
            assert (refused["t"], refused["code"]) == ("error", "resume_unknown")
            assert (await late.receive(timeout=5)).data == 4410
            _, again = await hello(http, server, key, session, token)
            assert again["t"] == "welcome"
            assert len(again["connections"]) == 1, "nobody of before is there"
            assert time.monotonic() - begin < 15
            assert await asyncio.to_thread(application.list_streams, session) is not None
        finally:
            media.close()
            await server.kill()

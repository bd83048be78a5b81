"""Audio Connectors with the four official server SDKs, unmodified, and the official connector
server as the application's end: what a client says is heard there and comes back."""

import asyncio

import pytest
import pytest_asyncio
from vonage_video import models

from bench.ports import free_port
from tests.official import test_archives as sdks
from tests.served import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.asyncio(loop_scope="module"),
    # What an SDK itself uses that its libraries have outgrown.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]
HEADERS = {"X-Bot": "7"}


class OpentokPython(sdks.OpentokPython):
    async def connect(self, session: str, token: str, uri: str) -> dict:
        wanted = {"uri": uri, "headers": HEADERS, "audioRate": 8_000, "bidirectional": True}
        made = await asyncio.to_thread(self.sdk.connect_audio_to_websocket, session, token, wanted)
        return {"id": made.id, "connectionId": made.connectionId}

    async def end(self, session: str, made: dict) -> None:
        await asyncio.to_thread(self.sdk.force_disconnect, session, made["connectionId"])


class VonagePython(sdks.VonagePython):
    async def connect(self, session: str, token: str, uri: str) -> dict:
        socket = models.AudioConnectorWebSocket(
            uri=uri, headers=HEADERS, audio_rate=models.AudioSampleRate.KHZ_8, bidirectional=True
        )
        wanted = models.AudioConnectorOptions(session_id=session, token=token, websocket=socket)
        made = await asyncio.to_thread(self.sdk.start_audio_connector, wanted)
        return {"id": made.id, "connectionId": made.connection_id}

    async def end(self, session: str, made: dict) -> None:
        await asyncio.to_thread(self.sdk.disconnect_client, session, made["connectionId"])


class OpentokNode(sdks.OpentokNode):
    async def connect(self, session: str, token: str, uri: str) -> dict:
        wanted = {"headers": HEADERS, "bidirectional": True}
        return await self.sdk.call("websocketConnect", session, token, uri, wanted)

    async def end(self, session: str, made: dict) -> None:
        await self.sdk.call("forceDisconnect", session, made["connectionId"])


class VonageNode(sdks.VonageNode):
    async def connect(self, session: str, token: str, uri: str) -> dict:
        wanted = {"uri": uri, "headers": HEADERS, "audioRate": 8_000, "bidirectional": True}
        return await self.sdk.call("connectToWebsocket", session, token, wanted)

    async def end(self, session: str, made: dict) -> None:
        await self.sdk.call("disconnectWebsocket", made["id"])


FRAME_BYTES = {OpentokPython: 320, VonagePython: 320, OpentokNode: 640, VonageNode: 320}
"""npm opentok sends no `audioRate`."""


class Application:
    """The official connector server: it sends back what it hears."""

    def __init__(self) -> None:
        self.connections: list = []
        self.messages: list = []
        self.left = 0

    async def open(self) -> str:
        from audio_connector_sdk.vonage_video import Video
        from audio_connector_sdk.vonage_video.models import AudioConnectorServerConfig

        port = free_port()
        config = AudioConnectorServerConfig(
            host="127.0.0.1", port=port, on_connect=self._on_connect
        )
        self.server = await Video().start_audio_connector_server(config)
        return f"ws://127.0.0.1:{port}/bot"

    async def _on_connect(self, connection) -> None:
        self.connections.append(connection)

        async def on_message(message) -> None:
            self.messages.append(message)
            if isinstance(message, bytes):
                await connection.send_audio_buffer(message, bytes_per_sample=len(message))

        async def on_disconnect() -> None:
            self.left += 1
            connection.disconnect()

        connection.set_handler(on_message=on_message, on_disconnect=on_disconnect)

    async def flushed(self) -> None:
        """Asks until it is confirmed: that is so only where something waited to be played."""
        async with asyncio.timeout(10):
            while '{"event": "websocket:cleared"}' not in self.messages:
                await self.connections[0].flush_buffer()
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self.server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def application():
    pytest.importorskip("audio_connector_sdk", reason="NOT CHECKED: the official server is missing")
    made = Application()
    yield made
    await made.close()


@pytest.mark.parametrize("kind", [OpentokPython, VonagePython, OpentokNode, VonageNode])
async def test_a_session_is_connected_to_an_official_connector_server(
    stage, application, monkeypatch, kind
):
    uri = await application.open()
    sdk = kind()
    name = await sdk.open(stage, monkeypatch)
    session, token = await sdk.session()
    live = await stage.enter(name, session, token, encrypted=False)
    made = await sdk.connect(session, token, uri)
    await until(lambda: application.connections)
    info = application.connections[0].info()
    assert (info.sessionId, info.connectionId) == (session, made["connectionId"])
    assert (info.conferenceId, info.customHeaders["x-bot"]) == (made["id"], "7")
    await until(lambda: any(isinstance(one, bytes) for one in application.messages))
    sizes = {len(one) for one in application.messages if isinstance(one, bytes)}
    assert sizes == {FRAME_BYTES[kind]}
    await until(lambda: len(live.bob.streams) == 2)
    echo = next(one for key, one in live.bob.streams.items() if key != live.stream_id)
    assert echo["connectionId"] == made["connectionId"]
    await application.flushed()
    await sdk.end(session, made)
    await until(lambda: made["connectionId"] not in live.bob.connections)
    await until(lambda: application.left == 1)
    await sdk.close()

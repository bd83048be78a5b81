"""SIP calls with the four official server SDKs, unmodified, to a real SIP server that wants a
password and hears the digits."""

import asyncio

import pytest
import pytest_asyncio
from vonage_video import models

from tests.official import test_audio_connector as sdks
from tests.served import until
from tests.sipp import NEEDS_SIPP, PASSWORD, USER, Sipp, answers

pytestmark = [
    pytest.mark.interop,
    pytest.mark.asyncio(loop_scope="module"),
    # What an SDK itself uses that its libraries have outgrown.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_SIPP,
]
AUTH = {"username": USER, "password": PASSWORD}
HEADERS = {"X-Room": "7"}
CALLER = "15551234@example.com"


class OpentokPython(sdks.OpentokPython):
    async def dial(self, session: str, token: str, uri: str) -> dict:
        options = {"from": CALLER, "headers": HEADERS, "auth": AUTH}
        made = await asyncio.to_thread(self.sdk.dial, session, token, uri, options)
        return {"id": made.id, "connectionId": made.connectionId, "streamId": made.streamId}

    async def press(self, session: str, call: dict) -> None:
        await asyncio.to_thread(self.sdk.play_dtmf, session, call["connectionId"], "5#")


class VonagePython(sdks.VonagePython):
    async def dial(self, session: str, token: str, uri: str) -> dict:
        auth = models.SipAuth(**AUTH)
        sip = models.SipOptions(uri=uri, from_=CALLER, headers=HEADERS, auth=auth)
        wanted = models.InitiateSipRequest(session_id=session, token=token, sip=sip)
        made = await asyncio.to_thread(self.sdk.initiate_sip_call, wanted)
        return {"id": made.id, "connectionId": made.connection_id, "streamId": made.stream_id}

    async def press(self, session: str, call: dict) -> None:
        await asyncio.to_thread(self.sdk.play_dtmf, session, "5#", call["connectionId"])


class OpentokNode(sdks.OpentokNode):
    async def dial(self, session: str, token: str, uri: str) -> dict:
        options = {"from": CALLER, "headers": HEADERS, "auth": AUTH}
        return await self.sdk.call("dial", session, token, uri, options)

    async def press(self, session: str, call: dict) -> None:
        await self.sdk.call("playDTMF", session, call["connectionId"], "5#")

    async def end(self, session: str, made: dict) -> None:
        await self.sdk.call("forceDisconnect", session, made["connectionId"])


class VonageNode(sdks.VonageNode):
    async def dial(self, session: str, token: str, uri: str) -> dict:
        sip = {"uri": uri, "from": CALLER, "headers": HEADERS, "auth": AUTH}
        return await self.sdk.call("initiateSIPCall", session, {"token": token, "sip": sip})

    async def press(self, session: str, call: dict) -> None:
        await self.sdk.call("playDTMF", session, "5#", call["connectionId"])

    async def end(self, session: str, made: dict) -> None:
        await self.sdk.call("disconnectClient", session, made["connectionId"])


@pytest_asyncio.fixture(loop_scope="module")
async def server(tmp_path):
    one = Sipp(tmp_path / "sipp", answers(algorithm="MD5", digits=2))
    await one.open()
    yield one
    await one.close()


@pytest.mark.parametrize("kind", [OpentokPython, VonagePython, OpentokNode, VonageNode])
async def test_a_telephone_is_called_hears_digits_and_is_hung_up(stage, monkeypatch, server, kind):
    sdk = kind()
    name = await sdk.open(stage, monkeypatch)
    session, token = await sdk.session()
    live = await stage.enter(name, session, token, encrypted=False)
    call = await sdk.dial(session, token, server.uri)
    await until(lambda: call["connectionId"] in live.bob.connections)
    await until(lambda: call["streamId"] in live.bob.streams, 20)
    await sdk.press(session, call)
    await until(lambda: "Signal=#" in server.messages, 20)
    await sdk.end(session, call)
    await until(lambda: call["connectionId"] not in live.bob.connections)
    assert await server.over() == 0
    assert "X-Room: 7" in server.messages
    assert f"From: <sip:{CALLER}>" in server.messages
    await sdk.close()

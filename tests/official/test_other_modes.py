"""The legacy SDKs in their mode for unified applications, with a key pair instead of a secret."""

import asyncio

import opentok
import pytest
from opentok.endpoints import Endpoints

from tests.official.node_sdk import start_node_sdk
from tests.served import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


async def test_pypi_opentok_with_an_application(stage, tmp_path):
    key = tmp_path / "private.key"
    key.write_text(stage.private_pem)
    sdk = opentok.Client(stage.application_id, str(key))
    # In this mode the SDK ignores `api_url`.
    sdk.endpoints = Endpoints(stage.url, sdk.api_key)
    made = await asyncio.to_thread(
        sdk.create_session, media_mode=opentok.MediaModes.routed, e2ee=True
    )
    token = sdk.generate_token(made.session_id, role=opentok.Roles.publisher)
    if isinstance(token, bytes):
        token = token.decode()
    live = await stage.enter(stage.application_id, made.session_id, token, encrypted=True)
    payload = {"type": "chat", "data": "hello"}
    await asyncio.to_thread(sdk.send_signal, made.session_id, payload)
    await until(lambda: live.seen)
    streams = await asyncio.to_thread(sdk.list_streams, made.session_id)
    assert [stream.id for stream in streams] == [live.stream_id]


async def test_npm_opentok_with_an_application(stage):
    sdk = await start_node_sdk("opentok", stage.url, stage.application_id, stage.private_pem)
    made = await sdk.call("createSession", {"mediaMode": "routed", "e2ee": True})
    session = made["sessionId"]
    token = await sdk.call("generateToken", session, {"role": "publisher"})
    live = await stage.enter(stage.application_id, session, token, encrypted=True)
    await sdk.call("signal", session, None, {"type": "chat", "data": "hello"})
    await until(lambda: live.seen)
    (stream,) = await sdk.call("listStreams", session)
    assert stream["id"] == live.stream_id
    await sdk.close()


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "clear"])
async def test_an_old_token_still_lets_a_client_in(stage, encrypted):
    sdk = await start_node_sdk("opentok", f"{stage.url}/", stage.api_key, stage.api_secret)
    made = await sdk.call("createSession", {"mediaMode": "routed", "e2ee": encrypted})
    options = {"role": "publisher", "data": "name=Bob & Ann"}
    token = await sdk.call("generateToken", made["sessionId"], options, True)
    assert token.startswith("T1==")
    live = await stage.enter(stage.api_key, made["sessionId"], token, encrypted=encrypted)
    await until(lambda: live.alice.connection_id in live.bob.connections)
    assert live.bob.connections[live.alice.connection_id]["data"] == "name=Bob & Ann"
    await sdk.close()

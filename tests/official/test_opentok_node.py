"""npm `opentok`, unmodified: every method, on clear and encrypted sessions with live clients."""

import pytest
import pytest_asyncio

from tests.official.node_sdk import start_node_sdk
from tests.official.stage import DONE, Live
from tests.served import until

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]
NONE = "00000000-0000-4000-8000-000000000000"


@pytest_asyncio.fixture(loop_scope="module")
async def sdk(stage):
    started = await start_node_sdk("opentok", stage.url, stage.api_key, stage.api_secret)
    yield started
    await started.close()


@pytest.mark.parametrize("encrypted", [False, True], ids=["clear", "encrypted"])
async def test_every_method_does_what_it_says_or_is_refused_for_its_reason(stage, sdk, encrypted):
    made = await sdk.call("createSession", {"mediaMode": "routed", "e2ee": encrypted})
    session = made["sessionId"]
    options = {"role": "moderator", "data": "name=Bob", "initialLayoutClassList": ["first"]}
    token = await sdk.call("generateToken", session, options)
    live = await stage.enter(stage.api_key, session, token, encrypted=encrypted)
    await moderate(sdk, session, live)
    await until(lambda: len(live.seen) == 2)
    assert [one["data"] for one in live.seen] == ["to all", "to one"]
    await until(lambda: live.over == ["forceDisconnected"])
    await start(sdk, session, token, encrypted=encrypted)
    await list_and_stop(sdk, session)
    await register(sdk)
    assert (await sdk.call("generateJwt", {"apiKey": "1", "apiSecret": "s"})).count(".") == 2
    assert sdk.called - {"methods"} == set(await sdk.call("methods"))


async def moderate(sdk, session: str, live: Live) -> None:
    (stream,) = await sdk.call("listStreams", session)
    assert stream["id"] == live.stream_id
    # The SDK parses this one answer twice.
    assert (await sdk.call("getStream", session, live.stream_id))["videoType"] == "custom"
    classes = [{"id": live.stream_id, "layoutClassList": ["focus"]}]
    await sdk.call("setStreamClassLists", session, classes)
    shown = await sdk.call("getStream", session, live.stream_id)
    assert shown["layoutClassList"] == ["focus"]
    await sdk.call("signal", session, None, {"type": "chat", "data": "to all"})
    alice = live.alice.connection_id
    await sdk.call("signal", session, alice, {"type": "chat", "data": "to one"})
    await sdk.call("forceMuteStream", session, live.stream_id)
    await sdk.call("forceMuteAll", session, {"excludedStreams": [live.stream_id]})
    await sdk.call("disableForceMute", session)
    # No SIP call can be part of the session.
    await sdk.refused("Not Found", "playDTMF", session, None, "1713#")
    await sdk.call("forceDisconnect", session, live.bob.connection_id)
    await sdk.refused("Connection not found", "forceDisconnect", session, NONE)


async def start(sdk, session: str, token: str, *, encrypted: bool) -> None:
    """What needs clear media: refused because of the encryption, or not offered by this server."""
    words = "end-to-end encrypted" if encrypted else "does not support"
    if encrypted:
        await sdk.refused(words, "startArchive", session, {"name": "n"})
        await sdk.refused(words, "startBroadcast", session, {"outputs": {"hls": {}}})
    else:
        archive = await sdk.call("startArchive", session, {"name": "n"})
        assert (await sdk.call("stopArchive", archive["id"]))["status"] == "stopped"
        broadcast = await sdk.call("startBroadcast", session, {"outputs": {"hls": {}}})
        assert (await sdk.call("stopBroadcast", broadcast["id"]))["status"] == "stopped"
    inside = words if encrypted else "not public"
    await sdk.refused(inside, "dial", session, token, "sip:user@10.0.0.1", {"secure": True})
    page = {"sessionId": session, "token": token, "url": "http://10.0.0.1/page"}
    await sdk.refused(inside, "startRender", page)
    await sdk.refused(inside, "websocketConnect", session, token, "wss://10.0.0.1/audio", {})
    if encrypted:
        await sdk.refused(words, "startCaptions", session, token, {})
    else:
        captions = await sdk.call("startCaptions", session, token, {})
        await sdk.refused("already", "startCaptions", session, token, {})
        await sdk.call("stopCaptions", captions)


async def list_and_stop(sdk, session: str) -> None:
    for method in ("listArchives", "listBroadcasts"):
        assert [one["status"] for one in await sdk.call(method, {"sessionId": session})] in DONE
    await sdk.call("listRenders", {})
    for method, arguments in {
        "getArchive": (),
        "stopArchive": (),
        "deleteArchive": (),
        "addArchiveStream": ("stream", {}),
        "removeArchiveStream": ("stream",),
        "setArchiveLayout": ("pip", None, None),
        "getBroadcast": (),
        "stopBroadcast": (),
        "addBroadcastStream": ("stream", {}),
        "removeBroadcastStream": ("stream",),
        "setBroadcastLayout": ("pip", None, None),
        "getRender": (),
        "stopRender": (),
        "stopCaptions": (),
    }.items():
        await sdk.refused("Error", method, NONE, *arguments)


async def register(sdk) -> None:
    wanted = {"group": "connection", "event": "created", "url": "https://example.com/callback"}
    made = await sdk.call("registerCallback", wanted)
    assert made["id"] in [one["id"] for one in await sdk.call("listCallbacks", {})]
    await sdk.call("unregisterCallback", made["id"])
    assert await sdk.call("listCallbacks", {}) == []

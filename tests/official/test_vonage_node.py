"""npm `@vonage/server-sdk`, unmodified: every method of its video client."""

import pytest
import pytest_asyncio

from tests.official.node_sdk import start_node_sdk
from tests.official.stage import DONE, Live
from tests.served import until

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]
NONE = "00000000-0000-4000-8000-000000000000"
# Not for applications: their declarations say private and protected.
INTERNAL = {"stripBlankValues", "muteAllStreams"}


@pytest_asyncio.fixture(loop_scope="module")
async def sdk(stage):
    started = await start_node_sdk("vonage", stage.url, stage.application_id, stage.private_pem)
    yield started
    await started.close()


@pytest.mark.parametrize("encrypted", [False, True], ids=["clear", "encrypted"])
async def test_every_method_does_what_it_says_or_is_refused_for_its_reason(stage, sdk, encrypted):
    clear = (await sdk.call("createSession", {"mediaMode": "disabled"}))["sessionId"]
    session = await encrypted_session(sdk, stage) if encrypted else clear
    token = await sdk.call("generateClientToken", session, {"role": "moderator", "data": "Bob"})
    live = await stage.enter(stage.application_id, session, token, encrypted=encrypted)
    await moderate(sdk, session, live)
    await until(lambda: len(live.seen) == 2)
    assert [one["data"] for one in live.seen] == ["to all", "to one"]
    await until(lambda: live.over == ["forceDisconnected"])
    await start(sdk, session, token, encrypted=encrypted)
    await list_and_stop(sdk, session)
    asked = sdk.called - {"methods"}
    everything = set(await sdk.call("methods")) - INTERNAL
    assert asked == (everything if encrypted else everything - {"sendFormSubmitRequest"})


async def encrypted_session(sdk, stage) -> str:
    """`createSession` drops the flag; this is the public way around it."""
    form = {"p2p.preference": "disabled", "archiveMode": "manual", "e2ee": True}
    answer = await sdk.call("sendFormSubmitRequest", f"{stage.url}/session/create", form)
    return answer["data"][0]["session_id"]


async def test_below_the_encrypted_base_path_sessions_are_encrypted(stage):
    sdk = await start_node_sdk(
        "vonage", f"{stage.url}/e2ee", stage.application_id, stage.private_pem
    )
    session = (await sdk.call("createSession", {"mediaMode": "routed", "e2ee": True}))["sessionId"]
    token = await sdk.call("generateClientToken", session, {"role": "publisher"})
    await stage.enter(stage.application_id, session, token, encrypted=True)
    await sdk.close()


async def moderate(sdk, session: str, live: Live) -> None:
    (stream,) = (await sdk.call("getStreamInfo", session))["items"]
    assert stream["id"] == live.stream_id
    assert (await sdk.call("getStreamInfo", session, live.stream_id))["videoType"] == "custom"
    classes = [{"id": live.stream_id, "layoutClassList": ["focus"]}]
    await sdk.call("setStreamClassLists", session, classes)
    shown = await sdk.call("getStreamInfo", session, live.stream_id)
    assert shown["layoutClassList"] == ["focus"]
    await sdk.call("sendSignal", {"type": "chat", "data": "to all"}, session)
    alice = live.alice.connection_id
    await sdk.call("sendSignal", {"type": "chat", "data": "to one"}, session, alice)
    assert (await sdk.call("muteStream", session, live.stream_id))["status"] == "ACTIVE"
    assert (await sdk.call("forceMuteAll", session, [live.stream_id]))["status"] == "ACTIVE"
    assert (await sdk.call("disableForceMute", session))["status"] == "ACTIVE"
    # No SIP call can be part of the session.
    await sdk.refused("404", "playDTMF", session, "1713#")
    await sdk.refused("404", "playDTMF", session, "1713#", live.bob.connection_id)
    await sdk.call("disconnectClient", session, live.bob.connection_id)
    await sdk.refused("404", "disconnectClient", session, NONE)


async def start(sdk, session: str, token: str, *, encrypted: bool) -> None:
    """What needs clear media: refused because of the encryption, or not offered by this server."""
    words = "end-to-end encrypted" if encrypted else "does not support"
    if encrypted:
        await sdk.refused(words, "startArchive", session)
        await sdk.refused(words, "startBroadcast", session, {"outputs": {"hls": {}}})
    else:
        archive = await sdk.call("startArchive", session)
        assert (await sdk.call("stopArchive", archive["id"]))["status"] == "stopped"
        broadcast = await sdk.call("startBroadcast", session, {"outputs": {"hls": {}}})
        assert (await sdk.call("stopBroadcast", broadcast["id"]))["status"] == "stopped"
    sip = {"token": token, "sip": {"uri": "sip:user@10.0.0.1", "from": ""}}
    inside = words if encrypted else "not public"
    await sdk.refused(inside, "initiateSIPCall", session, sip)
    await sdk.refused(inside, "intiateSIPCall", session, sip)
    page = {"url": "http://10.0.0.1/page"}
    await sdk.refused(inside, "startExperienceComposerRender", session, token, page)
    socket = {"uri": "wss://10.0.0.1/audio"}
    await sdk.refused(inside, "connectToWebsocket", session, token, socket)
    wanted = {"partialCaptions": "true"}
    if encrypted:
        await sdk.refused(words, "enableCaptions", session, token, wanted)
    else:
        captions = await sdk.call("enableCaptions", session, token, wanted)
        await sdk.refused("409", "enableCaptions", session, token, wanted)
        shown = await sdk.call("getCaptionStatus", captions["captionsId"])
        assert (shown["status"], shown["languageCode"]) == ("started", "en-US")
        await sdk.call("disableCaptions", captions["captionsId"])


async def list_and_stop(sdk, session: str) -> None:
    for method in ("searchArchives", "searchBroadcasts"):
        found = await sdk.call(method, {"count": 10, "sessionId": session})
        assert [one["status"] for one in found["items"]] in DONE
    assert (await sdk.call("listExperienceComposerRenders", {"count": 10}))["count"] == 0
    for method, arguments in {
        "getArchive": (),
        "stopArchive": (),
        "deleteArchive": (),
        "addArchiveStream": ("stream",),
        "removeArchiveStream": ("stream",),
        "updateArchiveLayout": ({"type": "pip"},),
        "getBroadcast": (),
        "stopBroadcast": (),
        "addStreamToBroadcast": ("stream",),
        "removeStreamFromBroadcast": ("stream",),
        "getExperienceComposerRender": (),
        "stopExperienceComposerRender": (),
        "disconnectWebsocket": (),
        "disableCaptions": (),
        "getCaptionStatus": (),
    }.items():
        await sdk.refused("404", method, NONE, *arguments)
    change = {"broadcastId": NONE, "addStream": "stream"}
    await sdk.refused("404", "updateBroadcast", change)

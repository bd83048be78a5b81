"""PyPI `opentok`, unmodified: every method, on clear and encrypted sessions with live clients."""

import asyncio

import opentok
import pytest
from opentok import exceptions as errors

from tests.official.stage import DONE, Live, Recorder, public_methods
from tests.served import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.asyncio(loop_scope="module"),
    # What the SDK itself uses that its libraries have outgrown.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
NONE = "00000000-0000-4000-8000-000000000000"
# Neither of them sends a request.
LOCAL = {"append_to_user_agent", "headers", "json_headers", "get_headers", "get_json_headers"}
LOCAL |= {"validate_websocket_options"}


def new_session(sdk, *, encrypted: bool) -> tuple[str, str]:
    made = sdk.create_session(media_mode=opentok.MediaModes.routed, e2ee=encrypted)
    token = sdk.generate_token(
        made.session_id,
        role=opentok.Roles.moderator,
        data="name=Bob",
        initial_layout_class_list=["first", "second"],
    )
    return made.session_id, token


@pytest.fixture
def sdk(stage):
    return Recorder(opentok.Client(stage.api_key, stage.api_secret, api_url=stage.url))


@pytest.mark.parametrize("encrypted", [False, True], ids=["clear", "encrypted"])
async def test_every_method_does_what_it_says_or_is_refused_for_its_reason(stage, sdk, encrypted):
    session, token = await asyncio.to_thread(new_session, sdk, encrypted=encrypted)
    live = await stage.enter(stage.api_key, session, token, encrypted=encrypted)
    await asyncio.to_thread(moderate, sdk, session, live)
    await until(lambda: len(live.seen) == 3)
    assert [one["data"] for one in live.seen] == ["to all", "to one", "old name"]
    await until(lambda: live.over == ["forceDisconnected"])
    await asyncio.to_thread(record_and_send, sdk, session, token, encrypted=encrypted)
    assert sdk.called == public_methods(opentok.Client) - LOCAL


def moderate(sdk, session: str, live: Live) -> None:
    streams = sdk.list_streams(session)
    assert [stream.id for stream in streams] == [live.stream_id]
    assert sdk.get_stream(session, live.stream_id).videoType == "custom"
    sdk.set_stream_class_lists(session, [{"id": live.stream_id, "layoutClassList": ["focus"]}])
    assert sdk.get_stream(session, live.stream_id).layoutClassList == ["focus"]
    sdk.send_signal(session, {"type": "chat", "data": "to all"})
    sdk.send_signal(session, {"type": "chat", "data": "to one"}, live.alice.connection_id)
    sdk.signal(session, {"type": "chat", "data": "old name"})
    with pytest.raises(errors.RequestError):
        sdk.send_signal(session, {"type": "t" * 129, "data": ""})
    assert sdk.mute_stream(session, live.stream_id).status_code == 200
    assert sdk.mute_all(session, [live.stream_id]).status_code == 200
    assert sdk.disable_force_mute(session).status_code == 200
    # No SIP call can be part of the session.
    with pytest.raises(errors.OpenTokException):
        sdk.play_dtmf(session, live.bob.connection_id, "1713#")
    sdk.force_disconnect(session, live.bob.connection_id)
    with pytest.raises(errors.ForceDisconnectError):
        sdk.force_disconnect(session, NONE)


def record_and_send(sdk, session: str, token: str, *, encrypted: bool) -> None:
    """What needs clear media: refused because of the encryption, or not offered by this server."""
    words = "end-to-end encrypted"
    if encrypted:
        with pytest.raises(errors.ArchiveError, match=words):
            sdk.start_archive(session)
        with pytest.raises(errors.BroadcastError):
            sdk.start_broadcast(session, {"outputs": {"hls": {}}})
    else:
        archive = sdk.start_archive(session)
        assert sdk.stop_archive(archive.id).status == "stopped"
        broadcast = sdk.start_broadcast(session, {"outputs": {"hls": {}}})
        assert sdk.stop_broadcast(broadcast.id).status == "stopped"
    with pytest.raises(errors.SipDialError):
        sdk.dial(session, token, "sip:user@10.0.0.1", {"secure": True})
    with pytest.raises(errors.RequestError):
        sdk.start_render(session, token, "http://10.0.0.1/page")
    refused = errors.InvalidMediaModeError if encrypted else errors.RequestError
    with pytest.raises(refused):
        sdk.connect_audio_to_websocket(session, token, {"uri": "wss://10.0.0.1/audio"})
    if encrypted:
        with pytest.raises(errors.RequestError, match=words):
            sdk.start_captions(session, token)
    else:
        captions = sdk.start_captions(session, token)
        with pytest.raises(errors.CaptioningAlreadyInProgressError):
            sdk.start_captions(session, token)
        sdk.stop_captions(captions.captions_id)
    for found in (sdk.list_archives(session_id=session), sdk.get_archives(session_id=session)):
        assert [one.status for one in found] in DONE
    assert sdk.list_renders().count == 0
    for method, arguments in {
        "get_archive": (),
        "stop_archive": (),
        "delete_archive": (),
        "get_render": (),
        "stop_render": (),
        "stop_captions": (),
    }.items():
        with pytest.raises(errors.NotFoundError):
            getattr(sdk, method)(NONE, *arguments)
    for method, arguments in {
        "add_archive_stream": (NONE,),
        "remove_archive_stream": (NONE,),
        "add_broadcast_stream": (NONE,),
        "remove_broadcast_stream": (NONE,),
        "get_broadcast": (),
        "stop_broadcast": (),
        "set_broadcast_layout": ("pip",),
    }.items():
        with pytest.raises(errors.RequestError):
            getattr(sdk, method)(NONE, *arguments)
    with pytest.raises(errors.RequestError):
        sdk.set_archive_layout(NONE, "custom", "stream.focus {}")


async def test_a_stranger_learns_that_the_credentials_are_wrong(stage):
    stranger = opentok.Client(stage.api_key, "0" * 40, api_url=stage.url)
    with pytest.raises(errors.AuthError):
        await asyncio.to_thread(stranger.get_stream, "1_session", "stream")

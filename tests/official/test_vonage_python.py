"""PyPI `vonage`, unmodified and over TLS: every method of its video client."""

import asyncio

import pytest
from vonage import Auth, HttpClientOptions, Vonage
from vonage_http_client import errors
from vonage_video import Video, models
from vonage_video import errors as video_errors

from tests.official.stage import DONE, Live, Recorder, public_methods
from tests.served import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.asyncio(loop_scope="module"),
    # What the SDK itself uses that its libraries have outgrown.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
NONE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def sdk(stage, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stage.chain))
    auth = Auth(application_id=stage.application_id, private_key=stage.private_pem)
    vonage = Vonage(auth, HttpClientOptions(video_host=stage.tls_host))
    yield Recorder(vonage.video)
    vonage.http_client._session.close()  # it has no way to say goodbye


def new_session(sdk, *, encrypted: bool) -> tuple[str, str]:
    options = models.SessionOptions(media_mode=models.MediaMode.ROUTED, e2ee=encrypted)
    session = sdk.create_session(options).session_id
    token = sdk.generate_client_token(
        models.TokenOptions(
            session_id=session,
            role=models.TokenRole.MODERATOR,
            connection_data="name=Bob",
            initial_layout_class_list=["first"],
        )
    )
    return session, token.decode()


@pytest.mark.parametrize("encrypted", [False, True], ids=["clear", "encrypted"])
async def test_every_method_does_what_it_says_or_is_refused_for_its_reason(stage, sdk, encrypted):
    session, token = await asyncio.to_thread(new_session, sdk, encrypted=encrypted)
    live = await stage.enter(stage.application_id, session, token, encrypted=encrypted)
    await asyncio.to_thread(moderate, sdk, session, live)
    await until(lambda: len(live.seen) == 2)
    assert [one["data"] for one in live.seen] == ["to all", "to one"]
    await until(lambda: live.over == ["forceDisconnected"])
    await asyncio.to_thread(start, sdk, session, token, encrypted=encrypted)
    await asyncio.to_thread(list_and_stop, sdk, session)
    assert sdk.called == public_methods(Video)


def moderate(sdk, session: str, live: Live) -> None:
    assert [stream.id for stream in sdk.list_streams(session)] == [live.stream_id]
    assert sdk.get_stream(session, live.stream_id).video_type == "custom"
    layout = models.StreamLayout(id=live.stream_id, layout_class_list=["focus"])
    (changed,) = sdk.change_stream_layout(session, models.StreamLayoutOptions(items=[layout]))
    assert changed.layout_class_list == ["focus"]
    sdk.send_signal(session, models.SignalData(type="chat", data="to all"))
    signal = models.SignalData(type="chat", data="to one")
    sdk.send_signal(session, signal, live.alice.connection_id)
    sdk.mute_stream(session, live.stream_id)
    sdk.mute_all_streams(session, [live.stream_id])
    sdk.disable_mute_all_streams(session)
    # No SIP call can be part of the session.
    with pytest.raises(errors.NotFoundError):
        sdk.play_dtmf(session, "1713#")
    with pytest.raises(errors.NotFoundError):
        sdk.play_dtmf(session, "1713#", live.bob.connection_id)
    sdk.disconnect_client(session, live.bob.connection_id)
    with pytest.raises(errors.NotFoundError):
        sdk.disconnect_client(session, NONE)


def start(sdk, session: str, token: str, *, encrypted: bool) -> None:
    """What needs clear media: refused because of the encryption, or not offered by this server."""
    words = "end-to-end encrypted" if encrypted else "does not support"
    hls = models.BroadcastOutputSettings(hls=models.BroadcastHls())
    sip = models.SipOptions(uri="sip:user@10.0.0.1")
    socket = models.AudioConnectorWebSocket(uri="wss://10.0.0.1/audio")
    page = "http://10.0.0.1/page1"
    both = {"session_id": session, "token": token}
    starts = {
        "start_archive": models.CreateArchiveRequest(session_id=session),
        "start_broadcast": models.CreateBroadcastRequest(session_id=session, outputs=hls),
        "initiate_sip_call": models.InitiateSipRequest(sip=sip, **both),
        "start_experience_composer": models.ExperienceComposerOptions(url=page, **both),
        "start_audio_connector": models.AudioConnectorOptions(websocket=socket, **both),
        "start_captions": models.CaptionsOptions(**both),
    }
    special = {
        "start_broadcast": video_errors.InvalidBroadcastStateError,
        "initiate_sip_call": video_errors.RoutedSessionRequiredError,
    }
    if not encrypted:
        archive = sdk.start_archive(starts.pop("start_archive"))
        assert sdk.stop_archive(archive.id).status == "stopped"
        broadcast = sdk.start_broadcast(starts.pop("start_broadcast"))
        assert sdk.stop_broadcast(broadcast.id).status == "stopped"
        sdk.stop_captions(sdk.start_captions(starts.pop("start_captions")))
    for method, request in starts.items():
        refused = (
            special.get(method, errors.HttpRequestError) if encrypted else errors.HttpRequestError
        )
        with pytest.raises(refused, match=words if encrypted else "not public"):
            getattr(sdk, method)(request)


def list_and_stop(sdk, session: str) -> None:
    archives, _, _ = sdk.list_archives(models.ListArchivesFilter(session_id=session))
    broadcasts, _, _ = sdk.list_broadcasts(models.ListBroadcastsFilter(session_id=session))
    for found in (archives, broadcasts):
        assert [one.status for one in found] in DONE
    assert sdk.list_experience_composers() == ([], 0, None)
    stream = models.AddStreamRequest(stream_id=NONE)
    layout = models.ComposedLayout(type=models.LayoutType.PIP)
    for method, arguments in {
        "get_archive": (),
        "stop_archive": (),
        "delete_archive": (),
        "add_stream_to_archive": (stream,),
        "remove_stream_from_archive": (NONE,),
        "change_archive_layout": (layout,),
        "get_broadcast": (),
        "stop_broadcast": (),
        "add_stream_to_broadcast": (stream,),
        "remove_stream_from_broadcast": (NONE,),
        "change_broadcast_layout": (layout,),
        "get_experience_composer": (),
        "stop_experience_composer": (),
    }.items():
        with pytest.raises(errors.NotFoundError):
            getattr(sdk, method)(NONE, *arguments)
    with pytest.raises(errors.NotFoundError):
        sdk.stop_captions(models.CaptionsData(captions_id=NONE))

"""The unmodified `opentok` and `vonage` packages against a listening server."""

import asyncio
import contextlib
import datetime as dt
import importlib.util
import ipaddress
import ssl
import sys
import threading
from pathlib import Path

import opentok
import pytest
import requests
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from opentok import exceptions as ot_errors
from vonage import Auth, HttpClientOptions, Vonage
from vonage_http_client import errors as vonage_errors
from vonage_video import errors as video_errors
from vonage_video import models

from signaling.authenticator import Authenticator
from signaling.clock import SystemClock
from signaling.domain.roles import Role
from signaling.rest.live_sessions import LiveConnection, LiveStream

pytestmark = [
    pytest.mark.interop,
    # What the SDKs themselves use that their own libraries have outgrown.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]


def _load_rest_server():
    path = Path(__file__).parents[1] / "rest_server.py"
    spec = importlib.util.spec_from_file_location("rest_server_for_interop", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE_PEM = RSA_KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
PUBLIC_PEM = (
    RSA_KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
CONNECTION, STREAM = "6f9a1c9e-0000-4000-8000-000000000001", "str-1"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for loopback and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private


class Site:
    """A server on a thread of its own: the SDKs block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chain, self.key = certificate(folder)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    async def open(self) -> None:
        module = _load_rest_server()
        self.server = await module.open_rest_server(self.folder / "data", public_key_pem=PUBLIC_PEM)
        self.runner = web.AppRunner(self.server.app)
        await self.runner.setup()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        for tls in (None, context):
            await web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.http_port, self.https_port = (address[1] for address in self.runner.addresses)

    async def close(self) -> None:
        await self.runner.cleanup()
        await self.server.store.close()
        # Transports close in the next round of the loop.
        await asyncio.sleep(0)

    def populate(self, session_id: str) -> None:
        live = self.server.live
        live.connections_of[session_id] = [LiveConnection(CONNECTION, 1)]
        live.streams_of[session_id] = [LiveStream(STREAM, "camera", "Bob")]

    def record(self, session_id: str):
        return self.run(self.server.store.session(session_id))

    def admit(self, project_name: str, session_id: str, token: str):
        authenticator = Authenticator(self.server.store, SystemClock())
        return self.run(authenticator.authenticate(project_name, session_id, token))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("site"))
    made.thread.start()
    made.run(made.open())
    yield made
    made.run(made.close())
    made.loop.call_soon_threadsafe(made.loop.stop)
    made.thread.join()
    made.loop.run_until_complete(made.loop.shutdown_asyncgens())
    made.loop.close()


@pytest.fixture
def legacy(site):
    project = site.server.project
    return opentok.Client(
        project.api_key, project.api_secret, api_url=f"http://127.0.0.1:{site.http_port}"
    )


@pytest.fixture
def unified(site, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site.chain))
    auth = Auth(application_id=site.server.project.application_id, private_key=PRIVATE_PEM)
    options = HttpClientOptions(video_host=f"127.0.0.1:{site.https_port}")
    return Vonage(auth, options).video


# --- opentok ------------------------------------------------------------------------------


def test_opentok_creates_sessions_of_every_kind(site, legacy):
    clear = legacy.create_session(media_mode=opentok.MediaModes.routed)
    encrypted = legacy.create_session(media_mode=opentok.MediaModes.routed, e2ee=True)
    relayed = legacy.create_session()
    assert site.record(clear.session_id).options.e2ee is False
    assert site.record(encrypted.session_id).options.e2ee is True
    assert site.record(relayed.session_id).options.media_mode == "relayed"


def test_opentok_shows_why_a_session_cannot_be(legacy):
    with pytest.raises(ot_errors.OpenTokException, match="End-to-end encryption needs a routed"):
        legacy.create_session(e2ee=True)
    with pytest.raises(ot_errors.OpenTokException, match="cannot be archived"):
        legacy.create_session(
            media_mode=opentok.MediaModes.routed,
            archive_mode=opentok.ArchiveModes.always,
            e2ee=True,
        )


def test_opentok_with_a_wrong_secret_gets_that_reason(site):
    client = opentok.Client(
        site.server.project.api_key, "0" * 40, api_url=f"http://127.0.0.1:{site.http_port}/"
    )
    with pytest.raises(ot_errors.RequestError, match="credentials"):
        client.create_session()


@pytest.mark.parametrize("use_jwt", [True, False])
@pytest.mark.parametrize("role", list(Role))
def test_opentok_tokens_of_both_kinds_admit_with_their_role_and_data(site, legacy, use_jwt, role):
    session = legacy.create_session(media_mode=opentok.MediaModes.routed, e2ee=True)
    token = legacy.generate_token(
        session.session_id,
        role=opentok.Roles[{"publisheronly": "publisher_only"}.get(role.value, role.value)],
        data="name=Bob&x=ü",
        initial_layout_class_list=["a", "b"],
        use_jwt=use_jwt,
    )
    admission = site.admit(site.server.project.api_key, session.session_id, token)
    assert admission.role is role
    assert admission.connection_data == "name=Bob&x=ü"
    assert admission.layout_classes == ("a", "b")
    assert admission.session.options.e2ee is True


@pytest.fixture(params=[True, False], ids=["encrypted", "clear"])
def room(site, legacy, request):
    session = legacy.create_session(media_mode=opentok.MediaModes.routed, e2ee=request.param)
    site.populate(session.session_id)
    return session.session_id


def test_opentok_moderates_encrypted_and_clear_sessions_alike(legacy, room):
    assert next(iter(legacy.list_streams(room))).id == STREAM
    assert legacy.get_stream(room, STREAM).videoType == "camera"
    legacy.send_signal(room, {"type": "t", "data": "d"})
    legacy.send_signal(room, {"type": "t", "data": "d"}, CONNECTION)
    legacy.set_stream_class_lists(room, [{"id": STREAM, "layoutClassList": ["focus"]}])
    assert legacy.get_stream(room, STREAM).layoutClassList == ["focus"]
    assert legacy.mute_stream(room, STREAM).status_code == 200
    assert legacy.mute_all(room, ["A"]).status_code == 200
    assert legacy.disable_force_mute(room).status_code == 200
    legacy.force_disconnect(room, CONNECTION)


def test_opentok_learns_what_is_not_there(legacy, room):
    with pytest.raises(ot_errors.RequestError):
        legacy.get_stream(room, "gone")
    with pytest.raises(ot_errors.ForceDisconnectError):
        legacy.force_disconnect(room, "gone")
    with pytest.raises(ot_errors.OpenTokException):
        legacy.mute_stream(room, "gone")
    with pytest.raises(ot_errors.OpenTokException):
        legacy.play_dtmf(room, CONNECTION, "123")
    with pytest.raises(ot_errors.RequestError):
        legacy.send_signal(room, {"type": "t" * 200, "data": ""})
    with pytest.raises(ot_errors.NotFoundError):
        legacy.get_archive("00000000-0000-4000-8000-000000000000")


def test_opentok_hears_of_every_feature_that_an_encrypted_session_refuses(legacy):
    session = legacy.create_session(media_mode=opentok.MediaModes.routed, e2ee=True).session_id
    token = legacy.generate_token(session)
    words = "end-to-end encrypted"
    with pytest.raises(ot_errors.ArchiveError, match=f"Archiving is not supported in {words}"):
        legacy.start_archive(session)
    with pytest.raises(ot_errors.ArchiveError, match=words):
        legacy.start_archive(session, output_mode=opentok.OutputModes.individual)
    with pytest.raises(ot_errors.BroadcastError):
        legacy.start_broadcast(session, {"outputs": {"hls": {}}})
    with pytest.raises(ot_errors.SipDialError):
        legacy.dial(session, token, "sip:user@example.com")
    with pytest.raises(ot_errors.RequestError):
        legacy.start_render(session, token, "https://example.com/page")
    with pytest.raises(ot_errors.InvalidMediaModeError):
        legacy.connect_audio_to_websocket(session, token, {"uri": "wss://example.com/x"})
    with pytest.raises(ot_errors.RequestError, match=words):
        legacy.start_captions(session, token)


def test_opentok_lists_no_archives_and_no_renders(legacy):
    assert len(legacy.list_archives().items) == 0
    assert legacy.list_renders().count == 0


# --- vonage -------------------------------------------------------------------------------


def test_vonage_creates_sessions_and_keeps_e2ee_even_after_a_json_call(site, unified):
    plain = unified.create_session()
    options = models.SessionOptions(media_mode=models.MediaMode.ROUTED, e2ee=True)
    first = unified.create_session(options)
    with contextlib.suppress(vonage_errors.HttpRequestError):
        unified.send_signal(first.session_id, models.SignalData(type="t", data="d"))
    second = unified.create_session(options)
    encrypted = [site.record(one.session_id).options.e2ee for one in (plain, first, second)]
    assert encrypted == [False, True, True]


def test_vonage_shows_why_a_session_cannot_be(unified):
    options = models.SessionOptions(media_mode=models.MediaMode.RELAYED, e2ee=True)
    with pytest.raises(vonage_errors.HttpRequestError, match="15901"):
        unified.create_session(options)


def test_vonage_tokens_admit(site, unified):
    session = unified.create_session().session_id
    token = unified.generate_client_token(
        models.TokenOptions(
            session_id=session,
            role=models.TokenRole.MODERATOR,
            connection_data="Bob",
            initial_layout_class_list=["a"],
        )
    )
    admission = site.admit(site.server.project.application_id, session, token.decode())
    assert admission.role is Role.MODERATOR
    assert (admission.connection_data, admission.layout_classes) == ("Bob", ("a",))


def test_vonage_moderates(site, unified):
    session = unified.create_session().session_id
    site.populate(session)
    assert unified.list_streams(session)[0].id == STREAM
    assert unified.get_stream(session, STREAM).video_type == "camera"
    unified.send_signal(session, models.SignalData(type="t", data="d"), CONNECTION)
    layout = models.StreamLayoutOptions(
        items=[models.StreamLayout(id=STREAM, layout_class_list=["focus"])]
    )
    assert unified.change_stream_layout(session, layout)[0].layout_class_list == ["focus"]
    unified.mute_stream(session, STREAM)
    unified.mute_all_streams(session, excluded_stream_ids=["A"])
    unified.disable_mute_all_streams(session)
    unified.disconnect_client(session, CONNECTION)
    with pytest.raises(vonage_errors.NotFoundError):
        unified.play_dtmf(session, "123")


def test_vonage_hears_of_every_feature_that_an_encrypted_session_refuses(unified):
    options = models.SessionOptions(media_mode=models.MediaMode.ROUTED, e2ee=True)
    session = unified.create_session(options).session_id
    words = "end-to-end encrypted"
    with pytest.raises(vonage_errors.HttpRequestError, match=words):
        unified.start_archive(models.CreateArchiveRequest(session_id=session))
    with pytest.raises(video_errors.InvalidBroadcastStateError, match=words):
        unified.start_broadcast(
            models.CreateBroadcastRequest(
                session_id=session,
                outputs=models.BroadcastOutputSettings(hls=models.BroadcastHls()),
            )
        )
    with pytest.raises(video_errors.RoutedSessionRequiredError, match=words):
        unified.initiate_sip_call(
            models.InitiateSipRequest(
                session_id=session, token="t", sip=models.SipOptions(uri="sip:a@example.com")
            )
        )
    with pytest.raises(vonage_errors.HttpRequestError, match=words):
        unified.start_experience_composer(
            models.ExperienceComposerOptions(
                session_id=session, token="t", url="https://example.com/page"
            )
        )
    with pytest.raises(vonage_errors.HttpRequestError, match=words):
        unified.start_audio_connector(
            models.AudioConnectorOptions(
                session_id=session,
                token="t",
                websocket=models.AudioConnectorWebSocket(uri="wss://example.com/x"),
            )
        )
    with pytest.raises(vonage_errors.HttpRequestError, match="15900"):
        unified.start_captions(models.CaptionsOptions(session_id=session, token="t"))


def test_vonage_lists_are_empty(unified):
    archives, count, _ = unified.list_archives(models.ListArchivesFilter())
    assert (archives, count) == ([], 0)
    broadcasts, count, _ = unified.list_broadcasts(models.ListBroadcastsFilter())
    assert (broadcasts, count) == ([], 0)


def test_vonage_with_another_key_is_forbidden(site, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site.chain))
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    auth = Auth(application_id=site.server.project.application_id, private_key=other.decode())
    options = HttpClientOptions(video_host=f"127.0.0.1:{site.https_port}")
    with pytest.raises(vonage_errors.ForbiddenError):
        Vonage(auth, options).video.create_session()


def test_a_session_of_one_dialect_can_be_used_from_the_other(site, legacy, unified):
    session = unified.create_session().session_id
    site.populate(session)
    assert next(iter(legacy.list_streams(session))).id == STREAM


def test_the_content_type_of_create_is_exact(site, legacy):
    answer = requests.post(
        f"http://127.0.0.1:{site.http_port}/session/create",
        headers={**legacy.get_headers(), "Accept": "application/json"},
        timeout=10,
    )
    assert answer.headers["Content-Type"] == "application/json"

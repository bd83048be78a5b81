"""SIP calls into live sessions: a real telephone (baresip) and people hear each other."""

import asyncio
import contextlib

import numpy as np
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from config.settings import CallbackSettings, EgressSettings
from config.sip_settings import SipSettings
from tests.baresip import NEEDS_BARESIP, Baresip, own_address
from tests.interop.test_audio_connector import Tone, loudness_at
from tests.media_site import media_site
from tests.official.stage import make_certificate
from tests.served import NEEDS_THE_MEDIA_CORE, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
    NEEDS_BARESIP,
]
TONE_HZ, PHONE_HZ = 700, 1_100
AUDIBLE = 0.05


@pytest.fixture
async def site(tmp_path):
    settings = EgressSettings(allowed_networks=f"{own_address()}/32")
    callbacks = CallbackSettings(allowed_networks="127.0.0.0/8")
    chain, key = make_certificate(tmp_path, own_address())
    (tmp_path / "both.pem").write_bytes(key.read_bytes() + chain.read_bytes())
    sip = SipSettings(tls_roots=str(chain))
    sections = {"egress": settings, "callbacks": callbacks, "sip": sip}
    async with media_site(tmp_path / "site", **sections) as one:
        yield one


@pytest.fixture
async def telephone(tmp_path):
    opened: list[Baresip] = []

    async def open_one(**options) -> Baresip:
        opened.append(Baresip(tmp_path / "phone", **options))
        await opened[-1].open(PHONE_HZ)
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()


@pytest.fixture
async def callbacks(site):
    """The callbacks about calls, as the application gets them."""
    async with notices(site) as found:
        yield found


@contextlib.asynccontextmanager
async def notices(site):
    """Registers an application for them; what it was told so far."""
    found: list[dict] = []

    async def take(request: web.Request) -> web.Response:
        found.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as server, ClientSession() as http:
        wanted = {"group": "sip", "event": "all", "url": str(server.make_url("/"))}
        headers = {"X-OPENTOK-AUTH": site.rest_token()}
        path = f"{site.url}/v2/project/{site.key}/callback"
        async with http.post(path, json=wanted, headers=headers) as answer:
            assert answer.status == 200
        yield found


def states(callbacks: list[dict]) -> list[str]:
    return [one["state"] for one in callbacks if one["event"] == "callUpdated"]


async def dial(site, session: str, uri: str, **options):
    return await asyncio.to_thread(
        site.application.dial, session, site.token(session), uri, options
    )


async def hears(subscriber, hz: float) -> None:
    """Until a tone is in what a client hears."""
    frames: list[np.ndarray] = []
    async with asyncio.timeout(30):
        async for frame in subscriber.audio:
            samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels)).mean(axis=1)
            frames = [*frames[-49:], samples / 32_768]
            if loudness_at(hz, np.concatenate(frames), 48_000) > AUDIBLE:
                return


@pytest.mark.parametrize(
    ("codec", "transport", "srtp"),
    [
        ("PCMU", "udp", False),
        pytest.param("G722", "udp", False, marks=pytest.mark.long),
        pytest.param("opus", "tls", True, marks=pytest.mark.long),
    ],
)
async def test_a_telephone_and_a_session_hear_each_other(
    site, tmp_path, telephone, codec, transport, srtp
):
    certificate = tmp_path / "both.pem"
    phone = await telephone(codec=codec, transport=transport, srtp=srtp, certificate=certificate)
    session = await site.session()
    ann, ben = await site.join(session), await site.join(session)
    spoken = await ann.publish(audio=Tone(TONE_HZ), video=False)
    call = await dial(site, session, phone.uri, secure=srtp, headers={"X-Room": "7"})
    await until(lambda: call.connectionId in ben.connections)
    await until(lambda: phone.hears(TONE_HZ) > AUDIBLE, 30)
    # Its own voice is not among what the telephone hears.
    assert phone.hears(PHONE_HZ) < AUDIBLE / 5
    await until(lambda: call.streamId in ben.streams)
    assert call.streamId != spoken.stream_id
    assert ben.streams[call.streamId]["name"] == "ann"
    await hears(await ben.subscribe(ben.streams[call.streamId]), PHONE_HZ)
    if codec == "PCMU":
        await asyncio.to_thread(site.application.play_dtmf, session, None, "5p#")
        await until(lambda: phone.digits == "5#", 20)
    # It understood a report about its packets and ours.
    await until(lambda: any(one.get("type") == "CALL_RTCP" for one in phone.events), 30)
    phone.do("hangup")
    await until(lambda: call.connectionId not in ben.connections)


class Elsewhere(asyncio.DatagramProtocol):
    """A SIP server that knows another address for everybody."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def connection_made(self, transport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, source) -> None:
        head, *lines = data.decode().split("\r\n")
        if head.startswith("INVITE"):
            kept = ("via:", "from:", "to:", "call-id:", "cseq:")
            own = [line for line in lines if line.lower().startswith(kept)]
            own = [f"{line};tag=1" if line.startswith("To:") else line for line in own]
            whole = ["SIP/2.0 302 Moved", *own, f"Contact: <{self._uri}>", "Content-Length: 0"]
            self._transport.sendto("\r\n".join([*whole, "", ""]).encode(), source)


@pytest.mark.long
async def test_a_telephone_behind_a_redirection_speaks_into_the_session(site, telephone) -> None:
    phone = await telephone()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Elsewhere(phone.uri), (own_address(), 0)
    )
    with contextlib.closing(transport):
        host, port = transport.get_extra_info("sockname")
        session = await site.session()
        ben = await site.join(session)
        call = await dial(site, session, f"sip:ann@{host}:{port}")
        await until(lambda: call.streamId in ben.streams, 30)
        await hears(await ben.subscribe(ben.streams[call.streamId]), PHONE_HZ)


@pytest.mark.long
async def test_a_held_telephone_is_silent_and_comes_back_and_is_hung_up(
    site, telephone, callbacks
) -> None:
    phone = await telephone()
    session = await site.session()
    ann, ben = await site.join(session), await site.join(session)
    await ann.publish(audio=Tone(TONE_HZ), video=False)
    call = await dial(site, session, phone.uri)
    await until(lambda: phone.hears(TONE_HZ) > AUDIBLE, 30)
    for count in (1, 2):
        phone.do("hold")
        await until(lambda count=count: states(callbacks).count("ON_HOLD") == count)
        phone.do("resume")
        await until(lambda count=count: states(callbacks).count("ACTIVE") == count + 1)
    phone.do("sndcode", "7")
    await until(lambda: [one.get("digit") for one in callbacks if "digit" in one] == ["7"])
    await until(lambda: call.streamId in ben.streams)
    await hears(await ben.subscribe(ben.streams[call.streamId]), PHONE_HZ)
    await asyncio.to_thread(site.application.force_disconnect, session, call.connectionId)
    await until(lambda: any(one.get("type") == "CALL_CLOSED" for one in phone.events))
    assert call.connectionId not in ben.connections
    await until(lambda: callbacks[-1]["event"] == "callDestroyed")
    assert (callbacks[0]["event"], callbacks[0]["call"]["id"]) == ("callCreated", call.id)
    assert states(callbacks)[:3] == ["DIALING", "RINGING", "ACTIVE"]
    assert states(callbacks)[-1] == "HANGUP"
    assert (callbacks[-1]["reason_code"], callbacks[-1]["reason_message"]) == (700, "normal")

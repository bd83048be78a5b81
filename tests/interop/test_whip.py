"""WHIP and WHEP with aiortc as encoder and player, and what each wrong request gets."""

import asyncio
import time

import aiohttp
import opentok
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from sealroute_client import ServerError, Session, read_counter
from sealroute_client.media.sources import open_test_pattern

from config.secret import Secret
from config.settings import IceSettings, SignalingSettings
from signaling.rest.whip import WhipGate
from signaling.sessions.http_client import HttpClient
from tests.media_site import MediaSite, media_site
from tests.served import NEEDS_THE_MEDIA_CORE, psnr, subscribed, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
TURN = IceSettings(turn_urls="turn:t.example turns:t.example", turn_secret=Secret("shared"))


class Peer:
    """An encoder or a player: aiortc and plain HTTP, nothing of Sealroute."""

    def __init__(self, site: MediaSite, http: aiohttp.ClientSession, session: str) -> None:
        self.site, self.http, self.session = site, http, session
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.headers: dict[str, str] = {}
        self.source = None

    def bearer(self, role: opentok.Roles = opentok.Roles.publisher) -> None:
        self.headers["Authorization"] = f"Bearer {self.site.token(self.session, role)}"

    async def offer(self) -> str:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def publishing(self) -> str:
        self.source = open_test_pattern(audio=True, video=True)
        for track in (self.source.audio, self.source.video):
            self.peer.addTransceiver(track, direction="sendonly")
        return await self.offer()

    async def playing(self) -> str:
        for kind in ("audio", "video"):
            self.peer.addTransceiver(kind, direction="recvonly")
        return await self.offer()

    async def begin(self, path: str, offer: str):
        answer = await self.http.post(
            self.site.url + path, data=offer, headers={**SDP, **self.headers}
        )
        text = await answer.text()
        if answer.status == 201:
            self.location = self.site.url + answer.headers["Location"]
            self.etag = answer.headers["ETag"]
            await self.peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
        return answer

    async def close(self) -> None:
        await self.peer.close()
        if self.source is not None:
            self.source.close()
            self.source.audio.stop()
            self.source.video.stop()


@pytest.fixture
async def site(tmp_path):
    async with media_site(tmp_path, ice=TURN) as running:
        yield running


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture
async def peers(site, http):
    made: list[Peer] = []

    def make(session: str, role: opentok.Roles = opentok.Roles.publisher) -> Peer:
        peer = Peer(site, http, session)
        peer.bearer(role)
        made.append(peer)
        return peer

    yield make
    for peer in made:
        await peer.close()


async def published(peers, session: str) -> tuple[Peer, str]:
    encoder = peers(session)
    answer = await encoder.begin(f"/whip/{session}?name=studio", await encoder.publishing())
    assert answer.status == 201
    return encoder, answer.headers["Sealroute-Stream"]


async def live(site, session: str) -> None:
    async with asyncio.timeout(10):
        while not list(await asyncio.to_thread(site.application.list_streams, session)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def image_of(frames):
    async with asyncio.timeout(15):
        skip = 10
        async for frame in frames:
            if skip == 0:
                return frame
            skip -= 1
    raise AssertionError("the track ended")


async def test_what_an_encoder_publishes_is_a_stream_like_any_other(site, peers) -> None:
    session = await site.session()
    viewer = await site.join(session)
    encoder, stream = await published(peers, session)
    subscriber = await subscribed(viewer)
    image = await image_of(subscriber.video)
    assert psnr(image, read_counter(image)) > 20
    (row,) = await asyncio.to_thread(site.application.list_streams, session)
    assert (row.id, row.name) == (stream, "studio")
    ended: list[str] = []
    viewer.on("streamDestroyed", lambda event: ended.append(str(event.detail["reason"])))
    done = await encoder.http.delete(encoder.location, headers=encoder.headers)
    assert done.status == 200
    await until(lambda: ended == ["clientDisconnected"])
    again = await encoder.http.delete(encoder.location, headers=encoder.headers)
    assert again.status == 404


async def test_a_player_gets_audio_and_video_of_a_stream_of_an_sdk(site, peers) -> None:
    session = await site.session()
    sender = await site.join(session)
    publisher = await sender.publish()
    player = peers(session, opentok.Roles.subscriber)
    await live(site, session)
    path = f"/whep/{session}/{publisher.stream_id}"
    answer = await player.begin(path, await player.playing())
    assert answer.status == 201, await answer.text()
    audio, video = (t.receiver.track for t in player.peer.getTransceivers())

    async def frames():
        while True:
            yield await video.recv()

    image = await image_of(frames())
    assert psnr(image, read_counter(image)) > 20
    audio_frame = [await asyncio.wait_for(audio.recv(), 5) for _ in range(50)][-1]
    assert abs(audio_frame.to_ndarray()).max() > 1_000
    await sender.unpublish(publisher)
    done = await player.http.delete(player.location, headers=player.headers)
    assert done.status == 404, "the end of the stream is the end of the player's session"


async def test_whip_to_whep_without_any_sdk(site, peers) -> None:
    session = await site.session()
    _, stream = await published(peers, session)
    await live(site, session)
    player = peers(session)
    answer = await player.begin(f"/whep/{session}/{stream}", await player.playing())
    assert answer.status == 201, await answer.text()
    video = player.peer.getTransceivers()[1].receiver.track
    await asyncio.wait_for(video.recv(), 15)


async def test_a_moderator_disconnects_an_encoder_by_rest(site, peers) -> None:
    session = await site.session()
    encoder = peers(session)
    answer = await encoder.begin(f"/whip/{session}", await encoder.publishing())
    connection = answer.headers["Sealroute-Connection"]
    await asyncio.to_thread(site.application.force_disconnect, session, connection)
    gone = await encoder.http.delete(encoder.location, headers=encoder.headers)
    assert gone.status == 404
    assert not list(await asyncio.to_thread(site.application.list_streams, session))


async def test_an_encoder_that_is_gone_ends_with_its_transport(site, peers) -> None:
    session = await site.session()
    viewer = await site.join(session)
    ended: list[str] = []
    viewer.on("connectionDestroyed", lambda event: ended.append(str(event.detail["reason"])))
    encoder, _ = await published(peers, session)
    await subscribed(viewer)
    await encoder.close()
    await until(lambda: ended, 15)


async def test_the_answer_names_ice_servers_with_credentials_of_its_own(site, peers) -> None:
    session = await site.session()
    encoder = peers(session)
    answer = await encoder.begin(f"/whip/{session}", await encoder.publishing())
    first, second = answer.headers.getall("Link")
    assert first.startswith('<turn:t.example>; rel="ice-server"; username="')
    assert second.startswith('<turns:t.example>; rel="ice-server"; username="')
    until_s, connection = first.partition('username="')[2].partition('"')[0].split(":")
    assert connection == answer.headers["Sealroute-Connection"]
    assert int(until_s) > time.time()


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"If-Match": "etag"}, "a=ice-ufrag:own\r\na=ice-pwd:own\r\na=candidate:1\r\n", 204),
        ({}, "a=candidate:1\r\n", 428),
        ({"If-Match": '"another"'}, "a=candidate:1\r\n", 412),
        ({"If-Match": "*"}, "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n", 422),
        ({"If-Match": "etag"}, "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n", 422),
        ({"If-Match": "etag"}, "no lines of SDP", 400),
        ({"If-Match": "etag", "Content-Type": "text/plain"}, "a=candidate:1\r\n", 415),
        ({"If-Match": "etag", "Authorization": "Bearer another"}, "a=candidate:1\r\n", 404),
        ({"If-Match": "etag", "Authorization": ""}, "a=candidate:1\r\n", 401),
    ],
)
async def test_trickled_candidates_and_restarts(site, peers, headers, body, status) -> None:
    session = await site.session()
    encoder = peers(session)
    offer = await encoder.publishing()
    await encoder.begin(f"/whip/{session}", offer)
    if ":own" in body:
        own = [
            line for line in offer.split("\r\n") if line.startswith(("a=ice-ufrag", "a=ice-pwd"))
        ]
        body = "\r\n".join(own[:2]) + "\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
    given = {**FRAGMENT, **encoder.headers, **headers}
    if given.get("If-Match") == "etag":
        given["If-Match"] = encoder.etag
    answer = await encoder.http.patch(encoder.location, data=body, headers=given)
    assert answer.status == status
    if status >= 400:
        assert (await answer.json())["message"]


async def test_joins_with_one_token_are_limited_through_all_doors_together(tmp_path, http) -> None:
    few = SignalingSettings(joins_per_token_per_min=2)
    async with media_site(tmp_path, signaling=few) as site:
        session = await site.session()
        token = site.token(session)
        peer = Peer(site, http, session)
        peer.headers["Authorization"] = f"Bearer {token}"
        offer = await peer.publishing()
        taken = await peer.begin(f"/whip/{session}", offer)
        client = Session(site.url, site.key, session, token)
        await client.connect()
        refused = await http.post(
            f"{site.url}/whip/{session}", data=offer, headers={**SDP, **peer.headers}
        )
        another = Session(site.url, site.key, session, token)
        with pytest.raises(ServerError, match="Too many requests"):
            await another.connect()
        await client.disconnect()
        await peer.close()
        assert (taken.status, refused.status) == (201, 429)


async def test_encrypted_sessions_take_only_who_declares_the_format_and_its_keys(
    site, peers
) -> None:
    session = await site.session(e2ee=True)
    encoder = peers(session)
    offer = await encoder.publishing()
    refused = await encoder.begin(f"/whip/{session}", offer)
    assert (refused.status, (await refused.json())["error"]) == (409, "e2ee_unsupported")
    encoder.headers["Sealroute-E2EE"] = "e2ee/2"
    refused = await encoder.begin(f"/whip/{session}", offer)
    assert (refused.status, (await refused.json())["error"]) == (409, "e2ee_required")
    encoder.headers["Sealroute-Kids"] = "0=0102030405060708, 1=0102030405060709"
    taken = await encoder.begin(f"/whip/{session}", offer)
    assert taken.status == 201, await taken.text()


async def test_relayed_sessions_take_neither(site, peers) -> None:
    session = await site.session(relayed=True)
    encoder = peers(session)
    refused = await encoder.begin(f"/whip/{session}", await encoder.publishing())
    assert (refused.status, (await refused.json())["code"]) == (409, 15008)


async def test_roles_hold_and_leave_nobody_behind(site, peers) -> None:
    session = await site.session()
    encoder = peers(session, opentok.Roles.subscriber)
    refused = await encoder.begin(f"/whip/{session}", await encoder.publishing())
    assert (refused.status, (await refused.json())["error"]) == (403, "permission_denied")
    assert site.plane.contexts[0].transports == {}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic abc"}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Content-Type": "application/json"}, 415),
        ({"body": ""}, 400),
        ({"body": "v=0\r\n" * 40_000}, 413),
        ({"body": b"\xff\xfe"}, 400),
        ({"path": "/whip/nonsense"}, 400),
        ({"path": "/whep/{session}/nobody"}, 400),
    ],
)
async def test_each_wrong_request_has_its_status_and_a_message(site, peers, change, status) -> None:
    session = await site.session()
    encoder = peers(session)
    offer = await encoder.publishing()
    body, path = change.pop("body", offer), change.pop("path", "/whip/{session}")
    answer = await encoder.http.post(
        site.url + path.format(session=session),
        data=body,
        headers={**SDP, **encoder.headers, **change},
    )
    assert answer.status == status, await answer.text()
    assert (await answer.json())["message"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_browsers_and_clients_can_ask_what_is_allowed(site, http) -> None:
    asked = await http.options(f"{site.url}/whip/x", headers={"Origin": "https://a.example"})
    assert asked.status == 204
    assert asked.headers["Accept-Post"] == "application/sdp"
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "Location" in asked.headers["Access-Control-Expose-Headers"]
    for method in ("GET", "PUT"):
        refused = await http.request(method, f"{site.url}/whip/x")
        assert (refused.status, refused.headers["Allow"]) == (405, "POST, OPTIONS")


async def test_a_player_of_an_unknown_stream_hears_so(site, peers) -> None:
    session = await site.session()
    player = peers(session)
    refused = await player.begin(f"/whep/{session}/nobody", await player.playing())
    assert (refused.status, (await refused.json())["error"]) == (404, "stream_not_found")


async def test_who_ends_before_the_answer_leaves_no_resource(site, peers, monkeypatch) -> None:
    gates = []
    begin, publish = WhipGate._begin, HttpClient.publish

    async def noted(self, request):
        gates.append(self)
        return await begin(self, request)

    async def ended(self, request):
        published = await publish(self, request)
        self._actor.expel(self.connection)
        return published

    monkeypatch.setattr(WhipGate, "_begin", noted)
    monkeypatch.setattr(HttpClient, "publish", ended)
    session = await site.session()
    encoder = peers(session)
    answer = await encoder.begin(f"/whip/{session}", await encoder.publishing())
    assert answer.status >= 400
    assert gates[0]._resources == {}

"""WHIP and WHEP: whatever is refused, and however late, leaves nobody and nothing behind."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application

from config.settings import HttpSettings
from sfu.media_plane import MediaError
from signaling.domain.errors import ErrorCode, Unauthorized
from signaling.domain.roles import Role
from signaling.domain.session_options import MediaMode, SessionOptions, SessionRecord
from signaling.domain.tokens import Admission
from signaling.metrics import Metrics
from signaling.protocol import messages as m
from signaling.rest import whip
from signaling.rest.whip import WhipGate
from signaling.sessions import http_client
from tests.conversation import House, settle
from tests.fakes.media_plane import FakeClientMedia
from tests.raw_peer import VP8_LINES, m_line, sdp
from tests.whole_state import all_of

VALUES = {"ufrag": "abcd", "pwd": "a" * 22, "fingerprint": ":".join(["AB"] * 32)}
KIDS = {"Sealroute-E2EE": "e2ee/2", "Sealroute-Kids": "0=0102030405060708"}


def offer(direction: str = "sendonly", lines: list[str] = VP8_LINES, **changes: str) -> str:
    return sdp(m_line("video", "96", lines, "0", {**VALUES, **changes}, direction=direction))


WHIP, WHEP = "/whip/2_session", "/whep/2_session/nothing"
CLEAR, ENCRYPTED = SessionOptions(), SessionOptions(e2ee=True)
OFFER, PLAYER = offer(), offer("recvonly")


class Tokens:
    """Admits the tokens that are names of roles."""

    def __init__(self, record: SessionRecord) -> None:
        self.record = record

    async def authenticate(self, _api_key, _session, token, *, origin=None):
        del origin
        if token not in {role.value for role in Role}:
            raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
        return Admission(self.record, Role(token), expires_s=2e9)


class Site:
    """A node whose session Ann is in; `ask` is a client without an SDK."""

    def __init__(self, house: House, http: TestClient, gate: WhipGate) -> None:
        self.house, self.http, self.gate = house, http, gate

    def whole(self) -> tuple:
        return all_of(self.house), dict(self.gate._resources)

    async def ask(self, path, body, *, token="publisher", method="POST", **headers):
        made = {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}", **headers}
        if token is None:
            del made["Authorization"]
        async with self.http.request(method, path, data=body.encode(), headers=made) as answer:
            return answer.status, answer.headers, await answer.text()


@pytest.fixture
async def open_site():
    opened = []

    async def make(options: SessionOptions = CLEAR, **settings) -> Site:
        house = House(e2ee=options.e2ee, **settings)
        house.record = SessionRecord("2_session", "1", options, 0)
        gate = WhipGate(
            Tokens(house.record), house.directory, HttpSettings(), Metrics(house.plane.counters)
        )
        app = Application()
        app.add_routes(gate.routes())
        http = TestClient(TestServer(app))
        await http.start_server()
        opened.append(http)
        return Site(house, http, gate)

    yield make
    for http in opened:
        await http.close()


@pytest.fixture(autouse=True)
def known_project(monkeypatch):
    """Ids of sessions are made by hand here."""
    monkeypatch.setattr(whip, "project_of", lambda _session: "1")


# What is refused before anybody has joined: options of the session, request, status.
UNHEARD = {
    "no token": (CLEAR, (WHIP, OFFER, {"token": None}), 401),
    "a wrong token": (CLEAR, (WHIP, OFFER, {"token": "x"}), 401),
    "another type": (CLEAR, (WHIP, OFFER, {"Content-Type": "text/plain"}), 415),
    "no SDP": (CLEAR, (WHIP, "hello", {}), 400),
    "an empty body": (CLEAR, (WHIP, "", {}), 400),
    "nothing to send": (CLEAR, (WHIP, PLAYER, {}), 400),
    "no certificate": (CLEAR, (WHIP, offer().replace("a=fingerprint", "a=x"), {}), 400),
    "no ICE": (CLEAR, (WHIP, offer(ufrag="!"), {}), 400),
    "no codec": (CLEAR, (WHIP, offer(lines=["a=rtpmap:96 H261/90000"]), {}), 409),
    "a viewer's token": (CLEAR, (WHIP, OFFER, {"token": "subscriber"}), 403),
    "a relayed session": (SessionOptions(media_mode=MediaMode.RELAYED), (WHIP, OFFER, {}), 409),
    "encrypted, not declared": (ENCRYPTED, (WHIP, OFFER, {}), 409),
    "encrypted, no key ids": (ENCRYPTED, (WHIP, OFFER, {"Sealroute-E2EE": "e2ee/2"}), 409),
    "encrypted, wrong key ids": (ENCRYPTED, (WHIP, OFFER, {**KIDS, "Sealroute-Kids": "0=12"}), 400),
    "player, no such stream": (CLEAR, (WHEP, PLAYER, {}), 404),
    "player, a sender's offer": (CLEAR, (WHEP, OFFER, {}), 400),
    "player, a publisher's token": (
        SessionOptions(),
        (WHEP, PLAYER, {"token": "publisheronly"}),
        403,
    ),
    "candidates for nobody": (
        SessionOptions(),
        (f"{WHIP}/resource/x", "", {"method": "PATCH"}),
        404,
    ),
    "an end for nobody": (CLEAR, (f"{WHIP}/resource/x", "", {"method": "DELETE"}), 404),
}


@pytest.mark.parametrize("name", UNHEARD)
@pytest.mark.parametrize("alone", [True, False])
async def test_what_is_refused_before_the_join_nobody_hears_of(open_site, name, alone):
    options, (path, body, more), status = UNHEARD[name]
    site = await open_site(options)
    ann = None if alone else await site.house.joined()
    before = site.whole()
    answered, _, text = await site.ask(path, body, **more)
    await settle()
    assert answered == status, text
    site.house.time.advance(60)
    assert site.whole() == before
    if ann is not None:
        assert not ann.seen(m.ConnectionCreated)


def seen_of_nobody(site: Site, ann, reported: list) -> None:
    """Neither a member nor the application."""
    if ann is not None:
        assert not ann.seen(m.ConnectionCreated)
        assert not ann.seen(m.ConnectionDestroyed)
    assert site.house.notices == reported


def fails(error: Exception):
    def fail(*_arguments, **_options):
        raise error

    async def fail_later(*_arguments, **_options):
        fail()

    return fail, fail_later


REFUSALS = {
    "the media refuses": (MediaError("codec_unsupported", "no"), 409),
    "the media fails": (RuntimeError("the core has ended"), 500),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("alone", [True, False])
async def test_an_encoder_that_the_media_refuses_is_gone(open_site, monkeypatch, name, alone):
    error, status = REFUSALS[name]
    site = await open_site()
    ann = None if alone else await site.house.joined()
    before, reported = site.whole(), list(site.house.notices)
    monkeypatch.setattr(FakeClientMedia, "publish", fails(error)[1])
    assert (await site.ask(WHIP, OFFER))[0] == status
    await settle()
    site.house.time.advance(60)
    assert site.whole() == before
    seen_of_nobody(site, ann, reported)


async def test_an_encoder_that_gets_no_answer_is_gone(open_site, monkeypatch):
    async def never(*_arguments, **_options):
        await asyncio.Event().wait()

    monkeypatch.setattr(http_client, "ANSWER_TIMEOUT_S", 0.05)
    monkeypatch.setattr(FakeClientMedia, "publish", never)
    site = await open_site()
    ann = await site.house.joined()
    before, reported = site.whole(), list(site.house.notices)
    assert (await site.ask(WHIP, OFFER))[0] == 503
    await settle()
    assert site.whole() == before
    seen_of_nobody(site, ann, reported)


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_player_that_the_media_refuses_is_gone(open_site, monkeypatch, name):
    error, status = REFUSALS[name]
    site = await open_site()
    ann = await site.house.joined()
    stream = await ann.publish()
    before, reported = site.whole(), list(site.house.notices)
    monkeypatch.setattr(FakeClientMedia, "play", fails(error)[0])
    assert (await site.ask(f"/whep/2_session/{stream}", PLAYER))[0] == status
    await settle()
    assert site.whole() == before
    seen_of_nobody(site, ann, reported)


async def test_while_the_media_decides_nobody_hears_of_an_encoder(open_site, monkeypatch):
    """Neither those who are there nor who joins meanwhile; then all do, the application too."""
    asked, answer, real = asyncio.Event(), asyncio.Event(), FakeClientMedia.publish

    async def later(*arguments, **options):
        asked.set()
        await answer.wait()
        return await real(*arguments, **options)

    monkeypatch.setattr(FakeClientMedia, "publish", later)
    site = await open_site()
    ann = await site.house.joined()
    asking = asyncio.create_task(site.ask(WHIP, OFFER))
    await asked.wait()
    reported = list(site.house.notices)
    ben = await site.house.joined()
    assert len(ben.welcome.connections) == 2
    assert len(ann.seen(m.ConnectionCreated)) == 1
    answer.set()
    status, headers, _ = await asking
    assert status == 201
    name = headers["Sealroute-Connection"]
    for member in (ann, ben):
        assert [one.connection.connection_id for one in member.seen(m.ConnectionCreated)][
            -1
        ] == name
    created = [
        one for one in site.house.notices[len(reported) :] if one.event == "connectionCreated"
    ]
    assert [one.subject for one in created][-1] == name
    assert (await site.ask(headers["Location"], "", method="DELETE"))[0] == 200
    assert site.house.notices[-1].event == "connectionDestroyed"


async def test_a_full_session_takes_no_encoder(open_site):
    site = await open_site(connections_per_session=1)
    ann = await site.house.joined()
    before = site.whole()
    assert (await site.ask(WHIP, OFFER))[0] == 409
    await settle()
    assert (site.whole(), ann.seen(m.ConnectionCreated)) == (before, [])


CHANGES = {
    "another token": ("DELETE", "", {"token": "moderator"}, 404),
    "no If-Match": ("PATCH", "", {"Content-Type": "application/trickle-ice-sdpfrag"}, 428),
    "another session of ICE": (
        "PATCH",
        "",
        {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": '"x"'},
        412,
    ),
    "an ICE restart": (
        "PATCH",
        "a=ice-ufrag:efgh\r\na=ice-pwd:" + "b" * 22 + "\r\n",
        {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"},
        422,
    ),
    "no fragment": (
        "PATCH",
        "\0",
        {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"},
        400,
    ),
    "another method": ("PUT", "", {}, 405),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_refused_change_leaves_the_encoder_as_it_was(open_site, name):
    method, body, more, status = CHANGES[name]
    site = await open_site()
    answered, headers, text = await site.ask(WHIP, OFFER)
    assert answered == 201, text
    await settle()
    before = site.whole()
    answered, _, text = await site.ask(headers["Location"], body, method=method, **more)
    assert (answered, site.whole()) == (status, before), text
    assert (await site.ask(headers["Location"], "", method="DELETE"))[0] == 200
    assert not site.gate._resources

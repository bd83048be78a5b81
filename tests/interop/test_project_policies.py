"""What an operator sets over the admin API holds for the next client and the next request."""

import asyncio
import contextlib
import os
import time

import aiohttp
import jwt
import pytest

from config.settings import HttpSettings, Settings, SignalingSettings, StorageSettings
from signaling.domain.operators import new_operator
from signaling.server import running_server
from signaling.storage.sqlite import open_sqlite
from tests.interop.test_running_server import Site, fake_plane

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]


@pytest.fixture
async def site(tmp_path):
    """A running server whose development project is changed by `site.admin`."""
    operator, token = new_operator("ada", random_bytes=os.urandom(32), now_ms=0)
    store = await open_sqlite(tmp_path)
    await store.operators.add_operator(operator)
    await store.close()
    settings = Settings(
        http=HttpSettings(host="127.0.0.1", port=0),
        storage=StorageSettings(data_dir=str(tmp_path), cache_ms=0, development_project=True),
        signaling=SignalingSettings(grace_ms=0, linger_ms=0),
    )
    async with (
        running_server(settings, open_plane=fake_plane) as server,
        aiohttp.ClientSession() as http,
    ):
        made = Site(server, tmp_path, http)

        async def admin(method, rest="", **body):
            url = f"http://127.0.0.1:{server.operations_port}/admin/v1/projects/{made.key}{rest}"
            headers = {"Authorization": f"Bearer {token}"}
            async with http.request(method, url, json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                return await answer.json()

        made.admin = admin
        yield made


@contextlib.asynccontextmanager
async def client(site, session, token=None, origin=None):
    """A client at the door: the first message that it gets, and its socket."""
    headers = {} if origin is None else {"Origin": origin}
    async with site.http.ws_connect(
        site.url + "/v1/signal", protocols=("sealroute.v2.json",), headers=headers
    ) as socket:
        await socket.send_json(
            {
                "t": "hello", "id": 1, "apiKey": site.key, "sessionId": session,
                "token": token or site.token(session), "sdk": {"name": "test", "version": "1"},
                "e2ee": {"formats": ["e2ee/2"]},
            }
        )  # fmt: skip
        yield await asyncio.wait_for(socket.receive_json(), 5), socket


def rest_token(site, secret):
    now_s = int(time.time())
    claims = {"iss": site.key, "ist": "project", "iat": now_s, "exp": now_s + 60}
    return jwt.encode(claims, secret, algorithm="HS256")


def outcome(first):
    return "welcome" if first["t"] == "welcome" else first["code"]


async def test_pages_of_other_origins_are_kept_out_and_who_is_no_page_is_not(site):
    session = await site.session()
    await site.admin("PATCH", allowedOrigins=["https://shop.example"])
    for origin, expected in (
        ("https://shop.example", "welcome"),
        (None, "welcome"),
        ("https://evil.example", "origin_refused"),
        ("https://shop.example.evil.example", "origin_refused"),
        ("http://shop.example", "origin_refused"),
        ("null", "origin_refused"),
    ):
        async with client(site, session, origin=origin) as (first, _):
            assert outcome(first) == expected, origin
    await site.admin("PATCH", allowedOrigins=[])
    async with client(site, session, origin="https://evil.example") as (first, _):
        assert outcome(first) == "welcome"


async def test_a_session_takes_no_more_clients_than_the_project_may_have(site):
    session = await site.session()
    await site.admin("PATCH", maxConnections=1)
    async with client(site, session) as (first, _):
        assert outcome(first) == "welcome"
        async with client(site, session) as (second, _):
            assert outcome(second) == "connection_limit"
    async with client(site, session) as (again, _):
        assert outcome(again) == "welcome"


async def test_a_project_opens_no_more_sessions_than_it_may_have(site):
    first_session, second_session = await site.session(), await site.session()
    await site.admin("PATCH", maxSessions=1)
    async with client(site, first_session) as (first, _):
        assert outcome(first) == "welcome"
        async with client(site, second_session) as (second, _):
            assert outcome(second) == "session_limit"
        async with client(site, first_session) as (more, _):
            assert outcome(more) == "welcome"
    async with client(site, second_session) as (free, _):
        assert outcome(free) == "welcome"


async def test_a_rotated_secret_holds_beside_the_old_one_until_its_grace_is_over(site):
    session = await site.session()
    old = site.token(session)

    async def rest_status(secret):
        headers = {"X-OPENTOK-AUTH": rest_token(site, secret), "Accept": "application/json"}
        async with site.http.post(site.url + "/session/create", headers=headers) as answer:
            return answer.status

    made = await site.admin("POST", "/secret", graceS=600)
    assert made["apiSecret"] != site.secret
    for secret in (site.secret, made["apiSecret"]):
        assert await rest_status(secret) == 200
    async with client(site, session, token=old) as (first, _):
        assert outcome(first) == "welcome"

    last = await site.admin("POST", "/secret", graceS=0)
    for secret, status in ((site.secret, 403), (made["apiSecret"], 403), (last["apiSecret"], 200)):
        assert await rest_status(secret) == status
    async with client(site, session, token=old) as (first, _):
        assert outcome(first) == "authentication_failed"


@pytest.mark.parametrize(
    ("said", "encrypted"), [({}, True), ({"e2ee": "false"}, False), ({"e2ee": "true"}, True)]
)
async def test_sessions_are_encrypted_by_default_where_the_project_says_so(site, said, encrypted):
    """Unless the application says otherwise, as the Python SDK `opentok` does in every request."""
    await site.admin("PATCH", e2eeByDefault=True)
    headers = {"X-OPENTOK-AUTH": rest_token(site, site.secret), "Accept": "application/json"}
    form = {"p2p.preference": "disabled", **said}
    async with site.http.post(site.url + "/session/create", data=form, headers=headers) as answer:
        (made,) = await answer.json()
    assert made["e2ee"] is encrypted
    async with client(site, made["session_id"]) as (first, _):
        assert first["session"]["e2ee"] is encrypted


async def test_a_projects_own_credentials_and_guesses_administer_nothing(site):
    url = f"{site.operations_url}/admin/v1/projects/{site.key}"
    for token in (site.secret, rest_token(site, site.secret), "sealroute_operator_" + "0" * 64):
        headers = {"Authorization": f"Bearer {token}"}
        async with site.http.patch(url, json={"maxSessions": 1}, headers=headers) as answer:
            assert answer.status == 403
            assert (await answer.json())["error"] == "credentials_invalid"
    shown = await site.admin("GET")
    assert shown["maxSessions"] is None
    assert site.secret not in str(shown)

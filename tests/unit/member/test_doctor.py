"""What `sealroute-member doctor` finds."""

from dataclasses import replace
from email.utils import formatdate

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from member import doctor
from member.credentials import ProjectKey
from member.policy import Policy
from member.recording import Tools
from member.secret_source import OneSecret, SecretCommand, SecretFile
from member.uploads import Uploads
from sfu.egress.buckets import Bucket
from sfu.egress.member_lines import PATH
from signaling.domain.session_ids import new_session_id
from tests.fakes.uploads import FakeUploader

KEY = ProjectKey("1234567", "a secret of the project, long enough")
OWN = new_session_id("1234567", "", 1, bytes(16))
FOREIGN = new_session_id("7654321", "", 1, bytes(16))


class Server:
    """`status`: what it answers to the service; `date`: what it takes the time for."""

    def __init__(self):
        self.status, self.date, self.said = 101, formatdate(usegmt=True), []
        app = web.Application()
        app.add_routes([web.get("/healthz", self._health), web.get(PATH, self._member)])
        self.server = TestServer(app)

    async def _health(self, _request):
        return web.Response(headers={"Date": self.date})

    async def _member(self, request):
        if self.status != 101:
            return web.Response(status=self.status)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.said.extend([message async for message in ws])
        return ws


@pytest.fixture
async def server():
    made = Server()
    await made.server.start_server()
    yield made
    await made.server.close()


@pytest.fixture
def tools(server, tmp_path):
    tmp_path.chmod(0o700)
    policy = Policy.of([OWN], min_free_bytes=1)
    return Tools(str(server.server.make_url("")), KEY, OneSecret("x"), policy, tmp_path, None)


async def bad(tools) -> dict[str, str]:
    found = await doctor.examine(tools)
    return {one.check: one.text for one in found if one.state == "error"}


async def test_where_all_is_well_it_says_so_and_offers_nothing(server, tools) -> None:
    found = await doctor.examine(tools)
    text, is_well = doctor.report(found)
    assert is_well
    assert "takes this service" in text
    assert f"secret of {OWN}: there is one" in text
    assert server.said == []
    assert KEY.api_secret not in text


@pytest.mark.parametrize(("status", "word"), [(401, "API secret"), (404, "proxy"), (502, "502")])
async def test_a_server_that_does_not_take_it(server, tools, status, word) -> None:
    server.status = status
    assert word in (await bad(tools))["server"]


async def test_a_server_that_is_not_there(tools) -> None:
    assert list(await bad(replace(tools, url="http://127.0.0.1:9"))) == ["server"]


async def test_a_clock_that_is_wrong(server, tools) -> None:
    server.date = formatdate(1_000_000_000, usegmt=True)
    assert list(await bad(tools)) == ["clock"]


async def test_secrets_that_are_missing_or_of_other_sessions(tools, tmp_path) -> None:
    lost = replace(tools, secrets=SecretFile(tmp_path / "none"))
    assert list(await bad(lost)) == [f"secret of {OWN}"]
    foreign = replace(tools, policy=Policy.of([FOREIGN], min_free_bytes=1))
    assert "another project" in (await bad(foreign))[f"secret of {FOREIGN}"]
    command = replace(
        tools, policy=Policy.of(["any"], min_free_bytes=1), secrets=SecretCommand.of("/bin/false")
    )
    assert await bad(command) == {}
    assert "not tried" in doctor.report(await doctor.examine(command))[0]


async def test_a_folder_that_is_full_open_or_gone(tools, tmp_path) -> None:
    full = replace(tools, policy=Policy.of([OWN], min_free_bytes=1 << 60))
    assert list(await bad(full)) == ["folder"]
    assert list(await bad(replace(tools, folder=tmp_path / "none"))) == ["folder"]
    tmp_path.chmod(0o755)
    text, is_well = doctor.report(await doctor.examine(tools))
    assert is_well
    assert "chmod 700" in text


async def test_a_bucket_without_its_client(tools, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "UPLOADING", "no_such_package")
    bucket = Bucket("s3", "recordings", "id", "secret")
    assert "bucket" in await bad(replace(tools, uploads=Uploads(bucket, FakeUploader())))

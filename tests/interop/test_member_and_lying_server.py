"""A member service and a server that works against it: what is recorded, where, and what is not."""

import asyncio
import contextlib
import functools
import hashlib
import json
import uuid

import pytest
from aiohttp import web
from sealroute_client.e2ee import secret

from member import service
from member.credentials import ProjectKey
from member.policy import Policy
from member.recording import Tools
from member.secret_source import NoSecretError
from member.service import REFUSALS_AT_ONCE, Service
from sfu.egress import frame_records as records
from sfu.egress import member_lines as lines
from sfu.egress.control import LineError
from signaling.domain.session_ids import new_session_id
from tests.fakes.egress import FakeEgress
from tests.served import until
from tests.small_server import SECRET, Server

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]
KEY = ProjectKey("1234567", "a secret of the project, long enough")
OWN = new_session_id(KEY.api_key, "", 1, b"a" * 16)
ANOTHER = new_session_id(KEY.api_key, "", 1, b"b" * 16)
FOREIGN = new_session_id("7654321", "", 1, b"c" * 16)
REPORTED_BEFORE = (lines.OfferLine, lines.MemberProgressLine)


@pytest.fixture(autouse=True, scope="module")
def nothing_is_waited_for():
    """Keys take a part of a second each, and are derived once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret, "session_key", functools.cache(secret.session_key))
        patch.setattr(service, "WAITS_S", (0.05, 0.05))
        yield


class LyingServer(Server):
    """`say` sends the member whatever a test wants; `reports` is what it answers."""

    def __init__(self, **claims: object) -> None:
        super().__init__(**claims)
        self.session_id = OWN
        self.reports: list[object] = []
        self.comes = 0
        self._member: web.WebSocketResponse | None = None

    async def start(self) -> None:
        await super().start()
        await self.runner.cleanup()
        app = web.Application()
        app.router.add_get("/v1/signal", self.serve)
        app.router.add_get(lines.PATH, self.serve_member)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def serve_member(self, request: web.Request) -> web.WebSocketResponse:
        self._member = socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.comes += 1
        await socket.send_str(lines.encode(lines.RegisteredLine()))
        async for message in socket:
            self.reports.append(lines.read_from_member(message.data))
        return socket

    async def say(self, line) -> None:
        await self._member.send_str(line if isinstance(line, str) else lines.encode(line))

    async def ask(self, session: str = OWN, **changes: object) -> str:
        archive = str(uuid.uuid4())
        await self.say(lines.ArchiveLine(archive, session, "n", 1, **changes))
        return archive

    def outcomes(self) -> list[object]:
        return [one for one in self.reports if not isinstance(one, REPORTED_BEFORE)]

    async def failure(self, archive: str) -> str:
        await until(lambda: lines.MemberFailedLine in map(type, self.outcomes()), 20)
        (found,) = (one for one in self.outcomes() if isinstance(one, lines.MemberFailedLine))
        assert found.archive == archive
        return found.code


class Secrets:
    """The same for all sessions but one; `asked`: for these."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def secret_of(self, session: str) -> str:
        self.asked.append(session)
        if session == ANOTHER:
            raise NoSecretError("there is none")
        return SECRET


class Place:
    """A member service against a lying server."""

    def __init__(self, server: LyingServer, folder, **limits: object) -> None:
        self.egress, self.secrets, self.folder = FakeEgress(), Secrets(), folder
        policy = Policy.of([OWN, ANOTHER, FOREIGN], min_free_bytes=0, **limits)
        self.service = Service(Tools(server.url, KEY, self.secrets, policy, folder, self.egress))
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self.service.run(self._stop))

    async def leave(self) -> None:
        self._stop.set()
        await asyncio.wait_for(self._task, 30)
        await self.egress.close()


@contextlib.asynccontextmanager
async def place_of(tmp_path, server: LyingServer | None = None, **limits: object):
    server = server or LyingServer()
    await server.start()
    place = Place(server, tmp_path / "out", **limits)
    place.folder.mkdir()
    try:
        await until(lambda: server.comes == 1)
        yield server, place
    finally:
        await place.leave()
        await server.stop()


async def test_sessions_of_others_and_without_a_secret_are_not_joined(tmp_path) -> None:
    async with place_of(tmp_path) as (server, place):
        foreign = await server.ask(FOREIGN)
        assert await server.failure(foreign) == "refused"
        assert place.secrets.asked == []
        server.reports.clear()
        unknown = await server.ask(ANOTHER)
        assert await server.failure(unknown) == "refused"
        server.reports.clear()
        not_allowed = await server.ask(new_session_id(KEY.api_key, "", 1, b"d" * 16))
        assert await server.failure(not_allowed) == "refused"
        assert server.hellos == []
        assert place.egress.jobs == {}
        assert list(place.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("claims", "media_mode"), [({"e2ee": False}, "routed"), ({"e2ee": True}, "relayed")]
)
async def test_a_session_that_is_called_clear_or_relayed_is_left(tmp_path, claims, media_mode):
    server = LyingServer(**claims)
    server.media_mode = media_mode
    async with place_of(tmp_path, server) as (_, place):
        assert await server.failure(await server.ask()) == "join_failed"
        assert place.egress.jobs == {}
        assert list(place.folder.iterdir()) == []
        assert {message["t"] for message in server.messages} <= {"hello", "bye"}


async def test_another_session_behind_the_name_of_this_one_is_left(tmp_path) -> None:
    server = LyingServer()
    server.session_id = ANOTHER
    async with place_of(tmp_path, server) as (_, place):
        assert await server.failure(await server.ask()) == "join_failed"
        assert place.egress.jobs == {}


async def test_frames_of_another_session_do_not_open(tmp_path) -> None:
    """The peer's frames are encrypted with the same secret, for another session id."""
    async with place_of(tmp_path) as (server, place):
        archive = await server.ask()
        await until(lambda: place.egress.jobs, 20)
        stream = lines.StreamLine(archive, "stream-peer", ["audio", "video"])
        await server.say(stream)
        await until(lambda: server.publisher is not None, 20)
        await until(lambda: any(m.get("state") == "mismatch" for m in server.messages), 30)
        assert frames_in(place.egress.jobs[archive].media) == []


def frames_in(media) -> list[records.FrameRecord]:
    assembler, found = records.FrameAssembler(), []
    media.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while datagram := media.recv(records.MAX_RECORD_BYTES):
            found.append(assembler.take(datagram))
    return [one for one in found if isinstance(one, records.FrameRecord)]


@pytest.mark.parametrize(
    "archive",
    ["../../etc/x", "/etc/passwd", "..", "", "a/b", "A" * 36, "%2e%2e", f"{uuid.UUID(int=7)}/x"],
)
async def test_an_id_that_could_be_a_path_ends_the_connection(tmp_path, archive) -> None:
    async with place_of(tmp_path) as (server, place):
        said = {"line": "archive", "archive": archive, "session": OWN, "name": "n"}
        await server.say(json.dumps({**said, "created_unix_ms": 1}))
        await until(lambda: server.comes == 2, 20)  # it comes again, having made nothing of it
        assert place.egress.jobs == {}
        assert list(place.folder.iterdir()) == []


async def test_names_are_text_and_no_paths(tmp_path) -> None:
    async with place_of(tmp_path) as (server, place):
        archive = str(uuid.uuid4())
        await server.say(lines.ArchiveLine(archive, OWN, "../../../etc/x\x00", 1))
        await until(lambda: place.egress.jobs, 20)
        job = place.egress.jobs[archive].job
        assert job.folder == place.folder / archive
        assert [one.name for one in place.folder.iterdir()] == [archive]
        # Again with the same id: the first one is not touched.
        server.reports.clear()
        await server.say(lines.ArchiveLine(archive, OWN, "n", 1))
        assert await server.failure(archive) == "refused"
        assert len(place.egress.jobs) == 1


async def test_a_flood_of_archives_begins_a_bounded_number(tmp_path) -> None:
    async with place_of(tmp_path, archives_max=1) as (server, place):
        for _ in range(100):
            await server.ask()
        await until(lambda: len(server.outcomes()) >= 99, 30)
        failures = [one for one in server.outcomes() if isinstance(one, lines.MemberFailedLine)]
        assert {one.code for one in failures} == {"no_capacity"}
        await until(lambda: len(place.egress.jobs) == 1, 30)
        assert len(place.secrets.asked) == 1


async def test_a_server_that_asks_in_vain_again_and_again_is_left_and_found_again(tmp_path) -> None:
    async with place_of(tmp_path) as (server, place):
        with contextlib.suppress(ConnectionError):
            for _ in range(REFUSALS_AT_ONCE * 2):
                await server.ask(FOREIGN)
        await until(lambda: server.comes == 2, 30)
        assert len(server.outcomes()) < REFUSALS_AT_ONCE * 2
        assert place.secrets.asked == []


async def test_a_server_that_does_not_read_reports_is_left(tmp_path) -> None:
    async with place_of(tmp_path) as (_, place):
        outbox: asyncio.Queue[str] = asyncio.Queue(1)
        order = lines.ArchiveLine(str(uuid.uuid4()), FOREIGN, "n", 1)
        place.service._handle(order, outbox)
        assert outbox.full()
        with pytest.raises(LineError):
            place.service._handle(order, outbox)


async def test_an_archive_that_the_server_never_stops_ends_all_the_same(tmp_path) -> None:
    async with place_of(tmp_path, archive_s=0.1) as (server, place):
        archive = await server.ask()
        await until(lambda: place.egress.jobs, 20)
        job = place.egress.jobs[archive]
        job.recorded_ms = 100
        await until(lambda: lines.MemberDoneLine in map(type, server.outcomes()), 20)
        assert "finish" in job.done


async def test_what_is_recorded_is_finished_when_the_server_is_lost(tmp_path) -> None:
    async with place_of(tmp_path) as (server, place):
        archive = await server.ask()
        await until(lambda: place.egress.jobs, 20)
        place.egress.jobs[archive].recorded_ms = 3_000
        await server._member.close()
        file = place.folder / archive / "archive.zip"
        await until(file.exists, 20)


async def test_a_stop_is_reported_with_the_file_and_nothing_of_the_secret(tmp_path) -> None:
    async with place_of(tmp_path) as (server, place):
        archive = await server.ask()
        await until(lambda: lines.JoinedLine in map(type, server.outcomes()), 20)
        job = place.egress.jobs[archive]
        job.recorded_ms = 3_000
        await server.say(lines.StopLine(archive, "user initiated"))
        await until(lambda: lines.MemberDoneLine in map(type, server.outcomes()), 20)
        done = server.outcomes()[-1]
        content = (place.folder / archive / "archive.zip").read_bytes()
        assert (done.size_bytes, done.sha256) == (
            len(content),
            hashlib.sha256(content).hexdigest(),
        )
        assert SECRET not in json.dumps([str(one) for one in (*server.messages, *server.reports)])


@pytest.mark.parametrize("line", ["", "{}", "null", '{"line":"stop"}', "[" * 50, '{"line":"x"}'])
async def test_what_is_no_line_ends_the_connection_and_it_comes_again(tmp_path, line) -> None:
    async with place_of(tmp_path) as (server, _):
        await server.say(line)
        await until(lambda: server.comes == 2, 20)

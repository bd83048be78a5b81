"""What is between the server and a bucket: a process for each attempt, a relay that checks."""

import asyncio
import base64
import sys

import pytest

from sfu.egress.buckets import Bucket, UploadJob
from sfu.egress.uploading.relay import Relay
from sfu.egress.uploads import Uploader, UploadError, read_answer
from sfu.target_policy import TargetPolicy, networks

JOB = UploadJob(Bucket("s3", "bucket", "id", "secret"), "key", "/nowhere", 10)
LOOPBACK = TargetPolicy(networks("127.0.0.0/8"))


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("print('null', end='')", None),
        ("print('\"denied\"', end='')", "denied"),
        ("print('\"some other word\"')", "unreachable"),
        ("print('x' * 1_000_000)", "unreachable"),
        ("import os; os.abort()", "unreachable"),
    ],
)
async def test_what_a_process_says_is_one_of_few_words(program, code):
    uploader = Uploader((sys.executable, "-c", f"import sys; sys.stdin.read(); {program}"))
    if code is None:
        await uploader.upload(JOB)
        return
    with pytest.raises(UploadError) as failed:
        await uploader.upload(JOB)
    assert failed.value.code == code


async def test_the_secret_is_in_no_argument_and_no_environment():
    program = (
        "import json, os, sys; text = sys.stdin.read(); "
        "seen = str(sys.argv[1:]) + str(dict(os.environ)); "
        "print(json.dumps(None if 'secret' in text and 'secret' not in seen else 'denied'), end='')"
    )
    await Uploader((sys.executable, "-c", program)).upload(JOB)


async def test_without_a_program_the_bucket_is_away():
    with pytest.raises(UploadError):
        await Uploader(("/nowhere/python",)).upload(JOB)


def test_an_answer_that_is_none_is_a_failure():
    for line in (b"", b"nul", b"5", b"\xff", b'"uploaded"'):
        assert read_answer(line) == "unreachable"


class Origin:
    """A server that repeats what it is told."""

    def __init__(self):
        self.connections = 0

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        self.connections += 1
        writer.write(await reader.read(1_000))
        await writer.drain()
        writer.close()


async def asked(relay_url, head, body=b"", *, credentials=None):
    authority = relay_url.removeprefix("http://")
    user, _, address = authority.partition("@")
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    token = base64.b64encode((credentials or user).encode()).decode()
    writer.write(f"{head} HTTP/1.1\r\nproxy-authorization: Basic {token}\r\n\r\n".encode() + body)
    try:
        return await asyncio.wait_for(reader.read(2_000), 10)
    finally:
        writer.close()


@pytest.fixture
async def origin():
    made = Origin()
    made.port = await made.start()
    yield made
    made.server.close()


async def test_a_relay_goes_where_the_operator_permits(origin):
    relay = Relay(LOOPBACK)
    async with relay.running() as url:
        for head in (f"GET http://127.0.0.1:{origin.port}/x", f"CONNECT 127.0.0.1:{origin.port}"):
            assert await asked(url, head, b"hello")
    assert (origin.connections, relay.refused) == (2, False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254"])
async def test_a_relay_goes_nowhere_else(origin, host):
    relay = Relay(TargetPolicy())
    async with relay.running() as url:
        for head in (f"CONNECT {host}:{origin.port}", f"PUT http://{host}:{origin.port}/x"):
            assert (await asked(url, head)).startswith(b"HTTP/1.1 403")
    assert (origin.connections, relay.refused) == (0, True)


async def test_without_encryption_a_relay_does_not_leave_the_operators_networks():
    relay = Relay(LOOPBACK)
    async with relay.running() as url:
        assert (await asked(url, "PUT http://93.184.216.34/x")).startswith(b"HTTP/1.1 403")


async def test_nobody_else_on_the_machine_uses_a_relay(origin):
    relay = Relay(LOOPBACK)
    async with relay.running() as url:
        head = f"CONNECT 127.0.0.1:{origin.port}"
        refused = await asked(url, head, credentials="upload:guess")
        assert refused.startswith(b"HTTP/1.1 502")
        for nonsense in ("", "CONNECT", "GET /x", "CONNECT host:port:more", "GET http://[/"):
            assert (await asked(url, nonsense)).startswith(b"HTTP/1.1 502")
    assert origin.connections == 0

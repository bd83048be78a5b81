"""Scripts go out compressed, as the build left them beside the files, to clients that accept it."""

import gzip
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from signaling.http.static_files import file_response, find_file, refusal_of

SCRIPT = b"const call = 1;\n" * 200
GZIPPED = gzip.compress(SCRIPT, mtime=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sdk.js").write_bytes(SCRIPT)
    (tmp_path / "sdk.js.gz").write_bytes(GZIPPED)
    (tmp_path / "sdk.js.br").write_bytes(b"brotli")
    (tmp_path / "plain.js").write_bytes(SCRIPT)
    (tmp_path / "model.wasm").write_bytes(b"\0asm")
    return tmp_path


@pytest.fixture
async def client(root: Path):
    async def serve(request: web.Request) -> web.StreamResponse:
        file = find_file(root, request.rel_url.raw_path)
        if file is None:
            raise web.HTTPNotFound
        if refusal_of(request, file):
            raise web.HTTPPreconditionFailed
        return file_response(file, "host")

    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", serve)
    server = TestServer(app)
    async with TestClient(server, auto_decompress=False) as client:
        yield client


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [
        ("gzip, br", "br", b"brotli"),
        ("gzip", "gzip", GZIPPED),
        ("identity", None, SCRIPT),
    ],
    ids=["best", "gzip", "as it is"],
)
async def test_a_script_is_sent_as_the_client_accepts_it(client, accepted, encoding, body) -> None:
    answer = await client.get("/sdk.js", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "Accept-Encoding" in answer.headers.get("Vary", "")
    assert await answer.read() == body


async def test_its_tag_and_its_ranges_are_those_of_what_is_sent(client) -> None:
    headers = {"Accept-Encoding": "gzip"}
    tag = (await client.get("/sdk.js", headers=headers)).headers["ETag"]
    assert (await client.get("/sdk.js", headers={**headers, "If-Match": tag})).status == 200
    assert (await client.get("/sdk.js", headers={**headers, "If-None-Match": tag})).status == 304
    plain = {"Accept-Encoding": "identity", "If-Match": tag}
    assert (await client.get("/sdk.js", headers=plain)).status == 412
    far = {**headers, "Range": "bytes=2000-"}
    assert (await client.get("/sdk.js", headers=far)).status == 412


async def test_what_the_build_compressed_is_no_page_of_its_own(client) -> None:
    accepting = {"Accept-Encoding": "gzip, br"}
    answer = await client.get("/plain.js", headers=accepting)
    assert (answer.headers.get("Content-Encoding"), await answer.read()) == (None, SCRIPT)
    assert (await client.get("/sdk.js.gz")).status == 404
    answer = await client.get("/model.wasm", headers=accepting)
    assert answer.headers["Content-Type"] == "application/wasm"

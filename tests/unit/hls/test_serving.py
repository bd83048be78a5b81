"""The HLS server: what viewers get, what they wait for, what nobody gets."""

import asyncio
import os
import uuid

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from sfu.egress.blocking_reload import position_of
from sfu.egress.child.hls_output import HlsOutput
from sfu.egress.live_outputs import HlsTarget
from signaling.hls.folders import Folders, Part
from signaling.hls.serving import HlsServing
from tests.unit.egress.broadcast_media import encoded

KEY = "0123456789abcdef" * 2


class Site:
    """One broadcast, written as far as a test wants."""

    def __init__(self, root, client, fetched):
        self.root, self.client, self.fetched = root, client, fetched
        self.id = str(uuid.uuid4())
        self.folder = root / self.id
        self.folder.mkdir()
        (self.folder / "key").write_text(KEY)
        tracks, self._packets = encoded(9)
        self._next = 0
        self.output = HlsOutput(
            self.folder, tracks, HlsTarget(2_000, part_ms=500), 1_795_240_000_000
        )

    def write(self, seconds):
        """Up to this time of the media."""
        while self._next < len(self._packets):
            packet = self._packets[self._next]
            if packet.at / (30 if packet.kind == "video" else 48_000) > seconds:
                return
            self.output.write(packet)
            self._next += 1

    def path(self, file, key=KEY, broadcast=None):
        return f"/hls/{broadcast or self.id}/{key}/{file}"

    async def get(self, file, **query):
        async with self.client.get(self.path(file), params=query) as answer:
            return answer.status, await answer.read(), answer.headers


@pytest.fixture
async def site(tmp_path):
    fetched: list[str] = []
    serving = HlsServing(Folders(tmp_path), fetched.append)
    async with TestClient(TestServer(serving.app())) as client:
        yield Site(tmp_path, client, fetched)


async def test_a_playlist_is_never_kept_and_parts_for_good(site):
    site.write(5)
    status, body, headers = await site.get("index.m3u8")
    assert (status, body) == (200, (site.folder / "index.m3u8").read_bytes())
    assert headers["Content-Type"] == "application/vnd.apple.mpegurl"
    assert headers["Cache-Control"] == "no-store"
    for name in ("init.mp4", "0.m4s", "0.3.m4s"):
        status, body, headers = await site.get(name)
        assert (status, body) == (200, (site.folder / name).read_bytes())
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert headers["Access-Control-Allow-Origin"] == "*"
    assert site.fetched == [site.id]
    await site.get("index.m3u8")
    assert site.fetched == [site.id]


async def test_any_web_page_may_ask(site):
    async with site.client.options(site.path("index.m3u8")) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    site.write(3)
    async with site.client.head(site.path("index.m3u8")) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_who_asks_for_what_comes_next_gets_it_when_it_is_there(site):
    site.write(4.6)
    asked = asyncio.create_task(site.get("index.m3u8", _HLS_msn=2, _HLS_part=1))
    hinted = asyncio.create_task(site.get("2.1.m4s"))
    done, _ = await asyncio.wait({asked, hinted}, timeout=0.2)
    assert not done
    site.write(5.1)
    status, body, _ = await asked
    assert status == 200
    assert b'"2.1.m4s"' in body
    status, body, _ = await hinted
    assert (status, body) == (200, (site.folder / "2.1.m4s").read_bytes())


async def test_many_wait_with_one_look_at_the_disk_and_the_end_wakes_all(site):
    site.write(4.6)
    asked = [asyncio.create_task(site.get("index.m3u8", _HLS_msn=2)) for _ in range(20)]
    await asyncio.wait(asked, timeout=0.2)
    site.output.close()
    answers = await asyncio.gather(*asked)
    assert {status for status, _, _ in answers} == {200}
    assert all(body.endswith(b"#EXT-X-ENDLIST\n") for _, body, _ in answers)


@pytest.mark.parametrize(
    "query",
    [
        {"_HLS_msn": "99"},
        {"_HLS_msn": "x"},
        {"_HLS_part": "1"},
        {"_HLS_msn": "2", "_HLS_part": "99"},
    ],
)
async def test_what_is_too_far_ahead_is_refused(site, query):
    site.write(4.6)
    assert (await site.get("index.m3u8", **query))[0] == 400


async def test_a_player_that_waited_too_long_has_to_ask_again(site, monkeypatch):
    monkeypatch.setattr("signaling.hls.serving.WAIT_TARGETS", 0.02)
    site.write(4.6)
    assert (await site.get("index.m3u8", _HLS_msn=2))[0] == 503
    monkeypatch.setattr("signaling.hls.serving.MAX_WAITING", 0)
    assert (await site.get("index.m3u8", _HLS_msn=2))[0] == 503


@pytest.mark.parametrize(
    "path",
    [
        "/hls/{id}/{key}/key",
        "/hls/{id}/{key}/..%2findex.m3u8",
        "/hls/{id}/{key}/%2e%2e/{id}/{key}/index.m3u8",
        "/hls/{id}/{key}/0.m4s%00",
        "/hls/{id}/{key}/index.m3u8.unfinished",
        "/hls/{id}/{key}/99.m4s",
        "/hls/{id}/{key}/9.9.m4s",
        "/hls/{id}/" + "0" * 32 + "/index.m3u8",
        "/hls/{id}/x/index.m3u8",
        "/hls/{id}//index.m3u8",
        "/hls/../{key}/index.m3u8",
        "/hls/..%2f{id}/{key}/index.m3u8",
        "/hls/%2e/{key}/index.m3u8",
        "/hls/00000000-0000-4000-8000-000000000000/{key}/index.m3u8",
        "/hls/{id}/{key}/",
        "/hls/",
        "/",
    ],
)
async def test_nothing_else_is_reached(site, path):
    site.write(5)
    (site.root / "index.m3u8").write_text("secret")
    (site.root / "key").write_text(KEY)
    given = path.format(id=site.id, key=KEY)
    url = URL(f"http://{site.client.host}:{site.client.port}{given}", encoded=True)
    async with site.client.session.get(url) as answer:
        assert answer.status == 404
        assert KEY.encode() not in await answer.read()
    assert site.fetched == []


@pytest.mark.parametrize("make", ["symlink_to", "mkfifo", "mkdir"])
@pytest.mark.parametrize("name", ["index.m3u8", "key", "0.m4s"])
async def test_what_is_no_file_is_not_read_and_nobody_waits_for_it(site, name, make):
    """What writes into the folder handled the bytes of participants."""
    site.write(5)
    (site.root / "there").write_text(KEY)
    (site.folder / name).unlink()
    if make == "mkfifo":
        os.mkfifo(site.folder / name)
    elif make == "mkdir":
        (site.folder / name).mkdir()
    else:
        (site.folder / name).symlink_to(site.root / "there")
    asked = "index.m3u8" if name == "key" else name
    status, body, _ = await site.get(asked)
    assert status == 404
    assert KEY.encode() not in body


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXT-X-TARGETDURATION:" + "9" * 5_000,
        "#EXT-X-MEDIA-SEQUENCE:" + "9" * 5_000,
        "#EXT-X-PART-INF:PART-TARGET=0",
        "#EXT-X-PART-INF:PART-TARGET=1.2.3",
        "#EXT-X-PART-INF:PART-TARGET=" + "9" * 5_000,
        "\0" * 100,
        "",
    ],
    ids=lambda text: text[:30].strip("\0"),
)
async def test_no_playlist_makes_viewers_wait_for_ever_or_ends_the_server(
    site, monkeypatch, playlist
):
    monkeypatch.setattr("signaling.hls.serving.WAIT_TARGETS", 0.001)
    text = f"#EXTM3U\n{playlist}\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n"
    (site.folder / "index.m3u8").write_text(text)
    assert (await site.get("index.m3u8"))[0] == 200
    wanted = position_of(text).segment + 1
    async with asyncio.timeout(10):
        assert (await site.get("index.m3u8", _HLS_msn=wanted))[0] in (400, 503)


async def test_a_broadcast_that_was_deleted_is_gone(site):
    site.write(5)
    assert (await site.get("index.m3u8"))[0] == 200
    for file in site.folder.iterdir():
        file.unlink()
    site.folder.rmdir()
    assert (await site.get("index.m3u8"))[0] == 404
    assert (await site.get("0.m4s"))[0] == 404


async def test_before_its_first_segment_a_broadcast_has_no_playlist(site):
    assert (await site.get("index.m3u8"))[0] == 404
    assert site.fetched == []


def test_the_memory_for_parts_has_a_bound(tmp_path):
    folders = Folders(tmp_path, cache_bytes=100)
    broadcast = str(uuid.uuid4())
    (tmp_path / broadcast).mkdir()
    (tmp_path / broadcast / "key").write_text(KEY)
    folder = folders.find(broadcast, KEY)
    for number in range(5):
        (tmp_path / broadcast / f"{number}.m4s").write_bytes(bytes([number]) * 40)
        assert folders.content(folder, Part(f"{number}.m4s")) == bytes([number]) * 40
    assert [name for _, name in folders._cache] == ["3.m4s", "4.m4s"]
    assert folders.forget_gone() == {broadcast}

"""Downloads of archives: who gets what, how many at a time, and what a slow disk holds up."""

import asyncio
import contextlib
import os
import threading
from dataclasses import replace

import pytest

from config.settings import HttpSettings
from signaling.domain.archive_links import LINK_S, link_path
from signaling.domain.archiving import ArchiveRecord, StreamMode
from signaling.domain.errors import DomainError
from signaling.http import patient_response
from signaling.rest.download_places import DownloadPlaces
from tests.archive_site import available, link_of, open_archive_site
from tests.conversation import settle

RECORD = ArchiveRecord("a", "123", "s", "n", StreamMode.AUTO, True, True, "", 5, 5)
BEHIND_PROXY = HttpSettings(trusted_proxies="127.0.0.0/8")


@pytest.fixture
async def site(tmp_path):
    async with open_archive_site(tmp_path, http=BEHIND_PROXY, max_downloads=16) as opened:
        yield opened


async def test_a_file_is_downloaded_whole_in_part_and_not_at_all_when_it_has_not_changed(site):
    done = await available(site)
    link = link_of(done)
    async with site.client.get(link) as answer:
        content = await answer.read()
        assert (answer.status, len(content)) == (200, done["size"])
        assert answer.headers["Content-Type"] == "application/zip"
        wanted = f'attachment; filename="{done["id"]}.zip"'
        assert answer.headers["Content-Disposition"] == wanted
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in answer.headers["Cache-Control"]
    async with site.client.get(link, headers={"Range": "bytes=0-1"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"PK")
        assert answer.headers["Content-Range"] == f"bytes 0-1/{done['size']}"
    async with site.client.head(link) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(done["size"]))
    async with site.client.get(link, headers={"Range": "bytes=9999-"}) as answer:
        assert (answer.status, (await answer.json())["error"]) == (416, "range_invalid")
    async with site.client.post(link) as answer:
        assert answer.status == 405


async def test_a_link_is_only_good_for_its_own_archive_and_for_ten_minutes(site):
    done = await available(site)
    project, archive = site.project, done["id"]
    now_s = int(site.world.house.time.unix_s())
    good = link_path(project, archive, now_s, "archive.zip")
    expiry, _, signature = good.split("/")[3].partition(".")
    later = str(int(expiry) + 1)
    wrong = [
        good.replace(signature, "0" * 64),
        good.replace(expiry, later),
        good.replace(archive, "00000000-0000-4000-8000-000000000000"),
        good.replace(signature, "ä" * 64),
        good.replace(signature, signature[:-1]),
        good.replace(expiry, "9" * 30),
        good.replace(expiry, ""),
        good.replace(expiry, "²"),
        "/archives/x/y/archive.zip",
    ]
    for path in wrong:
        async with site.client.get(path) as answer:
            assert (answer.status, (await answer.json())["error"]) == (404, "archive_not_found")


async def test_an_old_link_says_that_it_expired(site):
    done = await available(site)
    old = link_path(
        site.project, done["id"], int(site.world.house.time.unix_s()) - LINK_S, "archive.zip"
    )
    async with site.client.get(old) as answer:
        assert (answer.status, (await answer.json())["error"]) == (403, "link_expired")


async def test_a_file_that_expired_or_was_deleted_cannot_be_downloaded(site):
    done = await available(site)
    link = link_of(done)
    await site.call("DELETE", site.path(f"/archive/{done['id']}"))
    async with site.client.get(link) as answer:
        assert answer.status == 404
    await settle()


async def test_a_link_in_the_place_of_a_file_is_not_followed(site, tmp_path):
    done = await available(site)
    (file,) = site.world.files._root.glob("*/*/archive.zip")
    secret = tmp_path / "secret"
    secret.write_text("the server's own")
    file.unlink()
    file.symlink_to(secret)
    async with site.client.get(link_of(done)) as answer:
        assert (answer.status, (await answer.json())["error"]) == (404, "archive_not_found")


# --- a slow disk ----------------------------------------------------------------------------


class SlowDisk:
    """Reads wait until it is `released`; `waiting` of them do."""

    def __init__(self):
        self.released = threading.Event()
        self.waiting = 0
        self._read = patient_response.read_part

    def __call__(self, file, most, offset):
        self.waiting += 1
        self.released.wait()
        return self._read(file, most, offset)


@pytest.fixture
def disk(monkeypatch):
    made = SlowDisk()
    monkeypatch.setattr(patient_response, "read_part", made)
    yield made
    made.released.set()


def from_network(number):
    return {"X-Forwarded-For": f"192.0.{number}.1"}


@contextlib.asynccontextmanager
async def downloading(site, done, number=1, **headers):
    """A download whose file is not read yet."""
    headers = {**from_network(number), **headers}
    async with site.client.get(link_of(done), headers=headers) as answer:
        assert answer.status in (200, 206)
        yield answer


async def refused(site, done, number=1):
    async with site.client.get(link_of(done), headers=from_network(number)) as answer:
        body = await answer.json()
        return answer.status, body["error"], answer.headers.get("Retry-After")


def count(site, limit):
    name = "sealroute_archive_downloads_refused_total"
    return site.server.metrics.registry.get_sample_value(name, {"reason": limit}) or 0


async def test_the_loop_reads_no_file(site, monkeypatch):
    """What reads from a disk that is slow waits for it."""
    done, readers = await available(site), []
    for name in ("pread", "sendfile"):
        real = getattr(os, name)

        def spy(*arguments, real=real):
            readers.append(threading.current_thread())
            return real(*arguments)

        monkeypatch.setattr(os, name, spy)
    async with site.client.get(link_of(done)) as answer:
        assert len(await answer.read()) == done["size"]
    assert readers
    assert threading.main_thread() not in readers


async def test_a_disk_that_does_not_answer_holds_up_downloads_alone(site, disk):
    done = await available(site)
    async with downloading(site, done, 1), downloading(site, done, 2):
        await asyncio.to_thread(lambda: None)
        status, _ = await site.call("GET", site.path(f"/archive/{done['id']}"))
        assert (status, site.server.places.taken) == (200, 2)
        disk.released.set()


async def test_an_archive_is_downloaded_so_often_at_a_time_in_parts_or_whole(site, disk):
    done, other = await available(site), await available(site)
    async with (
        downloading(site, done, 1) as first,
        downloading(site, done, 2, Range="bytes=0-1") as second,
    ):
        assert await refused(site, done, 3) == (429, "rate_limited", "10")
        assert (count(site, "archive"), count(site, "network")) == (1, 0)
        async with downloading(site, other, 3):
            disk.released.set()
        assert (len(await first.read()), await second.read()) == (done["size"], b"PK")
    async with downloading(site, done, 3) as again:
        assert len(await again.read()) == done["size"]


async def test_a_network_has_so_many_downloads_at_a_time(site, disk):
    archives = [await available(site) for _ in range(3)]
    async with downloading(site, archives[0]), downloading(site, archives[1]):
        assert await refused(site, archives[2]) == (429, "rate_limited", "10")
        assert count(site, "network") == 1
        async with downloading(site, archives[2], 2):
            assert site.server.places.taken == 3
            disk.released.set()


async def test_of_a_client_that_goes_nothing_stays(site, disk):
    done = await available(site)
    async with downloading(site, done) as answer:
        answer.close()
    disk.released.set()
    async with asyncio.timeout(20):
        while site.server.places.taken:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    async with site.client.get(link_of(done), headers={"Range": "bytes=9999-"}) as answer:
        assert answer.status == 416
    assert site.server.places.taken == 0


# --- places -----------------------------------------------------------------------------------


class Places(DownloadPlaces):
    """Places whose downloads never end, and which limits refused some."""

    def __init__(self, most):
        self.limits = []
        super().__init__(most, self.limits.append)

    def tried(self, project, archive, network):
        record = replace(RECORD, project_id=project, id=archive)
        with contextlib.suppress(DomainError):
            return self.take(record, (network,))
        return None


def test_one_project_leaves_places_for_others_however_many_archives_and_networks_it_has():
    places = Places(128)
    got = [places.tried("a", f"{n}", f"10.0.{n}.0/24") for n in range(200)]
    assert sum(leave is not None for leave in got) == 96
    assert set(places.limits) == {"project"}
    theirs = [places.tried("b", f"b{n}", f"10.1.{n}.0/24") for n in range(10)]
    assert None not in theirs


def test_together_they_have_all_places_and_no_more():
    places = Places(16)
    for number in range(40):
        places.tried(f"p{number}", f"{number}", f"10.0.{number}.0/24")
    assert places.taken == 16
    assert set(places.limits) == {"all"}


def test_a_place_is_left_once():
    places = Places(16)
    leave = places.tried("a", "1", "10.0.0.0/24")
    places.tried("a", "2", "10.0.1.0/24")
    leave()
    leave()
    assert places.taken == 1


def test_a_larger_network_has_a_multiple_for_the_networks_in_it():
    places = Places(64)
    for length, most in ((64, 8), (56, 16), (48, 32)):
        network = f"2001:db8:{length:x}::/{length}"
        got = [places.tried(f"{n}", f"{length}-{n}", network) for n in range(64)]
        assert sum(leave is not None for leave in got) == most
        for leave in filter(None, got):
            leave()

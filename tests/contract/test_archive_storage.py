"""What every store keeps of archives."""

import asyncio
from dataclasses import replace

from signaling.domain.archiving import ArchiveStatus, StreamMode
from signaling.domain.errors import DomainError
from tests.stored import archive, project


async def test_an_archive_comes_back_as_it_was_stored_and_as_it_was_changed(store):
    owner = project(1)
    await store.add_project(owner)
    made = archive(owner, name="Bäckerei", tag="t", stream_mode=StreamMode.MANUAL)
    await store.archives.add_archive(made)
    assert await store.archives.archive(made.id) == made
    changed = replace(
        made,
        status=ArchiveStatus.AVAILABLE,
        reason="user initiated",
        updated_ms=9,
        recorded_ms=2**40,
        size_bytes=2**41,
        sha256="x" * 44,
        expires_ms=2**42,
    )
    assert await store.archives.change_archive(changed) is True
    assert await store.archives.archive(made.id) == changed
    assert await store.archives.remove_archive(made.id) is True
    assert await store.archives.remove_archive(made.id) is False
    assert await store.archives.change_archive(changed) is False
    for nobody in (made.id, "", "\0", "\ud800"):
        assert await store.archives.archive(nobody) is None


async def test_a_session_has_one_recording_archive_of_each_tag_whoever_asks(store):
    owner = project(1)
    await store.add_project(owner)

    async def add(name: str, **changes) -> str | None:
        try:
            await store.archives.add_archive(archive(owner, name, **changes))
        except DomainError as refused:
            return refused.code.value
        return None

    outcomes = await asyncio.gather(*(add(f"a-{number}") for number in range(10)))
    assert sorted(filter(None, outcomes)) == ["archive_running"] * 9
    assert await add("other tag", tag="t") is None
    assert await add("other session", session_id="2_b") is None
    assert await add("paused", tag="t", status=ArchiveStatus.PAUSED) == "archive_running"
    (first,) = [f"a-{n}" for n, outcome in enumerate(outcomes) if outcome is None]
    stopped = archive(owner, first, status=ArchiveStatus.STOPPED)
    assert await store.archives.change_archive(stopped)
    assert await add("next") is None
    assert await add("of nobody", project_id="9", session_id="2_c") == "invalid_parameter"


async def test_archives_are_listed_newest_first_page_by_page_and_by_session(store):
    owner, other = project(1), project(2)
    for one in (owner, other):
        await store.add_project(one)
    stopped = ArchiveStatus.STOPPED
    for number in range(5):
        session = "2_even" if number % 2 == 0 else "2_odd"
        made = archive(owner, f"a-{number}", status=stopped, session_id=session, created_ms=number)
        await store.archives.add_archive(made)
    await store.archives.add_archive(archive(other, "b"))

    async def page(session_id=None, offset=0, limit=10):
        found = await store.archives.archives_of(
            owner.api_key, session_id, offset=offset, limit=limit
        )
        return found[0], [one.id for one in found[1]]

    assert await page() == (5, ["a-4", "a-3", "a-2", "a-1", "a-0"])
    assert await page(offset=1, limit=2) == (5, ["a-3", "a-2"])
    assert await page(limit=0) == (5, [])
    assert await page("2_odd") == (2, ["a-3", "a-1"])
    for nowhere in ("2_x", "\0", "\ud800"):
        assert await page(nowhere) == (0, [])


async def test_archives_that_wait_for_something_are_found(store):
    owner = project(1)
    await store.add_project(owner)
    for number, status in enumerate(ArchiveStatus):
        expires_ms = 10 if status is ArchiveStatus.AVAILABLE else None
        made = archive(owner, status.value, status=status, tag=str(number), expires_ms=expires_ms)
        await store.archives.add_archive(made)
    found = {one.id for one in await store.archives.unfinished_archives()}
    assert found == {"started", "paused", "stopped"}
    assert await store.archives.archives_kept_until(9) == ()
    assert [one.id for one in await store.archives.archives_kept_until(10)] == ["available"]

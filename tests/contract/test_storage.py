"""What every store keeps, whatever database is under it: SQLite, and a real PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from sfu.egress.buckets import Bucket
from signaling.domain.callbacks import ONE, Callback
from signaling.domain.errors import BadRequest, ErrorCode, Unavailable
from signaling.domain.operators import new_operator, token_hash
from signaling.domain.rendering import RenderStatus
from signaling.domain.session_options import ArchiveMode, MediaMode
from tests.stored import archive, project, record, render, waiting


async def test_a_project_is_found_by_both_its_names(store):
    owner = project(1, name="Bäckerei", e2ee_enabled=True)
    await store.add_project(owner)
    assert await store.project_named(owner.api_key) == owner
    assert await store.project_named(owner.application_id) == owner
    assert await store.project_named("nobody") is None
    assert await store.project_named(owner.api_secret) is None


async def test_projects_are_listed_oldest_first(store):
    young, old = project(9), project(3)
    for one in (young, old):
        await store.add_project(one)
    assert await store.projects() == (old, young)


async def test_a_taken_name_is_refused_and_the_first_owner_keeps_it(store):
    owner = project(1)
    await store.add_project(owner)
    for twin in (
        replace(project(2), api_key=owner.api_key),
        replace(project(2), application_id=owner.application_id),
    ):
        with pytest.raises(BadRequest):
            await store.add_project(twin)
    assert await store.projects() == (owner,)


async def test_what_may_change_of_a_project_changes_and_its_names_do_not(store):
    owner = project(1)
    await store.add_project(owner)
    changed = replace(
        owner,
        name="new",
        e2ee_enabled=True,
        e2ee_by_default=True,
        api_secret="0" * 40,
        previous_secret=owner.api_secret,
        previous_secret_until_ms=2**40,
        allowed_origins="https://a.example https://b.example",
        max_sessions=10,
        max_connections=5,
        max_publish_bps=2_000_000,
    )
    requested = replace(changed, created_ms=99, api_key="1", application_id="other")
    assert await store.change_project(owner.application_id, lambda _: requested) == changed
    assert await store.project_named(owner.api_key) == changed
    for nobody in (project(2).api_key, "", "\0"):
        assert await store.change_project(nobody, lambda _: requested) is None


async def test_changes_of_a_project_at_the_same_time_do_not_undo_each_other(store):
    owner = project(1)
    await store.add_project(owner)

    def longer(one):
        return replace(one, name=one.name + "x")

    await asyncio.gather(*(store.change_project(owner.api_key, longer) for _ in range(20)))
    assert (await store.project_named(owner.api_key)).name == owner.name + "x" * 20


async def test_a_change_that_is_refused_changes_nothing(store):
    owner = project(1)
    await store.add_project(owner)

    def refused(_one):
        raise BadRequest(ErrorCode.INVALID_PARAMETER)

    with pytest.raises(BadRequest):
        await store.change_project(owner.api_key, refused)
    assert await store.project_named(owner.api_key) == owner


async def test_a_removed_project_takes_all_that_is_its_own_with_it(store):
    gone, kept = project(1), project(2)
    for one in (gone, kept):
        await store.add_project(one)
        await store.add_session(record(one, f"2_{one.api_key}"))
        await store.archives.add_archive(archive(one, f"archive-{one.api_key}"))
        await store.buckets.set_bucket(one.api_key, Bucket("s3", "recordings", "id", "secret"))
        name = f"callback-{one.api_key}"
        await store.callbacks.add_callback(
            Callback(name, one.api_key, "stream", "created", "http://app.test/x", 1)
        )
        await store.callbacks.queue([waiting(one, name)])
    assert await store.remove_project(gone.application_id) is True
    assert [await store.remove_project(one) for one in (gone.api_key, "", "\0")] == [False] * 3
    assert await store.projects() == (kept,)
    found = [await store.session(f"2_{one.api_key}") for one in (gone, kept)]
    assert [one is None for one in found] == [True, False]
    assert [await store.callbacks.waiting_of(one.api_key) for one in (gone, kept)] == [0, 1]
    assert await store.buckets.bucket(gone.api_key) is None
    assert await store.buckets.bucket(kept.api_key) is not None
    assert await store.archives.archive(f"archive-{gone.api_key}") is None
    assert await store.archives.archive(f"archive-{kept.api_key}") is not None
    assert await store.callbacks.callbacks_of(gone.api_key) == ()
    assert len(await store.callbacks.callbacks_of(kept.api_key)) == 1


async def test_a_render_is_kept_as_it_is_and_its_page_is_not_readable(store):
    owner, other = project(1), project(2)
    for one in (owner, other):
        await store.add_project(one)
    first, second = render(owner), render(owner, "second", created_ms=9, session_id="2_t")
    for one in (first, second, render(other, "theirs")):
        await store.renders.add_render(one)
    with pytest.raises(BadRequest):
        await store.renders.add_render(first)
    with pytest.raises(BadRequest):
        await store.renders.add_render(render(project(3), "nobody's"))
    assert await store.renders.render(first.id) == first
    assert await store.renders.render("\0") is None
    key = owner.api_key
    assert await store.renders.renders_of(key, None, offset=0, limit=9) == (2, (second, first))
    assert await store.renders.renders_of(key, "2_t", offset=0, limit=9) == (1, (second,))
    assert await store.renders.renders_of(key, None, offset=1, limit=1) == (2, (first,))
    over = replace(first, status=RenderStatus.FAILED, reason="r", stream_id="s", updated_ms=20)
    assert await store.renders.change_render(over) is True
    assert await store.renders.render(first.id) == over
    assert first.id not in [one.id for one in await store.renders.running_renders()]
    assert await store.renders.change_render(replace(over, id="unknown")) is False
    # Whoever was first ended it.
    assert await store.renders.change_render(replace(first, stream_id="late")) is False
    await store.rewrap_secrets()
    assert await store.renders.render(first.id) == over
    rows = await store._database.read(lambda c: c.execute(sa.text("SELECT details FROM renders")))
    assert not [row for (row,) in rows if "secret" in row]
    await store.remove_project(key)
    assert await store.renders.render(second.id) is None


async def test_the_callback_of_a_render_goes_once_it_is_over_and_delivered(store):
    owner = project(1)
    await store.add_project(owner)
    runs, waits, done = (render(owner, name) for name in ("runs", "waits", "done"))
    for one in (runs, waits, done):
        await store.renders.add_render(one)
        url = "http://app.test/status"
        callback = Callback(one.id, owner.api_key, ONE, "render", url, 1)
        await store.callbacks.add_callback(callback)
    for one in (waits, done):
        await store.renders.change_render(replace(one, status=RenderStatus.STOPPED, updated_ms=10))
    await store.callbacks.queue([waiting(owner, waits.id)])
    assert await store.renders.forget_callbacks(10) == 0
    assert await store.renders.forget_callbacks(11) == 1
    store.callbacks.forget_known()
    left = await store.callbacks.known_callbacks_of(owner.api_key)
    assert {one.id for one in left} == {"runs", "waits"}
    assert await store.callbacks.callbacks_of(owner.api_key) == ()


SETTINGS = sa.text("SELECT settings FROM buckets")


async def test_a_bucket_comes_back_as_it_was_set_and_its_secret_is_wrapped(store):
    owner = project(1)
    await store.add_project(owner)
    assert await store.buckets.bucket(owner.api_key) is None
    for bucket in (
        Bucket("s3", "recordings", "id", "a-secret-of-s3", "eu-central-1", "https://s3.test"),
        Bucket("azure", "recordings", "account", "another-secret"),
    ):
        await store.buckets.set_bucket(owner.api_key, bucket)
        assert await store.buckets.bucket(owner.api_key) == bucket
        assert bucket.secret not in repr(bucket)
        wrapped = await store._database.read(lambda c: c.execute(SETTINGS).scalar_one())
        assert bucket.secret not in wrapped
        assert bucket.name not in wrapped
    assert await store.rewrap_secrets() == 1
    assert await store.buckets.bucket(owner.api_key) == bucket
    await store.buckets.set_bucket(owner.api_key, None)
    assert await store.buckets.bucket(owner.api_key) is None
    for stranger in ("99", "", "\0"):
        assert await store.buckets.bucket(stranger) is None
    with pytest.raises(BadRequest):
        await store.buckets.set_bucket("99", bucket)


async def test_operators_are_known_by_the_hash_of_their_token(store):
    ada, token = new_operator("ada", random_bytes=bytes(32), now_ms=1)
    await store.operators.add_operator(ada)
    with pytest.raises(BadRequest):
        await store.operators.add_operator(replace(ada, token_hash="0" * 64))
    assert await store.operators.operator_with(token_hash(token)) == ada
    assert await store.operators.operator_with(token_hash(token + "x")) is None
    assert await store.operators.operators() == (ada,)
    assert await store.operators.remove_operator("ada") is True
    assert await store.operators.remove_operator("ada") is False
    assert await store.operators.operator_with(token_hash(token)) is None


async def test_many_writers_at_once_all_succeed(store):
    owner = project(1)
    await store.add_project(owner)
    names = [f"2_{number}" for number in range(40)]
    await asyncio.gather(*(store.add_session(record(owner, name)) for name in names))
    found = await asyncio.gather(*(store.session(name) for name in names))
    assert [one.session_id for one in found] == names


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"e2ee": True, "location": "192.0.2.1"},
        {"media_mode": MediaMode.RELAYED},
        {
            "archive_mode": ArchiveMode.ALWAYS,
            "archive_name": "n",
            "archive_resolution": "1280x720",
        },
    ],
)
async def test_a_session_comes_back_as_it_was_made(store, options):
    owner = project(1)
    await store.add_project(owner)
    made = record(owner, **options)
    await store.add_session(made)
    assert await store.session(made.session_id) == made
    assert await store.session("2_other") is None


async def test_a_session_needs_a_project_and_an_id_of_its_own(store):
    with pytest.raises(BadRequest):
        await store.add_session(record(project(1)))
    await store.add_project(project(1))
    await store.add_session(record(project(1)))
    with pytest.raises(BadRequest):
        await store.add_session(record(project(1), e2ee=True))
    assert (await store.session("2_a")).options.e2ee is False


async def test_many_writers_at_once_lose_nothing(store):
    owner = project(1)
    await store.add_project(owner)
    records = [record(owner, f"2_{number}") for number in range(50)]
    await asyncio.gather(*(store.add_session(one) for one in records))
    assert [await store.session(one.session_id) for one in records] == records


@pytest.mark.parametrize(
    "hostile", ["'; DROP TABLE projects; --", "\x00", "%", "ü" * 1000, "\ud800", ""]
)
async def test_hostile_names_find_nothing_and_break_nothing(store, hostile):
    assert await store.project_named(hostile) is None
    assert await store.session(hostile) is None
    assert await store.callbacks.remove_callback(project(1).api_key, hostile) is False


_READ_ONLY = {"sqlite": "PRAGMA query_only = ON", "postgresql": "SET TRANSACTION READ ONLY"}


async def test_what_cannot_be_written_is_known_and_said_once(store, capsys):
    """As on a full disk, and on a file system that was mounted again read-only."""
    owner = project(1)
    await store.add_project(owner)
    await store.check_writing()
    engine = store._database._engine

    def read_only(connection):
        connection.exec_driver_sql(_READ_ONLY[connection.dialect.name])

    sa.event.listen(engine, "begin", read_only)
    for number in range(3):
        with pytest.raises(Unavailable):
            await store.add_session(record(owner, f"2_{number}"))
        with pytest.raises(Unavailable):
            await store.check_writing()
    assert await store.project_named(owner.api_key) == owner, "reading goes on"
    said = capsys.readouterr().out
    assert said.count("storage unavailable") == 1
    assert "read" in said.split("reason=")[1]
    sa.event.remove(engine, "begin", read_only)
    if engine.dialect.name == "sqlite":
        engine.dispose()
    await store.check_writing()
    assert "storage available again" in capsys.readouterr().out
    assert await store.session("2_0") is None


async def test_checking_leaves_no_session_behind(store):
    await store.check_writing()
    await store.add_project(project(1))
    await store.check_writing()

    def count(connection):
        return connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar()

    assert await store._database.read(count) == 0

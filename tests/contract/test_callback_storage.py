"""What every store keeps of registrations and of the outbox. Times are virtual."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from signaling.domain.callbacks import Callback
from signaling.domain.errors import BadRequest, Unavailable
from signaling.domain.projects import new_project
from signaling.domain.webhook_deliveries import Claim, NewWebhookDelivery, Outcome, Places
from signaling.storage.callbacks import UNREADABLE, SqlCallbacks
from signaling.storage.schema import callback_outbox, callbacks
from signaling.storage.wrapping import SecretWrapper
from tests.migrated import take_back


def project(seed: int):
    return new_project(random_bytes=bytes([seed]) * 44, now_ms=seed)


A, B = project(1).api_key, project(2).api_key


def callback(name: str = "c", owner: str = A, **changes) -> Callback:
    made = Callback(name, owner, "stream", "created", "http://app.test/x", 1)
    return replace(made, **changes)


def delivery(event: str, session: str = "s1", **changes) -> NewWebhookDelivery:
    made = NewWebhookDelivery(
        event_id=event,
        callback_id="c",
        project_id=A,
        session_id=session,
        origin="http://app.test:80",
        url="http://app.test/x",
        event="streamCreated",
        body=f'{{"n":"{event}"}}',
        created_ms=10,
        give_up_ms=1_000,
    )
    return replace(made, **changes)


async def claim(store, now_ms=0, places=None, **options):
    options = {"hidden_until_ms": now_ms + 50, "places": places or Places(2_000, 2_000), **options}
    return await store.callbacks.claim(Claim(now_ms=now_ms, **options))


async def events(store, now_ms=0, **options):
    return [one.event_id for one in await claim(store, now_ms, **options)]


@pytest.fixture
async def store(store):
    for seed in (1, 2):
        await store.add_project(project(seed))
    return store


@pytest.fixture
async def queued(store):
    await store.callbacks.add_callback(callback())
    return store


async def test_registrations_are_the_projects_own_and_oldest_first(store):
    late, early = callback("l", created_ms=9), callback("e", created_ms=3)
    for one in (late, early, callback("o", B)):
        await store.callbacks.add_callback(one)
    assert await store.callbacks.callbacks_of(A) == (early, late)
    assert await store.callbacks.remove_callback(B, "l") is False
    assert await store.callbacks.remove_callback(A, "l") is True
    assert await store.callbacks.remove_callback(A, "l") is False
    assert await store.callbacks.callbacks_of(A) == (early,)


async def test_who_has_callbacks_is_known_without_a_question_and_renewed_by_a_look(store):
    callbacks = store.callbacks
    assert not callbacks.may_have_callbacks(A)
    await callbacks.add_callback(callback())
    assert (callbacks.may_have_callbacks(A), callbacks.may_have_callbacks(B)) == (True, False)
    await callbacks.look(0)
    assert (callbacks.may_have_callbacks(A), callbacks.may_have_callbacks(B)) == (True, False)
    await callbacks.remove_callback(A, "c")
    await callbacks.look(0)
    assert not callbacks.may_have_callbacks(A)


async def test_a_look_says_whether_a_delivery_is_due(queued):
    assert await queued.callbacks.look(0) is False
    await queued.callbacks.queue([delivery("1")])
    assert await queued.callbacks.look(0) is True
    await claim(queued, 0, hidden_until_ms=70)
    assert [await queued.callbacks.look(now_ms) for now_ms in (69, 70)] == [False, True]


async def test_a_registration_needs_a_project_and_an_id_of_its_own(store):
    await store.callbacks.add_callback(callback())
    for twin in (callback(), callback("x", "9999999999")):
        with pytest.raises(BadRequest):
            await store.callbacks.add_callback(twin)


async def test_of_each_session_only_the_oldest_is_out_at_a_time(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2"), delivery("3", "s2")])
    assert await events(queued) == ["1", "3"]
    assert await events(queued) == []


async def test_a_claim_takes_what_follows_in_order_and_hides_all_of_it(queued):
    await queued.callbacks.queue(
        [delivery("1"), delivery("2", "s2"), delivery("3"), delivery("4"), delivery("5")]
    )
    assert await events(queued, in_a_row=3) == ["1", "3", "4", "2"]
    assert await events(queued, 49, in_a_row=3) == []
    assert await events(queued, 50, in_a_row=9) == ["1", "3", "4", "5", "2"]


async def test_what_follows_a_failed_one_is_left(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2")])
    (first,) = await claim(queued)
    await queued.callbacks.settle([Outcome(first.id, "timeout", attempts=1, next_ms=100)])
    assert await events(queued, 100, in_a_row=9) == ["1"]


async def test_what_is_settled_makes_room_for_a_claim_in_the_same_transaction(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2")])
    (first,) = await claim(queued)
    (second,) = await queued.callbacks.settle(
        [Outcome(first.id, "delivered", delivered=True)],
        Claim(now_ms=0, hidden_until_ms=50, places=Places(1, 1)),
    )
    assert second.event_id == "2"
    assert await queued.callbacks.settle([Outcome(second.id, "delivered", delivered=True)]) == ()
    assert (await queued.callbacks.queue_figures()).waiting == 0


async def test_known_registrations_follow_own_changes_at_once_and_others_with_a_look(
    queued,
):
    callbacks, of_another = (
        queued.callbacks,
        SqlCallbacks(queued.callbacks._database, queued.wrapper),
    )
    assert await callbacks.known_callbacks_of(A) == (callback(),)
    await callbacks.add_callback(callback("d", created_ms=2))
    assert len(await callbacks.known_callbacks_of(A)) == 2
    await callbacks.remove_callback(A, "d")
    assert await callbacks.known_callbacks_of(A) == (callback(),)
    await of_another.remove_callback(A, "c")
    await callbacks.look(0)
    assert await callbacks.known_callbacks_of(A) == ()


async def test_registrations_of_a_removed_project_are_not_known(queued):
    assert await queued.callbacks.known_callbacks_of(A) == (callback(),)
    await queued.remove_project(A)
    assert await queued.callbacks.known_callbacks_of(A) == ()


async def test_what_is_delivered_makes_room_for_the_next_of_its_session(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2")])
    (first,) = await claim(queued)
    await queued.callbacks.settle([Outcome(first.id, "delivered", delivered=True)])
    assert await events(queued) == ["2"]


async def test_a_failed_one_is_due_again_later_and_holds_its_own_session_up_alone(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2"), delivery("3", "s2")])
    first, other = await claim(queued)
    await queued.callbacks.settle(
        [
            Outcome(first.id, "timeout", attempts=1, next_ms=100),
            Outcome(other.id, "delivered", delivered=True),
        ]
    )
    await queued.callbacks.queue([delivery("4", "s2")])
    assert await events(queued, 99) == ["4"]
    (again,) = await claim(queued, 100)
    assert (again.event_id, again.attempts) == ("1", 1)


async def test_a_dead_receiver_does_not_hold_up_another_one_of_the_same_session(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2", origin="http://other.test:80")])
    assert await events(queued) == ["1", "2"]


async def test_a_claim_that_nobody_settles_comes_back(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2")])
    await claim(queued, 0, hidden_until_ms=70)
    assert await events(queued, 69) == []
    assert await events(queued, 70) == ["1"]


async def test_busy_origins_are_passed_over_and_the_limit_holds(queued):
    origin = "http://app.test:80"
    await queued.callbacks.queue([delivery(str(n), f"s{n}") for n in range(5)])
    assert await events(queued, places=Places(100, 7, origins={origin: 7})) == []
    assert await events(queued, places=Places(100, 7, origins={origin: 5})) == ["0", "1"]
    assert await events(queued, places=Places(3, 7)) == ["2", "3"]


async def test_a_project_whose_receivers_hang_is_passed_over_and_has_its_share_only(queued):
    await queued.callbacks.add_callback(callback("d", B))
    await queued.callbacks.queue(
        [
            *(delivery(str(n), f"s{n}", origin=f"http://{n}.test:80") for n in range(9)),
            delivery("b", "t", callback_id="d", project_id=B),
        ]
    )
    assert await events(queued, places=Places(8, 8, projects={A: 99})) == ["b"]
    assert await events(queued, places=Places(8, 8)) == ["0", "1", "2", "3", "4", "5"]
    assert await events(queued, places=Places(2, 8, projects={A: 6})) == []
    assert await events(queued, places=Places(6, 8)) == ["6", "7", "8"]


async def test_the_same_event_is_queued_once_for_each_registration(queued):
    await queued.callbacks.add_callback(callback("d"))
    twice = [delivery("1"), delivery("1", callback_id="d", origin="http://b.test:80")]
    await queued.callbacks.queue(twice)
    await queued.callbacks.queue(twice)
    assert len(await claim(queued)) == 2
    assert (await queued.callbacks.queue_figures()).waiting == 2


async def test_nothing_waits_for_who_is_not_registered_any_more(queued):
    await queued.callbacks.queue([delivery("1")])
    assert await queued.callbacks.waiting_of(A) == 1
    await queued.callbacks.remove_callback(A, "c")
    assert await queued.callbacks.waiting_of(A) == 0
    await queued.callbacks.queue([delivery("2")])
    assert await events(queued) == []


async def test_the_given_up_are_counted_listed_and_queued_again_in_their_place(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2")])
    (first,) = await claim(queued)
    await queued.callbacks.settle([Outcome(first.id, "http_500", dead=True, attempts=7)])
    assert await events(queued, 0, hidden_until_ms=5) == ["2"]
    (letter,) = await queued.callbacks.dead_letters(A, 10)
    assert (letter.event, letter.attempts, letter.result) == ("streamCreated", 7, "http_500")
    assert await queued.callbacks.dead_letters(B, 10) == ()
    figures = await queued.callbacks.queue_figures()
    assert (figures.waiting, figures.oldest_ms, figures.dead) == (1, 10, 1)
    assert await queued.callbacks.revive(B, 5, 2_000) == 0
    assert await queued.callbacks.revive(None, 5, 2_000) == 1
    (again,) = await claim(queued, 5)
    assert (again.event_id, again.attempts, again.give_up_ms) == ("1", 0, 2_000)


async def test_old_dead_letters_go(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2", "s2", created_ms=20)])
    for one in await claim(queued):
        await queued.callbacks.settle([Outcome(one.id, "timeout", dead=True)])
    assert await queued.callbacks.purge_dead(20) == 1
    assert (await queued.callbacks.queue_figures()).dead == 1


async def test_more_than_one_query_holds_goes_through_whole(queued):
    many = [delivery(f"{n:04}", f"s{n}") for n in range(1_001)]
    await queued.callbacks.queue(many)
    await queued.callbacks.queue(many)
    found = await claim(queued, places=Places(9_000, 9_000))
    assert len(found) == 1_001
    await queued.callbacks.settle([Outcome(one.id, "delivered", delivered=True) for one in found])
    assert (await queued.callbacks.queue_figures()).waiting == 0


async def test_nodes_that_claim_at_once_share_what_is_due_and_keep_its_order(queued):
    """Each claimer delivers at once; another may claim meanwhile."""
    sessions, events_each = 12, 6
    await queued.callbacks.queue(
        [delivery(f"{s}-{n}", f"s{s}") for n in range(events_each) for s in range(sessions)]
    )
    delivered = []

    async def node():
        while len(delivered) < sessions * events_each:
            for one in await claim(queued, places=Places(7, 7), hidden_until_ms=1_000):
                delivered.append(one.event_id)
                await queued.callbacks.settle([Outcome(one.id, "delivered", delivered=True)])

    async with asyncio.timeout(30):
        await asyncio.gather(*(node() for _ in range(4)))
    assert len(delivered) == len(set(delivered))
    for session in range(sessions):
        own = [name for name in delivered if name.startswith(f"{session}-")]
        assert own == [f"{session}-{n}" for n in range(events_each)]


# --- bodies and URLs at rest -------------------------------------------------------------------

SECRET_URL = "https://app.test/hooks/canary-path?token=canary-token"


async def stored(store, table, column):
    query = table.select().order_by(table.c.id)
    return await store.callbacks._database.read(
        lambda c: [row[column] for row in c.execute(query).mappings()]
    )


async def stored_bodies(store):
    return await stored(store, callback_outbox, "body")


async def test_urls_are_wrapped_and_come_back_as_they_were(queued):
    await queued.callbacks.add_callback(callback("d", url=SECRET_URL))
    await queued.callbacks.queue([delivery("1", callback_id="d", url=SECRET_URL)])
    kept = [*await stored(queued, callbacks, "url"), *await stored(queued, callback_outbox, "url")]
    assert all(queued.wrapper.is_wrapped(url) for url in kept)
    assert "canary" not in repr(kept)
    await queued.rewrap_secrets()
    again = [*await stored(queued, callbacks, "url"), *await stored(queued, callback_outbox, "url")]
    assert not set(again) & set(kept)
    for found in (queued.callbacks.callbacks_of, queued.callbacks.known_callbacks_of):
        assert SECRET_URL in [one.url for one in await found(A)]
    (claimed,) = await claim(queued)
    assert claimed.url == SECRET_URL
    await queued.callbacks.settle([Outcome(claimed.id, "failed", dead=True)])
    (letter,) = await queued.callbacks.dead_letters(A, 9)
    assert letter.url == SECRET_URL
    assert "canary" not in repr((claimed, letter, await queued.callbacks.callbacks_of(A)))


async def test_a_url_cannot_be_moved_to_another_registration(queued):
    await queued.callbacks.add_callback(callback("d", B, url=SECRET_URL))
    (moved,) = (await stored(queued, callbacks, "url"))[1:]
    change = callbacks.update().where(callbacks.c.id == "c").values(url=moved)
    await queued.callbacks._database.write(lambda c: c.execute(change))
    with pytest.raises(Unavailable):
        await queued.callbacks.callbacks_of(A)


async def test_a_url_that_no_key_opens_hides_no_other_dead_letter(queued):
    with_another = SqlCallbacks(queued.callbacks._database, SecretWrapper((bytes([7]) * 32,)))
    await with_another.queue([delivery("1")])
    await queued.callbacks.queue([delivery("2", "s2")])
    for one in await claim(queued):
        await queued.callbacks.settle([Outcome(one.id, "failed", dead=True)])
    letters = await queued.callbacks.dead_letters(A, 9)
    assert [one.url for one in letters] == ["http://app.test/x", ""]


async def test_urls_of_an_earlier_release_are_wrapped_by_the_migration(store_maker):
    before = await store_maker()
    await before.add_project(project(1))
    await before.callbacks.add_callback(callback())
    await before.callbacks.queue([delivery("1")])

    def undo(connection):
        for table in (callbacks, callback_outbox):
            connection.execute(table.update().values(url=SECRET_URL))
        take_back(connection, "0011_sealed_urls")
        older = sa.text("UPDATE alembic_version SET version_num = '0010_captions'")
        connection.execute(older)

    await before.callbacks._database.write(undo)
    await before.close()
    after = await store_maker()
    for table in (callbacks, callback_outbox):
        assert all(after.wrapper.is_wrapped(url) for url in await stored(after, table, "url"))
    assert [one.url for one in await after.callbacks.callbacks_of(A)] == [SECRET_URL]
    assert [one.url for one in await claim(after)] == [SECRET_URL]
    await after.close()


async def test_bodies_are_wrapped_and_claimed_as_they_were(queued):
    canary = '{"broadcastUrls":{"hls":"https://x/hls/canary-key/index.m3u8"}}'
    await queued.callbacks.queue([delivery("1", body=canary)])
    (kept,) = await stored_bodies(queued)
    assert "canary" not in kept
    await queued.rewrap_secrets()
    assert await stored_bodies(queued) != [kept]
    (claimed,) = await claim(queued)
    assert claimed.body == canary


async def test_what_an_earlier_release_queued_in_clear_is_delivered_and_wrapped_again(queued):
    await queued.callbacks.queue([delivery("1"), delivery("2", "s2")])
    clear = callback_outbox.update().values(body='{"from":"before"}')
    await queued.callbacks._database.write(lambda c: c.execute(clear))
    (first, _) = await claim(queued)
    assert first.body == '{"from":"before"}'
    await queued.rewrap_secrets()
    assert all(queued.wrapper.is_wrapped(body) for body in await stored_bodies(queued))
    (again, _) = await claim(queued, 50)
    assert again.body == first.body


async def test_what_no_key_opens_is_given_up_alone(queued):
    with_another = SqlCallbacks(queued.callbacks._database, SecretWrapper((bytes([7]) * 32,)))
    await with_another.queue([delivery("1")])
    await queued.callbacks.queue([delivery("2"), delivery("3", "s2")])
    assert await events(queued, in_a_row=9) == ["2", "3"]
    (letter,) = await queued.callbacks.dead_letters(A, 9)
    assert (letter.result, letter.event) == (UNREADABLE, "streamCreated")
    await queued.rewrap_secrets()
    (left, *_) = await stored_bodies(queued)
    assert with_another._unwrapped(left, "callback 1") == delivery("1").body

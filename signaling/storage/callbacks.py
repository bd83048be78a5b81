"""Callback registrations and their outbox in SQL; implements `base.CallbackStore`.

Bodies are wrapped: those of broadcasts have keys of playlists and names of streams. So are URLs:
receivers tell their callers by a token in the path or query. An origin is kept in clear, for lanes
are sorted by it; it has no user, path or query.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError

from signaling.domain.callbacks import Callback
from signaling.domain.errors import BadRequest, ErrorCode, Unavailable
from signaling.domain.webhook_deliveries import (
    Claim,
    DeadLetter,
    NewWebhookDelivery,
    Outcome,
    QueueFigures,
    WebhookDelivery,
)
from signaling.storage.database import Database, may_be_name
from signaling.storage.pages import rewrap
from signaling.storage.schema import callback_outbox as outbox
from signaling.storage.schema import callbacks
from signaling.storage.wrapping import SecretWrapper

log = structlog.get_logger(__name__)

T = TypeVar("T")
UNREADABLE = "body_unreadable"
"""The result of a delivery that was wrapped by a key which is gone."""
_NEW = tuple(one.name for one in fields(NewWebhookDelivery))
_CLAIMED = tuple(one.name for one in fields(WebhookDelivery))
_IN_ONE_QUERY = 400
"""Parameters per IN list; databases limit them."""


class SqlCallbacks:
    """Uses the store's database."""

    def __init__(self, database: Database, wrapper: SecretWrapper) -> None:
        self._database = database
        self._wrapper = wrapper
        self._listening: frozenset[str] = frozenset()
        self._added: frozenset[str] = frozenset()
        """Projects that got a registration here since the last look began."""
        self._known: dict[str, tuple[Callback, ...]] = {}
        """Registrations as they were read since the last look began."""
        self._changes = 0
        """Counts what makes a read that is under way too old for `_known`."""

    # --- registrations ----------------------------------------------------------------------

    async def add_callback(self, callback: Callback) -> None:
        row = {
            "id": callback.id,
            "project_id": callback.project_id,
            "event_group": callback.group,
            "event_name": callback.event,
            "url": self._wrapper.wrap(callback.url, _registration(callback.id)),
            "created_ms": callback.created_ms,
        }
        try:
            await self._database.write(lambda c: c.execute(callbacks.insert().values(row)))
        except IntegrityError as cause:
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER,
                "The project does not exist, or it already has this callback.",
            ) from cause
        self._added |= {callback.project_id}
        self._listening |= {callback.project_id}
        self.forget_known()

    def may_have_callbacks(self, project_id: str) -> bool:
        return project_id in self._listening

    async def callbacks_of(self, project_id: str) -> tuple[Callback, ...]:
        return tuple(one for one in await self._all_of(project_id) if not one.is_of_one)

    async def _all_of(self, project_id: str) -> tuple[Callback, ...]:
        given = {"project": project_id}
        rows = await self._database.read(lambda c: c.execute(_OF_PROJECT, given).mappings().all())
        return tuple(
            Callback(
                id=row["id"],
                project_id=row["project_id"],
                group=row["event_group"],
                event=row["event_name"],
                url=self._unwrapped(row["url"], _registration(row["id"])),
                created_ms=row["created_ms"],
            )
            for row in rows
        )

    async def known_callbacks_of(self, project_id: str) -> tuple[Callback, ...]:
        known = self._known.get(project_id)
        if known is None:
            changes = self._changes
            known = await self._all_of(project_id)
            if changes == self._changes:
                self._known[project_id] = known
        return known

    def forget_known(self) -> None:
        """After a change of registrations."""
        self._known.clear()
        self._changes += 1

    async def remove_callback(self, project_id: str, callback_id: str) -> bool:
        if not may_be_name(callback_id):
            return False
        named = sa.and_(callbacks.c.id == callback_id, callbacks.c.project_id == project_id)

        def remove(connection: sa.Connection) -> bool:
            if connection.execute(callbacks.delete().where(named)).rowcount != 1:
                return False
            connection.execute(outbox.delete().where(outbox.c.callback_id == callback_id))
            return True

        removed = await self._database.write(remove)
        self.forget_known()
        return removed

    # --- the outbox -------------------------------------------------------------------------

    async def queue(self, deliveries: Sequence[NewWebhookDelivery]) -> None:
        await self.settle((), new=deliveries)

    async def claim(self, claim: Claim) -> tuple[WebhookDelivery, ...]:
        return await self.settle((), claim)

    async def look(self, now_ms: int) -> bool:
        self._added = frozenset()
        self.forget_known()

        def look(connection: sa.Connection) -> tuple[bool, frozenset[str]]:
            due = connection.execute(_ANYTHING_DUE, {"now_ms": now_ms}).scalar_one()
            return bool(due), frozenset(connection.execute(_LISTENING).scalars())

        due, listening = await self._database.read(look)
        # What was registered meanwhile may not be in what was read.
        self._listening = listening | self._added
        return due

    async def settle(
        self,
        outcomes: Sequence[Outcome],
        claim: Claim | None = None,
        new: Sequence[NewWebhookDelivery] = (),
    ) -> tuple[WebhookDelivery, ...]:
        def work(connection: sa.Connection) -> tuple[WebhookDelivery, ...]:
            _settle(connection, outcomes)
            for part in _parts(new):
                rows = _not_queued_yet(connection, part)
                for row in rows:
                    for column, owner in _WRAPPED.items():
                        row[column] = self._wrapper.wrap(str(row[column]), owner(row))
                if rows:
                    connection.execute(outbox.insert(), rows)
            return () if claim is None else _claim(connection, claim)

        return await self._opened(await self._database.write(work))

    async def _opened(self, claimed: Sequence[WebhookDelivery]) -> tuple[WebhookDelivery, ...]:
        """With their bodies and URLs. What no key opens is given up, so that it does not hold up
        others."""
        opened, closed = [], []
        for one in claimed:
            row = {"event_id": one.event_id, "callback_id": one.callback_id}
            try:
                body = self._unwrapped(one.body, _of_body(row))
                opened.append(replace(one, body=body, url=self._unwrapped(one.url, _of_url(row))))
            except Unavailable:
                closed.append(Outcome(one.id, UNREADABLE, dead=True, attempts=one.attempts))
        if closed:
            log.error("callbacks cannot be opened with this key", deliveries=len(closed))
            await self._database.write(lambda c: _settle(c, closed))
        return tuple(opened)

    def _unwrapped(self, text: str, owner: str) -> str:
        """Earlier releases stored JSON and URLs in clear: neither begins like what is wrapped."""
        return self._wrapper.unwrap(text, owner) if self._wrapper.is_wrapped(text) else text

    async def rewrap_all(self) -> None:
        """Wraps all bodies and URLs with the newest key. What no key opens is left as it is."""
        await self._rewrap(callbacks, "url", lambda row: _registration(row["id"]))
        for column, owner in _WRAPPED.items():
            await self._rewrap(outbox, column, owner)

    async def _rewrap(self, table: sa.Table, column: str, owner: "_Owner") -> None:
        def again(row: sa.RowMapping) -> str:
            text = str(row[column])
            try:
                return self._wrapper.wrap(self._unwrapped(text, owner(row)), owner(row))
            except Unavailable:
                return text

        await rewrap(self._database, table, column, again)

    async def queue_figures(self) -> QueueFigures:
        alive = outbox.c.dead.is_(False)
        query = sa.select(
            sa.select(sa.func.count()).select_from(outbox).where(alive).scalar_subquery(),
            sa.select(sa.func.min(outbox.c.created_ms)).where(alive).scalar_subquery(),
            sa.select(sa.func.count()).select_from(outbox).where(~alive).scalar_subquery(),
        )
        waiting, oldest, dead = await self._database.read(lambda c: c.execute(query).one())
        return QueueFigures(waiting, oldest, dead)

    async def waiting_of(self, project_id: str) -> int:
        given = {"project": project_id}
        return int(await self._database.read(lambda c: c.execute(_WAITING_OF, given).scalar_one()))

    async def dead_letters(self, project_id: str | None, limit: int) -> tuple[DeadLetter, ...]:
        query = (
            sa.select(outbox).where(_dead_of(project_id)).order_by(outbox.c.id.desc()).limit(limit)
        )
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return tuple(self._letter(row) for row in rows)

    def _letter(self, row: sa.RowMapping) -> DeadLetter:
        """With an empty URL if no key opens it: the others are to be seen all the same."""
        shown = {one.name: row[one.name] for one in fields(DeadLetter)}
        try:
            return DeadLetter(**{**shown, "url": self._unwrapped(row["url"], _of_url(row))})
        except Unavailable:
            return DeadLetter(**{**shown, "url": ""})

    async def revive(self, project_id: str | None, now_ms: int, give_up_ms: int) -> int:
        change = (
            outbox.update()
            .where(_dead_of(project_id))
            .values(dead=False, attempts=0, next_ms=now_ms, give_up_ms=give_up_ms)
        )
        return await self._database.write(lambda c: c.execute(change).rowcount)

    async def purge_dead(self, created_before_ms: int) -> int:
        old = sa.and_(_dead_of(None), outbox.c.created_ms < created_before_ms)
        return await self._database.write(lambda c: c.execute(outbox.delete().where(old)).rowcount)


# Statements of every event or second are built once: to build one takes longer than to run it.
_ANYTHING_DUE = sa.select(
    sa.exists().where(outbox.c.dead.is_(False), outbox.c.next_ms <= sa.bindparam("now_ms"))
)
_LISTENING = sa.select(callbacks.c.project_id).distinct()
_OF_PROJECT = (
    callbacks.select()
    .where(callbacks.c.project_id == sa.bindparam("project"))
    .order_by(callbacks.c.created_ms, callbacks.c.id)
)
_WAITING_OF = (
    sa.select(sa.func.count())
    .select_from(outbox)
    .where(outbox.c.project_id == sa.bindparam("project"), outbox.c.dead.is_(False))
)
_HIDE = (
    outbox.update()
    .where(outbox.c.id.in_(sa.bindparam("rows", expanding=True)))
    .values(next_ms=sa.bindparam("until_ms"))
)
_REMOVE = outbox.delete().where(outbox.c.id.in_(sa.bindparam("rows", expanding=True)))
_CHANGE = (
    outbox.update()
    .where(outbox.c.id == sa.bindparam("row"))
    .values({name: sa.bindparam(name) for name in ("dead", "attempts", "next_ms", "result")})
)
_QUEUED = sa.select(outbox.c.event_id, outbox.c.callback_id).where(
    outbox.c.event_id.in_(sa.bindparam("events", expanding=True))
)
_REGISTERED = sa.select(callbacks.c.id).where(
    callbacks.c.id.in_(sa.bindparam("wanted", expanding=True))
)


_DELIVERY = tuple(outbox.c[name] for name in _CLAIMED)
_FOLLOWING = (
    sa.select(*_DELIVERY)
    .where(
        outbox.c.session_id == sa.bindparam("session"),
        outbox.c.origin == sa.bindparam("origin"),
        outbox.c.dead.is_(False),
        outbox.c.id > sa.bindparam("head"),
    )
    .order_by(outbox.c.id)
    .limit(sa.bindparam("most"))
)


@cache
def _claiming(excludes: tuple[str, ...]) -> sa.Select[tuple[object, ...]]:
    """The due heads of lanes, and of each whether another delivery follows. `excludes`: the columns
    whose values may be excluded."""
    other = outbox.alias()
    of_lane = sa.and_(
        other.c.session_id == outbox.c.session_id,
        other.c.origin == outbox.c.origin,
        other.c.dead.is_(False),
    )
    blocked = sa.exists().where(of_lane, other.c.id < outbox.c.id)
    leads = sa.exists().where(of_lane, other.c.id > outbox.c.id)
    due = sa.and_(outbox.c.dead.is_(False), outbox.c.next_ms <= sa.bindparam("now_ms"), ~blocked)
    for column in excludes:
        due = sa.and_(due, outbox.c[column].not_in(sa.bindparam(column, expanding=True)))
    return (
        sa.select(*_DELIVERY, leads)
        .where(due)
        .order_by(outbox.c.next_ms, outbox.c.id)
        .limit(sa.bindparam("most"))
        .with_for_update(skip_locked=True)
    )


def _claim(connection: sa.Connection, claim: Claim) -> tuple[WebhookDelivery, ...]:
    places = claim.places
    full = {"origin": places.full_origins(), "project_id": places.full_projects()}
    excluded = {column: names for column, names in full.items() if names}
    given = {"now_ms": claim.now_ms, "most": places.free, **excluded}
    rows = connection.execute(_claiming(tuple(excluded)), given).all()
    heads = [_delivery(row[:-1]) for row in rows]
    leading = {head.id for head, row in zip(heads, rows, strict=True) if row[-1]}
    found: list[WebhookDelivery] = []
    for head in places.admitted(heads):
        found.append(head)
        if head.id in leading and not head.attempts and claim.in_a_row > 1:
            # Nobody else can claim them before this transaction ends: their head is locked.
            lane = {"session": head.session_id, "origin": head.origin, "head": head.id}
            rest = connection.execute(_FOLLOWING, {**lane, "most": claim.in_a_row - 1})
            found += map(_delivery, rest)
    for part in _parts(found):
        hidden = {"rows": [one.id for one in part], "until_ms": claim.hidden_until_ms}
        connection.execute(_HIDE, hidden)
    return tuple(found)


def _registration(callback_id: object) -> str:
    return f"registration {callback_id}"


def _of_body(row: Mapping[Any, object]) -> str:
    return f"callback {row['event_id']}"


def _of_url(row: Mapping[Any, object]) -> str:
    return f"delivery {row['event_id']} {row['callback_id']}"


_Owner = Callable[[Mapping[Any, object]], str]
_WRAPPED: Mapping[str, _Owner] = MappingProxyType({"body": _of_body, "url": _of_url})
"""What of a delivery is wrapped, and for whom: nothing can be moved to another row."""


def _delivery(row: Sequence[Any]) -> WebhookDelivery:
    return WebhookDelivery(**dict(zip(_CLAIMED, row, strict=True)))


def _settle(connection: sa.Connection, outcomes: Sequence[Outcome]) -> None:
    done = [outcome.id for outcome in outcomes if outcome.delivered]
    rest = [
        {
            "row": outcome.id,
            "dead": outcome.dead,
            "attempts": outcome.attempts,
            "next_ms": outcome.next_ms,
            "result": outcome.result,
        }
        for outcome in outcomes
        if not outcome.delivered
    ]
    for part in _parts(done):
        connection.execute(_REMOVE, {"rows": list(part)})
    if rest:
        connection.execute(_CHANGE, rest)


def _parts(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(whole), _IN_ONE_QUERY):
        yield whole[begin : begin + _IN_ONE_QUERY]


def _dead_of(project_id: str | None) -> sa.ColumnElement[bool]:
    dead = outbox.c.dead.is_(True)
    return dead if project_id is None else sa.and_(dead, outbox.c.project_id == project_id)


def _not_queued_yet(
    connection: sa.Connection, deliveries: Sequence[NewWebhookDelivery]
) -> list[dict[str, object]]:
    """Rows for new deliveries whose registration still exists."""
    events = [delivery.event_id for delivery in deliveries]
    wanted = list({delivery.callback_id for delivery in deliveries})
    known = {(row[0], row[1]) for row in connection.execute(_QUEUED, {"events": events})}
    alive = {row[0] for row in connection.execute(_REGISTERED, {"wanted": wanted})}
    return [
        {
            **{name: getattr(one, name) for name in _NEW},
            "next_ms": 0,
            "attempts": 0,
            "dead": False,
            "result": "",
        }
        for one in deliveries
        if (one.event_id, one.callback_id) not in known and one.callback_id in alive
    ]

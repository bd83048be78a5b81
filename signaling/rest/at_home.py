"""Which session a call of REST is about, and the call at that session's home.

Lists and things that have ended are in the store, and so are renders and audio connections that are
to be stopped: the node that runs one looks there.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from signaling.domain.session_options import SessionRecord
from signaling.http.answers import Answer
from signaling.links.links import Forwarded, HomeAnswer
from signaling.rest.call import Call
from signaling.rest.homeward import Homeward, header_of
from signaling.rest.routes import P, Route, S
from signaling.storage.base import Store

IN_STORE: Final = frozenset({S})
"""Routes that name a session and need only what never changes of it."""
BEGINNING: Final = frozenset({f"{S}/mute"})
"""Routes after which a session has a home, besides those that bring somebody into it: that an empty
one is muted is known at its home."""
_RUNNING: Final = frozenset({"started", "paused"})


class _Recorded(Protocol):
    """What the store has of an archive, a broadcast or captions."""

    @property
    def project_id(self) -> str: ...
    @property
    def session_id(self) -> str: ...
    @property
    def status(self) -> str: ...


_Find = Callable[[Store, str], Awaitable[_Recorded | None]]
RECORDS: Final[Mapping[str, _Find]] = {
    "archive": lambda store, name: store.archives.archive(name),
    "broadcast": lambda store, name: store.broadcasts.broadcast(name),
    "captions": lambda store, name: store.captions.captions(name),
}
"""By the segment of the path behind the project, for routes with an id."""


async def answered(
    homeward: Homeward,
    route: Route,
    call: Call,
    request: Forwarded,
    here: Callable[[], Awaitable[Answer]],
) -> Answer:
    """What the session's home answers, which may be this node: it answers for empty sessions too.
    Errors: those of the route; `home_away`."""
    record = await session_of(route, call)
    begins = route.needs_clear_media is not None or route.template in BEGINNING
    answer = None if record is None else await homeward.answer(record, request, begins=begins)
    return await here() if answer is None else _answer(answer)


async def session_of(route: Route, call: Call) -> SessionRecord | None:
    """The session that a call touches while clients are in it; None: none, or one that there is
    not, as the route's own handler says."""
    if "session" in call.path:
        wanted = None if route.template in IN_STORE else call.path["session"]
    elif route.needs_clear_media is not None:
        wanted = getattr(call.body, "session_id", None)
    else:
        wanted = await _recorded_session(route, call)
    if wanted is None:
        return None
    return await call.services.authenticator.session_of(call.project, wanted)


async def _recorded_session(route: Route, call: Call) -> str | None:
    find = RECORDS.get(route.template.removeprefix(P).split("/")[1])
    if find is None or "id" not in call.path:
        return None
    record = await find(call.services.store, call.path["id"])
    if record is None or record.project_id != call.project.api_key:
        return None
    return record.session_id if str(record.status) in _RUNNING else None


def _answer(found: HomeAnswer) -> Answer:
    retry = header_of(found.headers, "Retry-After")
    return Answer(
        found.status,
        found.body,
        header_of(found.headers, "Content-Type"),
        header_of(found.headers, "Allow"),
        int(retry) if retry.isdecimal() else 0,
    )

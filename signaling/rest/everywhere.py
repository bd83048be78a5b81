"""What is at all nodes of a cluster: each is asked for its own, and answers for itself alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import msgspec
from yarl import URL

from signaling.domain.errors import DomainError
from signaling.links.links import Forwarded
from signaling.rest import replies
from signaling.rest.call import Elsewhere, ListedElsewhere
from signaling.rest.homeward import LIST_S, Homeward, Other

PAGE = 1_000
_decoder = msgspec.json.Decoder(replies.LiveSessions)


def elsewhere_of(homeward: Homeward | None, request: Forwarded | None) -> Elsewhere | None:
    """None: there are no other nodes to ask."""
    if homeward is None or request is None or not (others := homeward.others()):
        return None
    return partial(listed, others, request)


async def listed(others: Sequence[Other], request: Forwarded, wanted: int) -> ListedElsewhere:
    """The oldest sessions of each node, as many as are wanted of all, and how many there are."""
    asked = (_of_one(other, request, wanted) for other in others)
    found = await asyncio.gather(*asked)
    answers = {other.name: one for other, one in zip(others, found, strict=True)}
    return ListedElsewhere(
        sum(one.count for one in answers.values() if one is not None),
        tuple(item for one in answers.values() if one is not None for item in one.items),
        tuple(sorted(name for name, one in answers.items() if one is None)),
    )


async def _of_one(other: Other, request: Forwarded, wanted: int) -> replies.LiveSessions | None:
    """None: it does not say."""
    items: list[replies.LiveSession] = []
    try:
        async with asyncio.timeout(LIST_S):
            while True:
                page = await _page(other, request, len(items), min(PAGE, wanted - len(items)))
                if page is None:
                    return None
                items += page.items
                if not page.items or len(items) >= min(wanted, page.count):
                    return replies.LiveSessions(page.count, tuple(items))
    except (DomainError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


async def _page(
    other: Other, request: Forwarded, offset: int, count: int
) -> replies.LiveSessions | None:
    """Errors: `home_away`, and those of an answer that is none."""
    target = URL(request.target, encoded=True)
    target = target.update_query({"offset": str(offset), "count": str(count)})
    answer = await other.ask(replace(request, target=str(target)))
    if answer is None or answer.status != 200:
        return None
    return _decoder.decode(answer.body)

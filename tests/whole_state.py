"""Everything that a node keeps of its one session, to be compared before and after a refusal."""

import re

from sfu.ids import SessionId
from signaling.sessions.client_slot import ClientSlot
from tests.conversation import House
from tests.fakes.media_plane import FakeClientMedia

_BUCKET = re.compile(r"Bucket\([^)]*\)")


def slot_of(slot: ClientSlot) -> tuple:
    """Without what counts messages: the refusal itself is one."""
    waiting = [repr(one.message) for one in (*slot.backlog, *slot.batch)]
    publishing = slot.publishing is not None and not slot.publishing.done()
    return (
        slot.resume_tokens,
        id(slot.sink),
        waiting,
        slot.grace,
        slot.offer,
        slot.subscribed_layers,
        publishing,
    )


def media_of(media: FakeClientMedia) -> tuple:
    return (
        sorted(media.published),
        repr([(name, vars(one)) for name, one in media.subscribers.items()]),
        media.outstanding_offer,
        sorted(media.connected),
        media._offer_wanted,
        repr(media._free_mids),
    )


def all_of(house: House) -> tuple:
    found = house.directory._actors.get(SessionId(house.record.session_id))
    session = house.plane.sessions.get(SessionId(house.record.session_id))
    streams = {} if session is None else session.streams
    return (
        None if found is None else _BUCKET.sub("Bucket", repr(found.state)),
        {} if found is None else {name: slot_of(slot) for name, slot in found.slots.items()},
        [(name, dict(one.kids), dict(one.forwarding)) for name, one in streams.items()],
        {} if session is None else {n: media_of(c) for n, c in session.clients.items()},
        sorted(house.directory._lingering),
    )

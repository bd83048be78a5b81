"""Everything that a node keeps of its one session, to be compared before and after a refusal."""

import re

from sfu.fake import FakeClientMedia
from sfu.ids import SessionId
from signaling.seat import Seat
from tests.conversation import House

_BUCKET = re.compile(r"Bucket\([^)]*\)")


def seat_of(seat: Seat) -> tuple:
    """Without what counts messages: the refusal itself is one."""
    waiting = [repr(one.message) for one in (*seat.backlog, *seat.held)]
    publishing = seat.publishing is not None and not seat.publishing.done()
    return (seat.resume, id(seat.outlet), waiting, seat.grace, seat.offer, seat.demands, publishing)


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
        {} if found is None else {name: seat_of(seat) for name, seat in found._seats.items()},
        [(name, dict(one.kids), dict(one.forwarding)) for name, one in streams.items()],
        {} if session is None else {n: media_of(c) for n, c in session.clients.items()},
        sorted(house.directory._lingering),
    )

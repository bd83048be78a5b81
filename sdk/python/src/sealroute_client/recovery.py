"""A transport was lost: what it carried goes on over a fresh one, within the same Connection.

The server has forgotten the transport and all that went over it. Publishers get another stream
id, since their streams have ended for everybody; Subscribers go on with the streams they had.
"""

import logging
from typing import TYPE_CHECKING

from sealroute_client.errors import SealrouteError

if TYPE_CHECKING:
    from sealroute_client.publisher import Publisher
    from sealroute_client.session import Session
    from sealroute_client.subscriber import Subscriber

logger = logging.getLogger(__name__)


def begin(session: "Session", direction: str) -> None:
    """Called as the server tells, before it tells which streams ended by that."""
    if direction == "uplink":
        publishers = list(session.publishers.values())
        session.publishers.clear()
        session.spawn(_republish(session, publishers))
    else:
        subscribers = list(session.subscribers.values())
        session.subscribers.clear()
        session.spawn(_resubscribe(session, subscribers))


async def _republish(session: "Session", publishers: "list[Publisher]") -> None:
    await session.close_link("uplink")
    session.emit("transportLost", direction="uplink")
    for publisher in publishers:
        if publisher.is_ended.is_set():
            await publisher.stop()
            continue
        try:
            await session.negotiate(publisher)
        except SealrouteError as error:
            await publisher.stop()
            publisher.emit("streamDestroyed", streamId=publisher.stream_id, reason=error.code)
            session.emit("error", error=error)


async def _resubscribe(session: "Session", subscribers: "list[Subscriber]") -> None:
    for subscriber in subscribers:
        subscriber.lose_tracks()
    await session.close_link("downlink")
    session.emit("transportLost", direction="downlink")
    for subscriber in subscribers:
        if subscriber.is_ended.is_set():
            continue
        try:
            await session.request_subscription(subscriber)
        except SealrouteError as error:
            logger.info("a subscription was not taken up again: %s", error.code)
            await session.end_subscriber(subscriber)

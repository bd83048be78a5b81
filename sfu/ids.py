"""Identifiers shared by both planes.

Application identifiers are strings that clients and REST see. Media handles are small integers
known only in this process: the media core indexes its tables with them.
"""

from typing import NewType

SessionId = NewType("SessionId", str)
ConnectionId = NewType("ConnectionId", str)
StreamId = NewType("StreamId", str)
SubscriberId = NewType("SubscriberId", str)

RouterHandle = NewType("RouterHandle", int)
TransportHandle = NewType("TransportHandle", int)
PublisherHandle = NewType("PublisherHandle", int)
SubscriberHandle = NewType("SubscriberHandle", int)


def short(identity: str) -> str:
    """The part of an identifier that may appear in a log line: enough to follow, not to reuse."""
    return identity[:8]

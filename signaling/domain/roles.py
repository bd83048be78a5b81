"""The roles of tokens, and the capabilities of each."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    SUBSCRIBER = "subscriber"
    PUBLISHER = "publisher"
    PUBLISHER_ONLY = "publisheronly"
    MODERATOR = "moderator"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a Connection may do. Every valid token allows connecting."""

    publish: bool = False
    subscribe: bool = False
    signal: bool = False
    force_unpublish: bool = False
    force_disconnect: bool = False
    force_mute: bool = False


# Source: the token roles of the OpenTok documentation.
CAPABILITIES: dict[Role, Capabilities] = {
    Role.SUBSCRIBER: Capabilities(subscribe=True),
    Role.PUBLISHER: Capabilities(publish=True, subscribe=True, signal=True),
    Role.PUBLISHER_ONLY: Capabilities(publish=True),
    Role.MODERATOR: Capabilities(
        publish=True,
        subscribe=True,
        signal=True,
        force_unpublish=True,
        force_disconnect=True,
        force_mute=True,
    ),
}

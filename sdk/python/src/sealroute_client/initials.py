"""What stands in the place of a video that is off. Pure; the browser SDK has the same rules."""

from typing import Any, Final

MAX_INITIALS: Final = 16
"""Characters, as the server takes them."""


def shortened(initials: object) -> str:
    """At most `MAX_INITIALS` characters of a text; a server that lies may send more, or no text."""
    return initials[:MAX_INITIALS] if isinstance(initials, str) else ""


def initials_of(name: str) -> str:
    """The first letters of the first and of the last word."""
    words = name.split()
    return "".join(word[0].upper() for word in (words[:1] + words[1:][-1:]))


def shown_initials(stream: dict[str, Any]) -> str:
    """Those that the publisher chose, else those of the stream's name; "" without both."""
    return shortened(stream.get("initials")) or initials_of(stream.get("name") or "")

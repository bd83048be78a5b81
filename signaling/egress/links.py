"""What links begin with that the server hands out."""

from dataclasses import dataclass


@dataclass(slots=True)
class Links:
    """Unless it is set, the server knows it when it listens."""

    base_url: str = ""

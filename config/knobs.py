"""How a setting is written: its default, what it trades, and its range."""

from dataclasses import field
from typing import Any


def knob(
    default: Any,  # noqa: ANN401 - the field's annotation says the type
    why: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:  # noqa: ANN401 - dataclass fields take their type from the annotation
    """A dataclass field with its documentation and range."""
    return field(
        default=default, metadata={"why": why, "low": low, "high": high, "choices": choices}
    )

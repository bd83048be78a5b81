"""What one node asks another one to stop."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AskedStop:
    """`object_id`: of an archive, a broadcast, captions, a render or an audio connection of the
    project. `asked_ms`: Unix time in milliseconds."""

    id: str
    object_id: str
    project_id: str
    asked_ms: int

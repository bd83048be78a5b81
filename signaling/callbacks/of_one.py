"""The callback that an application names for one thing alone, as it starts that."""

from sfu.target_policy import TargetPolicy
from signaling.callbacks.registration import check_target
from signaling.domain.callbacks import ONE, Callback

KEEP_MS = 600_000
"""After the end of the thing, whose last event may still be on its way to the outbox."""


def callback_of_one(
    group: str, thing_id: str, project_id: str, url: str, created_ms: int
) -> Callback:
    """`group`: that of the thing's events."""
    return Callback(
        id=thing_id, project_id=project_id, group=ONE, event=group, url=url, created_ms=created_ms
    )


def check_url(url: str, targets: TargetPolicy) -> None:
    """Errors: `invalid_parameter`. Nothing is wrong with none."""
    if url:
        check_target(url, targets)

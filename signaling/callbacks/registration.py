"""Registration of a callback, for REST and the command line."""

import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

from sfu.target_policy import TargetPolicy, TargetRefused
from signaling.domain.callbacks import (
    MAX_CALLBACKS,
    Callback,
    checked_registration,
    checked_url,
)
from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.projects import Project
from signaling.storage.base import CallbackStore


@dataclass(frozen=True, slots=True)
class Wanted:
    """A requested registration; `all` means every group, or every event of a group."""

    group: str
    event: str
    url: str


def check_target(given: str, targets: TargetPolicy) -> str:
    """An URL that events may be posted to. Errors: `invalid_parameter`."""
    url = checked_url(given)
    try:
        targets.check_host(urlsplit(url).hostname or "")
    except TargetRefused as cause:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            "'url' does not have a public address. The operator can allow its network with the "
            "setting callbacks.allowed_networks.",
        ) from cause
    return url


async def register(
    store: CallbackStore, project: Project, wanted: Wanted, targets: TargetPolicy, now_ms: int
) -> Callback:
    """A new registration, or the existing identical one. Errors: `invalid_parameter`."""
    group, event = checked_registration(wanted.group, wanted.event)
    url = check_target(wanted.url, targets)
    known = await store.callbacks_of(project.api_key)
    for callback in known:
        if (callback.group, callback.event, callback.url) == (group, event, url):
            return callback
    if len(known) >= MAX_CALLBACKS:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            f"The project has reached its limit of {MAX_CALLBACKS} callbacks.",
        )
    callback = Callback(str(uuid.uuid4()), project.api_key, group, event, url, now_ms)
    await store.add_callback(callback)
    return callback

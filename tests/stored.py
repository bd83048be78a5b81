"""Records that tests of storage keep."""

from dataclasses import replace

from signaling.domain.archiving import ArchiveRecord, StreamMode
from signaling.domain.broadcasting import BroadcastRecord
from signaling.domain.projects import new_project
from signaling.domain.rendering import RenderRecord
from signaling.domain.session_options import SessionOptions, SessionRecord
from signaling.domain.webhook_deliveries import NewWebhookDelivery


def project(seed: int = 0, **options):
    return new_project(random_bytes=bytes([seed]) * 44, now_ms=seed, **options)


def record(owner, name: str = "2_a", **options) -> SessionRecord:
    return SessionRecord(name, owner.api_key, SessionOptions(**options), 17)


def waiting(owner, callback: str) -> NewWebhookDelivery:
    return NewWebhookDelivery(
        event_id=f"event-{owner.api_key}",
        callback_id=callback,
        project_id=owner.api_key,
        session_id="s",
        origin="http://app.test:80",
        url="http://app.test/x",
        event="streamCreated",
        body="{}",
        created_ms=1,
        give_up_ms=1_000,
    )


def archive(owner, archive_id: str = "a", **changes) -> ArchiveRecord:
    made = ArchiveRecord(
        archive_id,
        owner.api_key,
        f"2_{owner.api_key}",
        "n",
        StreamMode.AUTO,
        True,
        False,
        "",
        created_ms=5,
        updated_ms=5,
    )
    return replace(made, **changes)


def broadcast(owner, broadcast_id: str = "b", **changes) -> BroadcastRecord:
    made = BroadcastRecord(
        broadcast_id,
        owner.api_key,
        f"2_{owner.api_key}",
        StreamMode.AUTO,
        True,
        True,
        "",
        "640x480",
        60,
        created_ms=5,
        updated_ms=5,
    )
    return replace(made, **changes)


def render(owner, render_id: str = "render", **changes) -> RenderRecord:
    given = {
        "session_id": "2_s",
        "url": "https://a.test/?secret",
        "name": "n",
        "resolution": "1280x720",
        "max_duration_s": 60,
        "created_ms": 5,
        "updated_ms": 5,
        "callback_url": "https://a.test/status",
    }
    return RenderRecord(id=render_id, project_id=owner.api_key, **{**given, **changes})

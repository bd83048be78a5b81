"""What each event makes of a render, and what callbacks say of it."""

import pytest

from signaling.domain.errors import DomainError
from signaling.domain.rendering import (
    ARROWS,
    RenderEvent,
    RenderRecord,
    RenderStatus,
    page_address,
    render_details,
    step,
)


def render(**changes):
    given = {"id": "r", "project_id": "1", "session_id": "2_s", "url": "https://a.test/p"}
    given |= {"name": "", "resolution": "1280x720", "max_duration_s": 60}
    return RenderRecord(**{**given, "created_ms": 5, "updated_ms": 5, **changes})


def test_every_event_ends_or_starts_what_runs_and_none_changes_what_is_over():
    assert set(ARROWS) == set(RenderStatus)
    for event in RenderEvent:
        for status in (RenderStatus.STARTING, RenderStatus.STARTED):
            after = step(render(status=status), event, 9)
            assert after.is_running is (event is RenderEvent.PUBLISHED)
            assert after.updated_ms == 9
        for status in (RenderStatus.STOPPED, RenderStatus.FAILED):
            over = render(status=status)
            assert step(over, event, 9) is over


@pytest.mark.parametrize(
    ("event", "status", "reason"),
    [
        (RenderEvent.STOP, "stopped", "Stop requested"),
        (RenderEvent.MAXIMUM, "stopped", "Max duration exceeded"),
        (RenderEvent.CRASHED, "failed", "The browser crashed twice."),
        (RenderEvent.LOST, "failed", "Internal server failure"),
    ],
)
def test_the_reasons_are_the_vendors_where_it_has_some(event, status, reason):
    over = step(render(), event, 6)
    assert (over.status.value, over.reason) == (status, reason)


def test_a_reason_may_be_more_than_the_event_and_is_bounded():
    assert step(render(), RenderEvent.PAGE, 6, text="The page answered 404.").reason.endswith(
        "404."
    )
    assert len(step(render(), RenderEvent.PAGE, 6, text="x" * 10_000).reason) == 256


def test_what_is_published_again_has_another_stream():
    first = step(render(), RenderEvent.PUBLISHED, 6, stream="one")
    assert "streamId" not in render_details(render())
    assert render_details(first)["streamId"] == "one"
    assert step(first, RenderEvent.PUBLISHED, 7, stream="two").stream_id == "two"
    assert step(first, RenderEvent.STOP, 7).stream_id == "one"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://a.test/p?q#f", ("a.test", 443)),
        ("http://a.test:81", ("a.test", 81)),
        ("http://[2001:db8::1]/", ("2001:db8::1", 80)),
    ],
)
def test_where_a_page_is(url, address):
    assert page_address(url) == address


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "chrome://gpu", "javascript:alert(1)", "https://", "http://a b/",
            "http://a.test:x/", "data:text/html,x", "view-source:http://a.test/"]
)  # fmt: skip
def test_what_is_no_page(url):
    with pytest.raises(DomainError, match="url"):
        page_address(url)

"""What comes from the browser of a render and from its process; any bytes."""

import contextlib

from sfu.egress.control import LineError
from sfu.egress.render.requests import (
    END,
    RequestError,
    origin_head,
    read_request,
    without_origin,
)
from sfu.egress.render_lines import RenderUpReader
from sfu.egress.render_reports import RenderReports


def proxy_requests(data: bytes) -> None:
    """What goes on to a server is one head for one place."""
    with contextlib.suppress(RequestError):
        request = read_request(data)
        assert request.host
        assert 0 < request.port <= 65_535
        if not request.tunnel:
            head = origin_head(request)
            assert head.endswith(END)
            assert head.count(END) == 1
            assert head.lower().count(b"\r\nhost: ") == 1
    with contextlib.suppress(RequestError):
        head = without_origin(data, "/v1/signal")
        assert head.count(END) == 1
        assert b"\r\norigin:" not in head.lower()


def render_lines(data: bytes) -> None:
    """Control lines of a render's process: each is one that it may send now, or it ends."""
    reader, reports = RenderUpReader(), RenderReports()
    with contextlib.suppress(LineError):
        for line in data.split(b"\n"):
            reports.check(reader.decode(line))

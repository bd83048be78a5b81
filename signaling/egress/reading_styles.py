"""Custom layouts as part of a server."""

import contextlib
from collections.abc import AsyncIterator

import structlog

from config.settings import Settings
from sfu.egress.stylesheets import Stylesheets
from signaling.egress.styles import Styles, missing_parts
from signaling.metrics import Metrics

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def running_styles(settings: Settings, metrics: Metrics) -> AsyncIterator[Styles]:
    """Their process begins with the first stylesheet."""
    stylesheets = None
    if settings.archive.enabled or settings.broadcast.enabled:
        absent = missing_parts()
        if absent:
            reason = "packages are not installed"
            log.info("no layouts of the type custom", reason=reason, packages=absent)
        else:
            stylesheets = Stylesheets()
    styles = Styles(stylesheets, metrics)
    try:
        yield styles
    finally:
        await styles.close()

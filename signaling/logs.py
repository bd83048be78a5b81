"""Structured logs on standard error, with redaction of anything that must not be logged.

Callers log short ids and codes only. The redaction below is a second safeguard: the value of a key
that names a credential, an SDP or media is replaced, at any depth.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

REDACTED = "…"
_FORBIDDEN = re.compile(
    r"token|secret|passw|passphrase|credential|authorization|cookie|sdp|private|"
    r"\bkey\b|api_key|pem|payload|connection_data",
    re.IGNORECASE,
)
# Text that is a credential under any key.
_CREDENTIAL = re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|T1==[A-Za-z0-9+/=]+|-----BEGIN[^-]+-----.*")
_MAX_DEPTH = 6


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor that redacts secrets."""
    for key in list(event):
        event[key] = _clean(key, event[key], 0)
    return event


def _clean(key: str, value: object, depth: int) -> object:
    if _FORBIDDEN.search(key) or depth > _MAX_DEPTH:
        return REDACTED
    if isinstance(value, str):
        return _CREDENTIAL.sub(REDACTED, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return REDACTED
    if isinstance(value, dict):
        return {str(name): _clean(str(name), item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(key, item, depth + 1) for item in value]
    return value


def configure_logs(level: str, form: str) -> None:
    """Sends structlog and the standard library's logging through one chain to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if form == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Libraries log a lot; only their warnings matter here.
    for name in ("aiohttp.access", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)

"""Packages that the processes of a feature import, and nothing else of the server does."""

import importlib.util
from collections.abc import Sequence

import structlog

log = structlog.get_logger(__name__)


def missing_packages(needed: Sequence[str]) -> list[str]:
    return [name for name in needed if importlib.util.find_spec(name) is None]


def are_installed(needed: Sequence[str], otherwise: str) -> bool:
    """`otherwise`: what the log says is not there without them."""
    absent = missing_packages(needed)
    if absent:
        log.info(otherwise, reason="packages are not installed", packages=absent)
    return not absent

"""`sealroute cluster …`: what the nodes on one database are, and how they do."""

import argparse
import importlib
from collections import Counter
from collections.abc import Iterator, Sequence

from config.load import ConfigurationError
from config.settings import Settings
from signaling.cli.shell import Adder, Shell
from signaling.cluster.engine import Surveyed
from signaling.storage.base import Store

LATE_S = 3.5
"""After so long without a beat the others declare a silent node dead."""
NOBODY = "No node lives: no server with a [cluster] name uses this database."


async def survey(settings: Settings) -> tuple[Surveyed, ...]:
    """All lives of the last day. Errors: `storage_unavailable`, `ConfigurationError`."""
    _require_shared(settings)
    opening = importlib.import_module("signaling.cluster.engine_postgres").open_engine
    engine = await opening(settings.storage.url)
    try:
        found: tuple[Surveyed, ...] = await engine.survey()
    finally:
        await engine.close()
    return found


def _require_shared(settings: Settings) -> None:
    if not settings.storage.url.reveal():
        raise ConfigurationError(
            "there is no cluster: its nodes share one PostgreSQL, and [storage] url names none"
        )


class ClusterCommands:
    """Each method is one command and returns its exit code."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def status(self, arguments: argparse.Namespace) -> int:
        """Errors: `storage_unavailable`, `ConfigurationError`."""
        settings = self._shell.settings_of(arguments)

        async def work(_store: Store) -> tuple[Surveyed, ...]:
            return await survey(settings)

        _require_shared(settings)
        found: tuple[Surveyed, ...] = self._shell.with_store(arguments, work)  # type: ignore[assignment]
        shown = [one for one in found if arguments.all or one.is_living or one.homes]
        warnings = list(warnings_of(found))
        document = {"nodes": [described(one, found) for one in shown], "warnings": warnings}
        lines = [*lines_of(shown, found), *(f"warning: {text}" for text in warnings)]
        self._shell.show(arguments, document, "\n".join(lines) or NOBODY)
        return 0


def warnings_of(found: Sequence[Surveyed]) -> Iterator[str]:
    """What an operator should look at."""
    living = [one for one in found if one.is_living]
    for name, count in Counter(one.row.name for one in living).items():
        if count > 1:
            yield f"{count} nodes that live are named {name}: each needs a name of its own"
    for one in living:
        if one.age_s > LATE_S:
            yield f"{one.row.name} has not beaten for {one.age_s:.0f} s"
    for one in found:
        if one.homes and not one.is_living:
            yield (
                f"{one.homes} sessions have their home at a life of {one.row.name} that has ended:"
                " who comes to them takes them over"
            )
    releases = sorted({one.row.release for one in living})
    if len(releases) > 2:
        yield f"more than two releases at a time: {', '.join(releases)}"


def described(one: Surveyed, among: Sequence[Surveyed]) -> dict[str, object]:
    row = one.row
    return {
        "name": row.name,
        "incarnation": row.incarnation,
        "region": row.region,
        "state": row.state.value,
        "release": row.release,
        "sessions": one.homes,
        "beatAgeS": round(one.age_s, 1),
        "linkUrl": row.link_url,
        "hears": _names(row.hears, among),
        "startedAt": row.started_ms,
    }


def _names(incarnations: frozenset[int], among: Sequence[Surveyed]) -> list[str]:
    return sorted(one.row.name for one in among if one.row.incarnation in incarnations)


def lines_of(shown: Sequence[Surveyed], among: Sequence[Surveyed]) -> list[str]:
    if not shown:
        return []
    rows = [("node", "state", "region", "sessions", "last beat", "release", "life", "links with")]
    rows += [
        (
            one.row.name,
            one.row.state.value,
            one.row.region or "-",
            str(one.homes),
            f"{one.age_s:.1f} s ago",
            one.row.release,
            str(one.row.incarnation),
            ", ".join(_names(one.row.hears, among)) or "-",
        )
        for one in shown
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def add_commands(add: Adder, shell: Shell) -> None:
    status = add("status", ClusterCommands(shell).status, "show the nodes and their sessions")
    status.add_argument("--all", action="store_true", help="also lives that ended within a day")

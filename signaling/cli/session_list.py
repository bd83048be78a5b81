"""`sealroute session list`: the sessions that clients are in, as the running server has them."""

import argparse
from collections.abc import Iterator

from signaling.administration import existing_project
from signaling.cli.asking import Document, ask, project_url, server_url
from signaling.cli.shell import Shell
from signaling.domain.projects import Project
from signaling.storage.base import Store

PAGE = 1_000
NOBODY = "No client is in any session on that server."


class SessionList:
    """One command; `run` returns its exit code."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def run(self, arguments: argparse.Namespace) -> int:
        """Errors: `not_found` for an unknown project, `internal`, `ConfigurationError`."""

        async def work(store: Store) -> tuple[Project, ...]:
            if arguments.api_key is None:
                return await store.projects()
            return (await existing_project(store, arguments.api_key),)

        projects: tuple[Project, ...] = self._shell.with_store(arguments, work)  # type: ignore[assignment]
        url = server_url(arguments, self._shell.settings_of(arguments).http)
        silent: set[str] = set()
        found = [
            {"apiKey": project.api_key, **item}
            for project in projects
            for item in sessions_of(project, url, silent)
        ]
        lines = ["\n".join(map(_line, found)) or NOBODY]
        lines += [f"Without those of {name}, which did not answer." for name in sorted(silent)]
        self._shell.show(arguments, found, "\n".join(lines))
        return 0


def sessions_of(project: Project, url: str, silent: set[str]) -> Iterator[Document]:
    """Page by page. A session that begins or ends in between may be left out. `silent`: nodes of a
    cluster that did not answer are put there."""
    begin = 0
    while True:
        page = ask(project, f"{project_url(url, project)}/session?count={PAGE}&offset={begin}")
        silent |= set(page.get("nodesLeftOut", ()))
        yield from page["items"]
        begin += PAGE
        if not page["items"] or begin >= page["count"]:
            return


def _line(found: Document) -> str:
    kind = "encrypted" if found["e2ee"] else "clear"
    return (
        f"{found['sessionId']}  project {found['apiKey']}, {kind}, {found['mediaMode']},"
        f" {found['connectionCount']} clients, {found['streamCount']} streams"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--api-key", help="of one project only (default: of all)")
    parser.add_argument("--url", help="address of the server (default: by its settings)")

"""`sealroute doctor session ID`: asks the running server why a subscriber receives no media."""

import argparse
from collections.abc import Iterator
from urllib.parse import quote

from signaling.administration import existing_project
from signaling.cli.asking import Document, ask, project_url, server_url
from signaling.cli.shell import Shell
from signaling.domain.errors import ErrorCode, NotFound
from signaling.domain.projects import Project
from signaling.storage.base import Store


class SessionDoctor:
    """One command; `run` returns its exit code: 0 if all media flows, otherwise 1."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def run(self, arguments: argparse.Namespace) -> int:
        """Errors: `session_not_found`, `storage_unavailable`, `ConfigurationError`."""

        async def work(store: Store) -> Project:
            record = await store.session(arguments.session)
            if record is None:
                raise NotFound(ErrorCode.SESSION_NOT_FOUND)
            return await existing_project(store, record.project_id)

        project = self._shell.with_store(arguments, work)
        if not isinstance(project, Project):
            raise TypeError("the store gave no project")
        url = server_url(arguments, self._shell.settings_of(arguments).http)
        path = f"{project_url(url, project)}/session/{quote(arguments.session)}"
        streams = [str(item["id"]) for item in ask(project, f"{path}/stream")["items"]]
        wanted = [arguments.stream] if arguments.stream else streams
        found = [ask(project, f"{path}/stream/{quote(one)}/explain") for one in wanted]
        lines = [line for one in found for line in describe(one)]
        nothing = "The session has no streams on that server."
        self._shell.show(arguments, found, "\n".join(lines) or nothing)
        flowing = [
            received["flowing"]
            for one in found
            for subscriber in one["subscribers"]
            if subscriber["subscriberId"] is not None
            for received in subscriber["received"]
            if not any(reason["code"] == "no_track" for reason in received["reasons"])
        ]
        return 0 if all(flowing) else 1


def describe(found: Document) -> Iterator[str]:
    """The report as lines of text."""
    yield f"stream {found['streamId']}  of connection {found['connectionId']}"
    for track in found["tracks"]:
        state = "sent" if track["sending"] else "NOT SENT"
        yield f"  {track['kind']} {track['codec']}: {state}"
        for encoding in track["encodings"]:
            size = f"{encoding['width']}x{encoding['height']}" if "width" in encoding else ""
            rate = f"{encoding['bitrate'] // 1000} kbps" if encoding["live"] else "inactive"
            yield f"    {encoding.get('rid') or '-':4} {size:10} {rate}"
    for archive in found.get("archives", ()):
        yield f"  in archive {archive['id']} ({archive['status']})"
    for subscriber in found["subscribers"]:
        yield f"  to connection {subscriber['connectionId']}"
        for received in subscriber["received"]:
            yield from _described(received)
    for tap in found.get("taps", ()):
        yield "  to a recorder"
        for received in tap["received"]:
            yield from _described(received)


def _described(received: Document) -> Iterator[str]:
    flow = f"{received['bitrate'] // 1000} kbps" if received["flowing"] else "NOTHING"
    first, *others = received["reasons"]
    yield f"    {received['kind']:6} {flow:10} {first['code']}: {first['message']}"
    for reason in others:
        yield f"    {'':17} {reason['code']}: {reason['message']}"


def add_command(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", help="session id")
    parser.add_argument("--stream", help="only this stream")
    parser.add_argument("--url", help="the server (default: the local one with these settings)")

"""`sealroute callbacks …`: registrations, test posts, and the queue of deliveries."""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from config.settings import CallbackSettings
from signaling.administration import existing_project
from signaling.callbacks import registration
from signaling.callbacks.journal import not_queued
from signaling.callbacks.sender import Result, Sent
from signaling.callbacks.service import journal_folder, open_sender, target_policy
from signaling.cli.shell import Adder, Shell
from signaling.domain.callbacks import (
    EVENT_NAMES,
    EVERY,
    GROUPS,
    Callback,
    CallbackEvent,
    checked_url,
    sample,
    signature_secret,
    wanting,
)
from signaling.domain.effects import EventName
from signaling.domain.errors import ErrorCode, NotFound
from signaling.domain.projects import Project
from signaling.domain.webhook_deliveries import DeadLetter, QueueFigures
from signaling.storage.base import Store

T = TypeVar("T")
_HOUR_MS = 3_600_000
MAX_SHOWN = 1_000
_ADVICE = {
    Result.REFUSED: "The receiver answers with a client error (4xx): check path and method.",
    Result.FAILED: "The receiver answers with a server error (5xx): check its log.",
    Result.REDIRECTED: "Redirects are not followed: register the address of the redirect.",
    Result.TIMEOUT: "The receiver did not answer in time: it should answer before its own work.",
    Result.UNREACHABLE: "The receiver is unreachable: check host, port and firewall.",
    Result.TLS: "The receiver's certificate is not valid for its name, or not trusted here.",
    Result.FORBIDDEN: "This is not a public address: allow it with callbacks.allowed_networks.",
}


@dataclass(frozen=True, slots=True)
class SamplePost:
    """One post to test a receiver."""

    url: str
    sent: Sent
    took_ms: int


class CallbackCommands:
    """Each method is one command and returns its exit code."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def add(self, arguments: argparse.Namespace) -> int:
        wanted = registration.Wanted(arguments.group, arguments.event, arguments.url)
        targets = target_policy(self._settings(arguments))

        async def work(store: Store) -> Callback:
            project = await existing_project(store, arguments.api_key)
            now_ms = self._shell.now_ms()
            return await registration.register(store.callbacks, project, wanted, targets, now_ms)

        made = self._run(arguments, work)
        self._shell.show(arguments, asdict(made), made.id)
        return 0

    def list(self, arguments: argparse.Namespace) -> int:
        async def work(store: Store) -> tuple[Callback, ...]:
            project = await existing_project(store, arguments.api_key)
            return await store.callbacks.callbacks_of(project.api_key)

        found = self._run(arguments, work)
        lines = (f"{one.id}  {one.group}.{one.event}  {one.url}" for one in found)
        self._shell.show(arguments, [asdict(one) for one in found], "\n".join(lines))
        return 0

    def remove(self, arguments: argparse.Namespace) -> int:
        async def work(store: Store) -> None:
            project = await existing_project(store, arguments.api_key)
            if not await store.callbacks.remove_callback(project.api_key, arguments.id):
                raise NotFound(ErrorCode.CALLBACK_NOT_FOUND)

        self._run(arguments, work)
        self._shell.show(arguments, {"removed": arguments.id}, "Removed.")
        return 0

    def secret(self, arguments: argparse.Namespace) -> int:
        project = self._run(arguments, lambda store: existing_project(store, arguments.api_key))
        secret = signature_secret(project)
        self._shell.show(arguments, {"signatureSecret": secret}, secret)
        return 0

    def test(self, arguments: argparse.Namespace) -> int:
        """Posts a sample once, directly, without the outbox."""
        event: EventName = arguments.event

        async def work(store: Store) -> "list[SamplePost]":
            project = await existing_project(store, arguments.api_key)
            urls = await _urls(store, project, event, arguments.url)
            return [
                await self._post_sample(project, event, url, self._settings(arguments))
                for url in urls
            ]

        posts = self._run(arguments, work)
        lines = []
        for post in posts:
            lines.append(f"{post.sent!s:20}{post.took_ms:6} ms  {post.url}")
            if post.sent.result in _ADVICE:
                lines.append(f"{'':20}{'':6}     → {_ADVICE[post.sent.result]}")
        document = [
            {
                "url": post.url,
                "result": post.sent.result.value,
                "status": post.sent.status,
                "tookMs": post.took_ms,
            }
            for post in posts
        ]
        nothing = "No callback is registered for this event."
        self._shell.show(arguments, document, "\n".join(lines) or nothing)
        delivered = [post.sent.result is Result.DELIVERED for post in posts]
        return 0 if delivered and all(delivered) else 1

    async def _post_sample(
        self, project: Project, event: EventName, url: str, settings: CallbackSettings
    ) -> SamplePost:
        body = json.dumps(sample(project, event, self._shell.now_ms())).encode()
        sender = open_sender(settings)
        begin_s = time.monotonic()
        try:
            sent = await sender.post(project, url, "test", body, int(self._shell.clock.unix_s()))
        finally:
            await sender.close()
        return SamplePost(url, sent, int((time.monotonic() - begin_s) * 1000))

    def queue(self, arguments: argparse.Namespace) -> int:
        folder = journal_folder(Path(self._shell.settings_of(arguments).storage.data_dir))

        async def work(store: Store) -> "tuple[QueueFigures, int, tuple[DeadLetter, ...]]":
            owner = await _owner(store, arguments.api_key)
            # The journal first: an event that moves to the outbox meanwhile is counted twice, not
            # missed.
            now_ms = self._shell.now_ms()
            events = await asyncio.to_thread(not_queued, folder, now_ms, store.wrapper)
            coming = await _deliveries_of(store, events)
            figures = (await store.callbacks.queue_figures()).and_coming(coming)
            return figures, len(coming), await store.callbacks.dead_letters(owner, MAX_SHOWN)

        figures, in_journal, letters = self._run(arguments, work)
        age_s = 0.0
        if figures.oldest_ms is not None:
            age_s = (self._shell.now_ms() - figures.oldest_ms) / 1000
        lines = [
            f"{figures.waiting} waiting, the oldest for {age_s:.0f} s; {figures.dead} given up"
        ]
        if in_journal:
            lines[0] += f"; {in_journal} of those waiting are not in the outbox yet"
        lines += [
            f"{one.id:>8}  {one.event:20} {one.attempts:3} attempts  {one.result:20} {one.url}"
            for one in letters
        ]
        document = {
            **asdict(figures),
            "notInOutbox": in_journal,
            "givenUp": [asdict(one) for one in letters],
        }
        self._shell.show(arguments, document, "\n".join(lines))
        return 0

    def retry(self, arguments: argparse.Namespace) -> int:
        patience_ms = self._settings(arguments).give_up_after_h * _HOUR_MS

        async def work(store: Store) -> int:
            owner, now_ms = await _owner(store, arguments.api_key), self._shell.now_ms()
            return await store.callbacks.revive(owner, now_ms, now_ms + patience_ms)

        count = self._run(arguments, work)
        self._shell.show(arguments, {"queued": count}, f"{count} queued again.")
        return 0

    def _settings(self, arguments: argparse.Namespace) -> CallbackSettings:
        return self._shell.settings_of(arguments).callbacks

    def _run(self, arguments: argparse.Namespace, work: "Callable[[Store], Awaitable[T]]") -> T:
        found: T = self._shell.with_store(arguments, work)  # type: ignore[assignment]
        return found


async def _owner(store: Store, identity: str | None) -> str | None:
    """The API key of the project with that API key or application id; None means all projects."""
    return None if identity is None else (await existing_project(store, identity)).api_key


async def _deliveries_of(store: Store, events: "Sequence[CallbackEvent]") -> list[int]:
    """The event times of the deliveries that these events will become, one per registration."""
    projects = {one.project_id for one in events}
    known = {name: await store.callbacks.known_callbacks_of(name) for name in projects}
    return [one.at_ms for one in events for _ in wanting(known[one.project_id], one)]


async def _urls(store: Store, project: Project, event: EventName, url: str | None) -> list[str]:
    if url is not None:
        return [checked_url(url)]
    found = await store.callbacks.callbacks_of(project.api_key)
    return [one.url for one in found if one.wants(event)]


def add_commands(add: Adder, shell: Shell) -> None:
    """Adds the actions of `sealroute callbacks` to its parser."""
    commands = CallbackCommands(shell)
    make = add("add", commands.add, "post events to a URL")
    make.add_argument("--api-key", required=True)
    make.add_argument("--url", required=True)
    make.add_argument("--group", choices=(EVERY, *GROUPS), default=EVERY)
    make.add_argument("--event", default=EVERY, help="created, destroyed, status or all")
    shown = add("list", commands.list, "list the registrations")
    shown.add_argument("--api-key", required=True)
    gone = add("remove", commands.remove, "remove a registration and its waiting deliveries")
    gone.add_argument("--api-key", required=True)
    gone.add_argument("--id", required=True)
    key = add("secret", commands.secret, "print the secret that verifies signatures")
    key.add_argument("--api-key", required=True)
    test = add("test", commands.test, "post a sample to the receivers from this machine")
    test.add_argument("--api-key", required=True)
    test.add_argument("--event", choices=EVENT_NAMES, default="streamCreated")
    test.add_argument("--url", help="this receiver instead of the registered ones")
    queue = add("queue", commands.queue, "show waiting deliveries and those given up")
    queue.add_argument("--api-key")
    again = add("retry", commands.retry, "queue deliveries that were given up again")
    again.add_argument("--api-key")

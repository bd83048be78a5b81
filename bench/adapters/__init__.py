"""Servers under test, behind one interface."""

from typing import Protocol

from bench.loadgen import Joined
from bench.scenarios import Scenario


class UnavailableError(Exception):
    """This server cannot be measured here. The text says what is missing."""


class Adapter(Protocol):
    """One server, started and stopped by the bench, or attached to.

    `join` brings all clients of a scenario in and connects their media; they stay, silent, until
    `leave`. One scenario at a time.
    """

    @property
    def name(self) -> str: ...
    def supports(self, scenario: Scenario) -> bool: ...
    async def start(self) -> None:
        """Raises `UnavailableError`."""

    def pids(self) -> list[int]:
        """All processes whose CPU and memory the server costs."""

    async def join(self, scenario: Scenario) -> Joined: ...
    async def leave(self) -> None: ...
    async def stop(self) -> None: ...

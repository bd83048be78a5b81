"""Network namespaces: one for the server, one for each client, a cable of its own to each.

The server has one address, whatever cable a client comes by; everything is gone when the
topology is closed, and what an interrupted run left is removed before the next.
"""

import json
import os
import subprocess
import sys
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.network import Json
from bench.network.conditions import Conditions

ROOT = Path(__file__).parents[2]
PREFIX = f"srb{zlib.crc32(str(ROOT).encode()):08x}"
"""Of all names that this checkout makes: the runs of another one are left alone."""
SERVER_ADDRESS = "10.78.0.1"
_COMMAND_TIMEOUT_S = 10
_INTERFACE_LETTERS = 15


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(
        ["ip", *words],
        check=check,
        timeout=_COMMAND_TIMEOUT_S,
        capture_output=True,
    )


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace of the bench."""

    name: str

    @property
    def full_name(self) -> str:
        return f"{PREFIX}-{self.name}"

    def command(self, *words: str) -> list[str]:
        """The command line that runs `words` in it."""
        return ["ip", "netns", "exec", self.full_name, *words]

    def ip(self, *words: str, check: bool = True) -> None:
        ip("-n", self.full_name, *words, check=check)


class Link:
    """The cable between the server and a client, and what it does to packets."""

    def __init__(self, server: Namespace, client: Namespace, number: int, seed: int) -> None:
        self.client = client
        self.number = number
        self.near = f"{PREFIX}{number}n"[:_INTERFACE_LETTERS]
        self.far = f"{PREFIX}{number}f"[:_INTERFACE_LETTERS]
        self.address = f"10.78.{number}.2"
        self._down = self._up = Conditions()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.network.link", self.near, self.far, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        self._answer()
        self._gateway = f"10.78.{number}.1"
        self._attach(server, self.near, self._gateway, self.address)
        self._attach(client, self.far, self.address, self._gateway)
        self.route()

    @staticmethod
    def _attach(namespace: Namespace, interface: str, own: str, peer: str) -> None:
        ip("link", "set", interface, "netns", namespace.full_name)
        namespace.ip("addr", "add", own, "peer", peer, "dev", interface)
        namespace.ip("link", "set", interface, "up")

    def route(self) -> None:
        """(Again) the client's way to the server; needed after the interface was down."""
        metric = str(100 + self.number)
        words = ("route", "replace", "default", "dev", self.far, "src", self.address)
        self.client.ip(*words, "metric", metric)
        # What has an interface's address leaves by that interface, as on phones.
        self.client.ip(*words, "table", metric)
        rule = ("from", self.address, "table", metric)
        self.client.ip("rule", "del", *rule, check=False)
        self.client.ip("rule", "add", *rule)

    def plug(self) -> None:
        self.client.ip("addr", "replace", self.address, "peer", self._gateway, "dev", self.far)
        self.client.ip("link", "set", self.far, "up")
        self.route()

    def unplug(self) -> None:
        """The interface goes, and its address with it, as systems do when a network is left."""
        self.client.ip("link", "set", self.far, "down")
        self.client.ip("addr", "flush", "dev", self.far)

    def set(self, down: Conditions | None = None, up: Conditions | None = None) -> None:
        """Changes conditions from now on."""
        self._down, self._up = down or self._down, up or self._up
        self._tell({"down": asdict(self._down), "up": asdict(self._up)})

    def both(self, **changes: float) -> None:
        """Sets both directions to `changes` alone."""
        rules = replace(Conditions(), **changes)  # type: ignore[arg-type]
        self.set(rules, rules)

    def rebind(self, shift: int) -> None:
        """The client's datagrams come from ports that are so much higher; answers to the ports of
        before reach nobody. As when a NAT forgets its table: no end notices by itself."""
        self._tell({"rebind": shift})

    def clear(self) -> None:
        self.set(Conditions(), Conditions())

    def figures(self) -> dict[str, dict[str, float]]:
        """Of both directions, since the last call."""
        found: dict[str, dict[str, float]] = self._tell({})
        return found

    def _tell(self, order: dict[str, object]) -> Json:
        if self._process.stdin is None:
            raise RuntimeError("the cable is cut")
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Json:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("the cable's process ended")
        return json.loads(line)

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_COMMAND_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Topology:
    """A server and its clients. `links[name]` are the cables of a client."""

    def __init__(self, clients: dict[str, int], seed: int) -> None:
        self.server = Namespace("server")
        self.clients = {name: Namespace(name) for name in clients}
        self.links: dict[str, list[Link]] = {}
        self._cables, self._seed = clients, seed

    def __enter__(self) -> Self:
        remove_leftovers()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _build(self) -> None:
        for namespace in (self.server, *self.clients.values()):
            ip("netns", "add", namespace.full_name)
            namespace.ip("link", "set", "lo", "up")
        self.server.ip("addr", "add", f"{SERVER_ADDRESS}/32", "dev", "lo")
        number = 0
        for name, namespace in self.clients.items():
            for _ in range(self._cables[name]):
                number += 1
                link = Link(self.server, namespace, number, self._seed + 10 * number)
                self.links.setdefault(name, []).append(link)

    def close(self) -> None:
        for links in self.links.values():
            for link in links:
                link.close()
        self.links.clear()
        remove_leftovers()


def remove_leftovers() -> None:
    """Deletes the bench's namespaces, of this run and of interrupted ones."""
    listed = subprocess.run(
        ["ip", "netns", "list"], check=True, capture_output=True, text=True
    ).stdout
    for line in listed.splitlines():
        if line.startswith(f"{PREFIX}-"):
            ip("netns", "del", line.split()[0], check=False)


def why_impossible() -> str | None:
    """What this machine lacks, or `None`."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "/dev/net/tun is missing"
    return None

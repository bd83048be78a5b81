"""A viewer whose path is narrower than the packets of an encoder, in network namespaces: the
server, a router, and the viewer behind a link of 1,280 bytes (a VPN, a tunnel)."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys

import pytest

from tests.served import NEEDS_THE_MEDIA_CORE, until

MTU, LARGE = 1_280, 1_340
PORT = 8_080
NAMES = {name: f"sealroute-{os.getpid()}-{name}" for name in ("server", "router", "viewer")}
ADDRESSES = {"IPv4": ("10.97.1.{}/24", "10.97.2.{}/24"), "IPv6": ("fd97:1::{}/64", "fd97:2::{}/64")}
FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


def ip(*words: str, check: bool = True) -> int:
    return subprocess.run(["ip", *words], check=check, timeout=10, capture_output=True).returncode


def has_namespaces() -> bool:
    name = f"sealroute-{os.getpid()}-probe"
    try:
        made = ip("netns", "add", name, check=False) == 0
    except FileNotFoundError:
        return False
    if made:
        ip("netns", "del", name)
    return made


pytestmark = [
    pytest.mark.interop,
    NEEDS_THE_MEDIA_CORE,
    pytest.mark.skipif(
        not has_namespaces(), reason="NOT CHECKED: this kernel gives no network namespaces (root)"
    ),
]


def inside(name: str, *words: str) -> list[str]:
    return ["ip", "netns", "exec", NAMES[name], *words]


def link(name: str, ends: str, mtu: int) -> None:
    """A cable between a namespace (`1` of the network) and the router (`2`)."""
    near, far = f"{name[0]}0", f"{name[0]}1"
    ip("link", "add", near, "netns", NAMES[name], "type", "veth", "peer", "name", far,
       "netns", NAMES["router"])  # fmt: skip
    for place, device, number in ((name, near, 1), ("router", far, 2)):
        words = ("dev", device) if "." in ends else ("dev", device, "nodad")
        ip("-n", NAMES[place], "addr", "add", ends.format(number), *words)
        ip("-n", NAMES[place], "link", "set", device, "mtu", str(mtu), "up")
    gateway = ends.format(2).partition("/")[0]
    ip("-n", NAMES[name], "route", "add", "default", "via", gateway)


@pytest.fixture(
    params=["IPv6", pytest.param("IPv4", marks=pytest.mark.long)],
)
def network(request):
    """The addresses of the server and of the viewer."""
    near, far = ADDRESSES[request.param]
    try:
        for full in NAMES.values():
            ip("netns", "add", full)
            ip("-n", full, "link", "set", "lo", "up")
        link("server", near, 1_500)
        link("viewer", far, MTU)
        for setting in FORWARDING:
            words = inside("router", "sh", "-c", f"echo 1 > /proc/sys/{setting}")
            subprocess.run(words, check=True, timeout=10)
        yield near.format(1).partition("/")[0], far.format(1).partition("/")[0]
    finally:
        for full in NAMES.values():
            ip("netns", "del", full, check=False)


class Site:
    """A server process in its namespace; `tell` asks its command line there."""

    def __init__(self, folder, address: str) -> None:
        self.folder, self.address = folder, address
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{PORT}"

    async def notify(self, *words: str):
        command = inside("server", sys.executable, "-m", "signaling", *words, "--json")
        asked = await asyncio.create_subprocess_exec(
            *command, "--data-dir", str(self.folder), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(asked.communicate(), 20)
        return json.loads(said)

    @contextlib.asynccontextmanager
    async def process(self, place: str, *words: str):
        """A process in a namespace inside the block; the lines that it has printed."""
        lines: list[str] = []
        process = await asyncio.create_subprocess_exec(
            *inside(place, sys.executable, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )

        async def read() -> None:
            while line := await process.stdout.readline():
                lines.append(line.decode().strip())

        reading = asyncio.create_task(read())
        try:
            yield lines
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 10)
            await reading

    def serve(self):
        host = "::" if ":" in self.address else "0.0.0.0"
        words = ("--host", host, "--port", str(PORT), "--media-host", host, "--media-port", "10000")
        words += ("--public-ip", self.address, "--data-dir", str(self.folder))
        return self.process("server", "-m", "signaling", "serve", *words)

    async def reasons(self, session: str) -> tuple[bool, list[tuple[str, str | None]]]:
        """Whether the viewer's video flows, and why not (more)."""
        words = ("doctor", "session", session, "--url", f"http://localhost:{PORT}")
        (stream,) = await self.notify(*words)
        (viewer,) = [one for one in stream["subscribers"] if one["subscriberId"]]
        (video,) = [one for one in viewer["received"] if one["kind"] == "video"]
        found = [(reason["code"], reason.get("detail")) for reason in video["reasons"]]
        return video["flowing"], found


async def test_a_viewer_behind_a_narrow_path_gets_large_packets_and_a_lost_route_is_reported(
    network, tmp_path
):
    address, viewers = network
    site = Site(tmp_path / "data", address)
    project = await site.notify("project", "create")
    made = await site.notify("session", "create", "--api-key", str(project["apiKey"]))
    session = made["sessionId"]
    token = (await site.notify("token", "--session", session))["token"]
    peer = ("-W", "ignore", "-m", "tests.path_peer")
    async with site.serve() as said:
        await until(lambda: any("listens" in line for line in said), 20)
        who = (site.url, session, token)
        async with site.process("server", *peer, "publish", *who, str(LARGE)) as stream:
            await until(lambda: stream, 20)
            async with site.process("viewer", *peer, "view", *who, stream[0]) as received:
                await until(lambda: received and int(received[-1]) > 100, 20)
                flowing, reasons = await site.reasons(session)
                assert flowing
                assert not {"send_too_large", "not_sent"} & {code for code, _ in reasons}
                prefix = f"{viewers}/{128 if ':' in viewers else 32}"
                ip("-n", NAMES["server"], "route", "add", "unreachable", prefix)
                await asyncio.sleep(0.5)
                flowing, reasons = await site.reasons(session)
                assert (flowing, ("not_sent", "send_failed") in reasons) == (False, True), reasons
                ip("-n", NAMES["server"], "route", "del", "unreachable", prefix)
                before = int(received[-1])
                await until(lambda: int(received[-1]) > before + 100, 20)

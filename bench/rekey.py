"""`python -m bench.rekey`: a new secret in a large encrypted session, as signaling has it.

Some members send, each of the others receives from one of them; everybody announces the new
secret, and each sender names its new keys once all have, as the SDKs do (docs/e2ee.md
section 9). Measures how long it takes until every sender is on the new secret, and what it costs
the server.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass

import aiohttp

from bench import processes, report
from bench.adapters import UnavailableError
from bench.adapters.sealroute import SealrouteAdapter
from bench.client import LoadClient, new_kid
from bench.ending import run_program
from bench.measure import machine, quantile
from signaling.protocol import messages

_JOINS_AT_ONCE = 32
_DEADLINE_S = 30.0
_REST_S = 2.0
OLD_HINT, NEW_HINT = 1, 2


class Member(LoadClient):
    """A member that knows which others have announced the new secret."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        super().__init__(http)
        self.hints: dict[str, int] = {}
        self.stream = ""
        self.announced_s = 0.0
        self.switched_s = 0.0

    async def enter(self, url: str, api_key: str, session_id: str, token: str) -> None:
        welcome = await self.join(url, api_key, session_id, token)
        self.hints.update(welcome.hints)
        await self._call(messages.Ok, lambda number: messages.E2eeReady(id=number, hint=OLD_HINT))

    async def watch(self, stream_id: str) -> None:
        """Subscribes; the media connection is never answered, for only signaling is measured."""
        await self._call(
            messages.Subscribed,
            lambda number: messages.Subscribe(id=number, stream_id=stream_id),
        )

    async def announce(self, began_s: float) -> None:
        await self._call(messages.Ok, lambda number: messages.E2eeReady(id=number, hint=NEW_HINT))
        self.announced_s = time.monotonic() - began_s

    async def switch_when_all_are_ready(self, others: int, began_s: float) -> None:
        async with asyncio.timeout(_DEADLINE_S):
            while sum(hint == NEW_HINT for hint in self.hints.values()) < others:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        kid = new_kid()[:-2] + NEW_HINT.to_bytes(2)
        await self._call(
            messages.Ok,
            lambda number: messages.DeclareKids(
                id=number, stream_id=self.stream, mid="0", kids=(kid,)
            ),
        )
        self.switched_s = time.monotonic() - began_s

    async def _handle(self, message: messages.Message) -> None:
        if isinstance(message, messages.HintAnnounced):
            self.hints[message.connection_id] = message.hint
        elif not isinstance(message, messages.DownlinkOffer):
            await super()._handle(message)


@dataclass(frozen=True, slots=True)
class Rekey:
    members: int
    senders: int
    joins_per_s: float
    join_cpu_ms: float
    """Of signaling alone: nobody has media yet."""
    announced_p99_s: float
    switched_most_s: float
    server_cpu_s: float


async def rekey(adapter: SealrouteAdapter, size: int, senders: int) -> Rekey:
    session_id, tokens = await asyncio.to_thread(adapter.new_session, size)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        members = [Member(http) for _ in tokens]
        turns = asyncio.Semaphore(_JOINS_AT_ONCE)

        async def enter(member: Member, token: str) -> None:
            async with turns:
                await member.enter(adapter.url, adapter.api_key, session_id, token)

        try:
            cpu_s, began_s = processes.cpu_s(adapter.pids()), time.monotonic()
            await asyncio.gather(*map(enter, members, tokens))
            join_s = time.monotonic() - began_s
            join_cpu_s = processes.cpu_s(adapter.pids()) - cpu_s
            for number, member in enumerate(members[:senders]):
                kid = new_kid()[:-2] + OLD_HINT.to_bytes(2)
                member.stream, _ = await member.publish("video", 1_000 + number, kid)
            for number, member in enumerate(members[senders:]):
                await member.watch(members[number % senders].stream)
            await asyncio.sleep(_REST_S)
            cpu_s, began_s = processes.cpu_s(adapter.pids()), time.monotonic()
            await asyncio.gather(
                *(one.announce(began_s) for one in members),
                *(one.switch_when_all_are_ready(size - 1, began_s) for one in members[:senders]),
            )
            cpu_s = processes.cpu_s(adapter.pids()) - cpu_s
        finally:
            await asyncio.gather(*(one.leave() for one in members), return_exceptions=True)
    return Rekey(
        members=size,
        senders=senders,
        joins_per_s=size / join_s,
        join_cpu_ms=join_cpu_s * 1e3 / size,
        announced_p99_s=quantile([one.announced_s for one in members], 0.99),
        switched_most_s=max(one.switched_s for one in members[:senders]),
        server_cpu_s=cpu_s,
    )


async def work(options: argparse.Namespace) -> int:
    adapter = SealrouteAdapter()
    await adapter.start()
    try:
        found = await rekey(adapter, options.members, options.senders)
    finally:
        await adapter.stop()
    report.write_raw("rekey", {"machine": machine(), "rekey": asdict(found)})
    print(json.dumps(asdict(found), indent=1))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.rekey", description=__doc__)
    parser.add_argument("--members", type=int, default=1_000)
    parser.add_argument("--senders", type=int, default=10)
    try:
        return asyncio.run(work(parser.parse_args()))
    except UnavailableError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)

"""The attacks, one function each: what is done, and what must hold."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from statistics import median

from bench.adapters.sealroute import SealrouteAdapter
from bench.attack.forged_checks import Named, name_third_party
from bench.attack.scene import Noticed, Scene
from bench.network.figures import Figure, at_least, at_most, told
from bench.network.flood import Flooder
from bench.processes import resident_bytes

NOISE_PPS = 200_000
CHECKS_PPS = 20_000
FORGED_PPS_PER_VICTIM = 10_000
HELLOS_PPS = 1_000
HELLO_JOINS, SLOW_JOINS = 150, 100
SLOW_CLIENTS = 5_000
SLOW_SECONDS = 25.0
_LOST = 0.001
_ADDED_P99_US = 2_000
_HEALTH_MS = 50.0
_GROWN_PERCENT = 10
_PROBE_S, _FLOOD_S = 4.0, 10.0
_SETTLE_S = 20.0
"""Longer than connections are kept for clients that may come back (`signaling.grace_ms`)."""
_DROPPED_IN_S = 10.0
_TURNS, _TURN_S = 3, 6.0
_BAD_PACKETS = ("srtp_bad_tag", "srtp_replayed")
PLI_PER_S, NACKS_PER_S, LIES_PER_S = 1_000, 600, 100
FORGED_CHECKS_PER_S = 200
RECORDS_PPS = 50_000
_MOST_TIMES, _MOST_BYTES = 3.0, 10_000
# Of a viewer that is connected: a last flight that is repeated, and an alert (dtls_gate.rs). The
# 50 a second of a handshake are not for it.
_RECORDS_PER_S, _RECORDS_BURST = 1, 8

Play = Callable[[Scene, Noticed], Awaitable[list[Figure]]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`gate` is the number in docs/hardening.md; `play` gets the quiet call to compare with."""

    name: str
    gate: int | str
    does: str
    play: Play


def _call_goes_on(noticed: Noticed, quiet: Noticed) -> list[Figure]:
    return [
        at_most("packets of the call lost", noticed.lost_share * 100, "%", _LOST * 100),
        told("p99 delay of the call, quiet", quiet.p99_us, "us"),
        told("the same under attack", noticed.p99_us, "us"),
        told("CPU of the server, quiet", quiet.server_cpu_share * 100, "% of a core"),
        told("the same under attack", noticed.server_cpu_share * 100, "% of a core"),
    ]


def _sent(acted: dict[str, float]) -> list[Figure]:
    return [
        told("attackers' datagrams", acted["sent"], ""),
        told("a second", acted["sent"] / acted["seconds"], "/s"),
    ]


async def noise(scene: Scene, quiet: Noticed) -> list[Figure]:
    noticed = await scene.call(lambda on: on.attack("noise", NOISE_PPS, sockets=64))
    return [
        *_sent(noticed.acted),
        at_most("datagrams that came back", noticed.acted["replies"], "", 0),
        told("lost in the kernel's buffer", noticed.drops.get("receive_buffer_full", 0), ""),
        *_call_goes_on(noticed, quiet),
    ]


async def checks(scene: Scene, quiet: Noticed) -> list[Figure]:
    noticed = await scene.call(lambda on: on.attack("checks", CHECKS_PPS))
    return [
        *_sent(noticed.acted),
        at_most("datagrams that came back", noticed.acted["replies"], "", 0),
        told("dropped as stun_unknown_ufrag", noticed.drops.get("stun_unknown_ufrag", 0), ""),
        *_call_goes_on(noticed, quiet),
    ]


async def forged(scene: Scene, quiet: Noticed) -> list[Figure]:
    """From the addresses of the publisher and of one subscriber."""

    def act(on: Scene) -> Awaitable[dict[str, float]]:
        (publisher,) = on.joined.publishers
        fds = [publisher.transport.fd, on.joined.subscribers[0].fd]
        rate = FORGED_PPS_PER_VICTIM * len(fds)
        return on.attack("forged", rate, fds=fds, ssrc=publisher.ssrc)

    # Other work on the machine disturbs the delays for seconds: turn by turn, and the middle one.
    short = replace(scene, seconds=_TURN_S)
    attacked, calm = [], []
    for _ in range(_TURNS):
        attacked.append(await short.call(act))
        calm.append(await short.call(None))
    added_us = median(one.p99_us for one in attacked) - median(one.p99_us for one in calm)
    # A sequence number that was seen before is dropped before its tag is checked.
    dropped = [one.drops.get(name, 0) for one in attacked for name in _BAD_PACKETS]
    sent = {name: sum(one.acted[name] for one in attacked) for name in ("sent", "seconds")}
    return [
        *_sent(sent),
        at_most("neither dropped nor counted", sent["sent"] - sum(dropped), "", 0),
        at_most("added p99 delay", added_us, "us", _ADDED_P99_US),
        *_call_goes_on(max(attacked, key=lambda one: one.lost_share), quiet),
    ]


async def foreign(scene: Scene, quiet: Noticed) -> list[Figure]:
    """The right SSRC from addresses that no check has validated."""

    def act(on: Scene) -> Awaitable[dict[str, float]]:
        ssrc = on.joined.publishers[0].ssrc
        return on.attack("forged", NOISE_PPS / 2, ssrc=ssrc)

    noticed = await scene.call(act)
    known = noticed.drops.get("unknown_address", 0) + noticed.drops.get("receive_buffer_full", 0)
    return [
        *_sent(noticed.acted),
        at_most("neither dropped nor counted", noticed.acted["sent"] - known, "", 0),
        at_most("datagrams that came back", noticed.acted["replies"], "", 0),
        *_call_goes_on(noticed, quiet),
    ]


async def hellos(scene: Scene, quiet: Noticed) -> list[Figure]:
    async def act(on: Scene) -> tuple[dict[str, float], dict[str, float]]:
        over_s = on.seconds - 2.0
        attacked, joined = await asyncio.gather(
            on.attack("hellos", HELLOS_PPS), on.joins(HELLO_JOINS, over_s)
        )
        return attacked, joined

    noticed = await scene.call(act)
    attacked, joined = noticed.acted
    return [
        *_sent(attacked),
        at_most("datagrams that came back", attacked["replies"], "", 0),
        at_least("joins during it", joined["joined"], "", HELLO_JOINS),
        at_most("joins that failed", joined["failed"], "", 0),
        told("p99 of a join", joined["p99_s"] * 1_000, "ms"),
        *_call_goes_on(noticed, quiet),
    ]


async def slow_clients(scene: Scene, quiet: Noticed) -> list[Figure]:
    async def act(on: Scene) -> tuple[dict[str, float], dict[str, float]]:
        words = (on.url, str(SLOW_CLIENTS), f"{on.seconds - 1}")
        # The herd is complete after some seconds; the honest come then.
        herd = asyncio.create_task(on.helper("bench.attack.slow", *words))
        await asyncio.sleep(8.0)
        joined = await on.joins(SLOW_JOINS, on.seconds - 12.0)
        return await herd, joined

    longer = replace(scene, seconds=max(scene.seconds, SLOW_SECONDS))
    noticed = await longer.call(act)
    herd, joined = noticed.acted
    return [
        at_least("slow clients that came", herd["made"], "", SLOW_CLIENTS),
        told("at once", herd["most_open"], ""),
        told("dropped", herd["dropped"], ""),
        at_most("borne longest", herd["borne_most_s"], "s", _DROPPED_IN_S),
        at_most("joins that failed", joined["failed"], "", 0),
        at_most("p99 of a join", joined["p99_s"], "s", 1.0),
        *_call_goes_on(noticed, quiet),
    ]


async def _flood(scene: Scene, kind: str, per_s: float) -> tuple[Noticed, dict[str, float]]:
    """One member of the call asks for too much, with the right keys."""

    async def act(on: Scene) -> dict[str, float]:
        flooder = Flooder(await on.adapter.join_late())
        try:
            # What it gets without asking, and the SSRCs that it can ask for.
            await asyncio.to_thread(flooder.run, 2.0, 0.0, kind)
            media = set(flooder.heard.packets)
            flooder.heard.recent = {ssrc: flooder.heard.recent[ssrc] for ssrc in media}
            flooder.heard.reset()
            seconds = on.seconds - 4.0
            sent = await asyncio.to_thread(flooder.run, seconds, per_s, kind)
        finally:
            flooder.close()
        volume = flooder.heard.volume
        again = sum(size for ssrc, size in volume.items() if ssrc not in media)
        return {
            "sent": sent,
            "seconds": seconds,
            "again_share": again / max(sum(volume.values()), 1),
            "packets": sum(flooder.heard.packets.values()),
        }

    noticed = await scene.call(act)
    return noticed, noticed.acted


async def key_frame_requests(scene: Scene, quiet: Noticed) -> list[Figure]:
    noticed, acted = await _flood(scene, "pli", PLI_PER_S)
    passed_on = (noticed.key_frame_requests - quiet.key_frame_requests) / scene.seconds
    return [
        *_sent(acted),
        at_most("key-frame requests that the publisher saw", passed_on, "/s", 2.0),
        *_call_goes_on(noticed, quiet),
    ]


async def nacks(scene: Scene, quiet: Noticed) -> list[Figure]:
    noticed, acted = await _flood(scene, "nack", NACKS_PER_S)
    added = noticed.server_cpu_share - quiet.server_cpu_share
    return [
        *_sent(acted),
        at_most("share of what it got that came again", acted["again_share"] * 100, "%", 20),
        told("CPU added by it", added * 100, "% of a core"),
        *_call_goes_on(noticed, quiet),
    ]


async def lies(scene: Scene, quiet: Noticed) -> list[Figure]:
    """REMB of nothing, of everything, and of anything."""
    noticed, acted = await _flood(scene, "remb", LIES_PER_S)
    return [*_sent(acted), *_call_goes_on(noticed, quiet)]


async def third_party(scene: Scene, quiet: Noticed) -> list[Figure]:
    """A viewer forges the source of its checks: of one, and of many."""

    async def act(on: Scene) -> tuple[Named, Named]:
        job = await on.adapter.join_late()
        flooder = Flooder(job)
        ice = job.ice or {}
        try:
            viewing = asyncio.create_task(asyncio.to_thread(flooder.run, on.seconds - 2, 0.0, ""))
            await asyncio.sleep(1.0)
            half_s = on.seconds / 2 - 2.0
            one = await asyncio.to_thread(name_third_party, ice, on.media, half_s, 0.0)
            many = await asyncio.to_thread(
                name_third_party, ice, on.media, half_s, FORGED_CHECKS_PER_S
            )
            await viewing
        finally:
            flooder.close()
        return one, many

    noticed = await scene.call(act)
    one, many = noticed.acted
    return [
        told("bytes of one forged check", one.sent_bytes, ""),
        told("bytes that its third party got", one.got_bytes, ""),
        at_most("for each byte of it", one.got_bytes / one.sent_bytes, "", _MOST_TIMES),
        told(f"bytes of checks forged {FORGED_CHECKS_PER_S} times a second", many.sent_bytes, ""),
        at_most("bytes that their third party got", many.got_bytes, "", _MOST_BYTES),
        at_most("packets of media among them", one.media + many.media, "", 0),
        told("withheld as send_path_unproven", noticed.drops.get("send_path_unproven", 0), ""),
        *_call_goes_on(noticed, quiet),
    ]


async def records(scene: Scene, quiet: Noticed) -> list[Figure]:
    """DTLS records from the address of a connected viewer, whole and broken ones."""

    async def act(on: Scene) -> tuple[dict[str, float], float, float, float]:
        ask = ("bench.attack.floods", "probe")
        job = json.dumps({"url": on.url})
        before = await on.helper(*ask, str(_PROBE_S), job)
        pids = on.adapter.pids()
        memory = resident_bytes(pids)
        fds = [on.joined.subscribers[0].fd]
        attacking = on.attack("records", RECORDS_PPS, fds=fds, seconds=_FLOOD_S)
        attacked, during = await asyncio.gather(attacking, on.helper(*ask, str(_FLOOD_S), job))
        await asyncio.sleep(_SETTLE_S)
        grown = resident_bytes(pids) / memory - 1
        return attacked, before["p99_ms"], during["p99_ms"], grown

    seconds = _PROBE_S + _FLOOD_S + _SETTLE_S + 3.0
    noticed = await replace(scene, seconds=max(scene.seconds, seconds)).call(act)
    attacked, before_ms, during_ms, grown = noticed.acted
    reached = noticed.counters.get("dtls_records", 0)
    allowed = _RECORDS_BURST + _RECORDS_PER_S * (attacked["seconds"] + 1)
    return [
        *_sent(attacked),
        at_most("records that reached handshakes", reached, "", allowed),
        *(
            told(f"dropped as {name}", noticed.drops.get(name, 0), "")
            for name in ("dtls_malformed", "dtls_flood", "receive_buffer_full")
        ),
        told("/healthz p99 before", before_ms, "ms"),
        at_most("/healthz p99, above that before", during_ms - before_ms, "ms", _HEALTH_MS),
        at_most("memory more than before", grown * 100, "%", _GROWN_PERCENT),
        at_most("added p99 delay", noticed.p99_us - quiet.p99_us, "us", _ADDED_P99_US),
        *_call_goes_on(noticed, quiet),
    ]


async def _flooded(scene: Scene, kind: str, members: int, aim: SealrouteAdapter) -> Noticed:
    """The call while `aim` is flooded: its own server, or one beside it, which takes the same CPU
    from the machine and can touch nothing of this one."""
    # Members that join are no flood yet.
    joins_s = 4.0 if members else 0.0

    async def act(on: Scene) -> dict[str, float]:
        job = json.dumps(await asyncio.to_thread(aim.flood_job, members))
        ask = json.dumps({"url": on.url})
        probe = ("bench.attack.floods", "probe")
        before = await on.helper(*probe, str(_PROBE_S), ask)
        pids = on.adapter.pids()
        memory = resident_bytes(pids)
        flooding = asyncio.create_task(
            on.helper("bench.attack.floods", kind, str(_FLOOD_S + joins_s), job)
        )
        await asyncio.sleep(joins_s)
        during = await on.helper(*probe, str(_FLOOD_S), ask)
        flooded = await flooding
        await asyncio.sleep(_SETTLE_S)
        return {
            **flooded,
            "before_ms": before["p99_ms"],
            "added_ms": during["p99_ms"] - before["p99_ms"],
            "grown": resident_bytes(pids) / memory - 1,
        }

    seconds = joins_s + _PROBE_S + _FLOOD_S + _SETTLE_S + 2.0
    return await replace(scene, seconds=seconds).call(act)


def _flood_of(kind: str, members: int = 0) -> Play:
    """Signaling floods: what others wait for their answers, and whether memory comes back."""

    async def play(scene: Scene, quiet: Noticed) -> list[Figure]:
        beside = SealrouteAdapter()
        await beside.start()
        try:
            elsewhere = await _flooded(scene, kind, members, beside)
        finally:
            await beside.stop()
        noticed = await _flooded(scene, kind, members, scene.adapter)
        acted, other = noticed.acted, elsewhere.acted
        return [
            told("messages or chunks of 8 Mbit/s sent", acted["sent"], ""),
            told("refused or closed", acted["refused"], ""),
            told("/healthz p99 before", acted["before_ms"], "ms"),
            at_most("/healthz p99, above that before", acted["added_ms"], "ms", _HEALTH_MS),
            told("the same, while a server beside is flooded", other["added_ms"], "ms"),
            at_most("memory more than before", acted["grown"] * 100, "%", _GROWN_PERCENT),
            at_most("added p99 delay", noticed.p99_us - quiet.p99_us, "us", _ADDED_P99_US),
            told(
                "the same, while a server beside is flooded", elsewhere.p99_us - quiet.p99_us, "us"
            ),
            told("median delay of the call, quiet", quiet.p50_us, "us"),
            told("the same under attack", noticed.p50_us, "us"),
            *_call_goes_on(noticed, quiet),
        ]

    return play


SCENARIOS = (
    Scenario("noise", 3, f"random datagrams, {NOISE_PPS:,}/s if the machine gives them", noise),
    Scenario("checks", 4, "STUN checks for transports that there are not", checks),
    Scenario("third-party", "4b", "a viewer's checks with the address of somebody else",
             third_party),
    Scenario("records", "4c", f"DTLS records of a connected viewer, {RECORDS_PPS:,}/s, broken and "
             "whole", records),
    Scenario("hellos", 5, f"ClientHellos with NULL ciphers, {HELLOS_PPS:,}/s, while clients join",
             hellos),
    Scenario("forged", 6, "RTP with a wrong tag from the addresses of two victims, 10,000/s each",
             forged),
    Scenario("foreign", 7, "RTP of the right SSRC from addresses of strangers", foreign),
    Scenario("slow-clients", 12, f"{SLOW_CLIENTS:,} clients that say one byte a second, "
             "while others join", slow_clients),
    Scenario("key-frames", 15, f"one subscriber asks for {PLI_PER_S:,} key frames a second",
             key_frame_requests),
    Scenario("nacks", 16, "one subscriber asks for 10,000 packets a second again", nacks),
    Scenario("descriptions", 42, "WHIP offers of 125 KB, 8 Mbit/s, made of what costs most",
             _flood_of("descriptions")),
    Scenario("first-messages", 43, "strangers' first messages of 16 KB, 8 Mbit/s",
             _flood_of("first-messages")),
    Scenario("pings", 44, "one member sends pings, 8 Mbit/s", _flood_of("pings")),
    Scenario("signals", 45, "one member sends signals, 8 Mbit/s, to 150 that do not read",
             _flood_of("signals", members=150)),
    Scenario("rooms", 46, "a stranger joins rooms that there are not, 8 Mbit/s",
             _flood_of("rooms")),
    Scenario("lies", 17, "one subscriber reports bandwidths of 0, of all and of anything", lies),
)  # fmt: skip

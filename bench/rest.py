"""`python -m bench.rest`: what the REST API costs. Client processes create sessions and list
streams as fast as they are answered; a served Sealroute counts its CPU and its loop's lag."""

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from bench import processes
from bench.ending import run_program

WARM_S = 1.0
LAG_PROBE_S = 0.005
CLIENTS_NICE = 10
DIALECTS = ("legacy", "unified")


# --- the server -----------------------------------------------------------------------------


async def _probe_lag(lags_ms: list[float], own_ms: list[float]) -> None:
    """How late the loop wakes up, and how much of it can have been the loop's own work: it never
    exceeds the CPU that the loop's thread took. The rest is other processes on this machine."""
    while True:
        due_s, busy_s = time.monotonic() + LAG_PROBE_S, time.thread_time()
        await asyncio.sleep(LAG_PROBE_S)
        lag_s = max(0.0, time.monotonic() - due_s)
        lags_ms.append(lag_s * 1_000)
        own_ms.append(min(lag_s, time.thread_time() - busy_s) * 1_000)


async def _serve(folder: Path) -> None:
    """The product's own server; on stdin "mark" begins a measurement, and its end stops it."""
    from config.settings import Settings  # noqa: PLC0415 - the clients do without
    from signaling.logs import configure_logs  # noqa: PLC0415
    from signaling.server import running_server  # noqa: PLC0415

    configure_logs("warning", "json")
    settings = Settings()
    settings = replace(
        settings,
        # What a request costs, not how many one network may make.
        http=replace(
            settings.http,
            host="127.0.0.1",
            port=0,
            requests_per_s_of_network=0,
            requests_per_s_of_connection=0,
        ),
        media=replace(settings.media, host="127.0.0.1", port=0),
        storage=replace(settings.storage, data_dir=str(folder)),
    )
    lags_ms: list[float] = []
    own_ms: list[float] = []
    async with running_server(settings) as server:
        probe = asyncio.create_task(_probe_lag(lags_ms, own_ms))
        print(json.dumps({"url": server.url.replace("localhost", "127.0.0.1")}), flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while await reader.readline():
            found = {"lag": sorted(lags_ms), "own_lag": sorted(own_ms)}
            print(json.dumps(found), flush=True)
            lags_ms.clear()
            own_ms.clear()
        probe.cancel()


def _serve_profiled(folder: Path) -> None:
    profile = cProfile.Profile()
    profile.enable()
    asyncio.run(_serve(folder))
    profile.disable()
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)


# --- the clients ----------------------------------------------------------------------------


class Client:
    """Closed loop: each of its connections asks again as soon as it is answered."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.taken_ms: list[float] = []
        self.failed = 0
        self._number = 0
        self._bearer = (0, "")

    def headers(self) -> dict[str, str]:
        """A token of its own for each request, as the legacy SDKs do; RS256 costs its maker a
        millisecond, so one lives for a second there."""
        now_s = int(time.time())
        self._number += 1
        if self.job["dialect"] == "unified":
            if self._bearer[0] != now_s:
                claims = {"application_id": self.job["application_id"], "exp": now_s + 900}
                claims |= {"iat": now_s, "jti": f"{id(self)}-{now_s}"}
                token = jwt.encode(claims, self.job["private_key"], algorithm="RS256")
                self._bearer = (now_s, token)
            return {"Authorization": f"Bearer {self._bearer[1]}"}
        claims = {"iss": self.job["api_key"], "ist": "project", "exp": now_s + 180}
        claims |= {"iat": now_s, "jti": str(self._number)}
        token = jwt.encode(claims, self.job["api_secret"], algorithm="HS256")
        return {"X-OPENTOK-AUTH": token, "Accept": "application/json"}

    async def ask(self, http: aiohttp.ClientSession, until_s: float, since_s: float) -> None:
        job = self.job
        while (begin_s := time.monotonic()) < until_s:
            async with http.request(
                job["method"], job["url"], headers=self.headers(), data=job["body"]
            ) as answer:
                await answer.read()
                self.failed += answer.status != 200
            if begin_s >= since_s:
                self.taken_ms.append((time.monotonic() - begin_s) * 1_000)

    async def run(self) -> None:
        begin_s = time.monotonic()
        since_s = begin_s + WARM_S
        connector = aiohttp.TCPConnector(limit=self.job["connections"])
        async with aiohttp.ClientSession(connector=connector) as http:
            await asyncio.gather(
                *(
                    self.ask(http, since_s + self.job["seconds"], since_s)
                    for _ in range(self.job["connections"])
                )
            )
        print(json.dumps({"taken_ms": self.taken_ms, "failed": self.failed}))


# --- one measurement ------------------------------------------------------------------------


async def _child(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.rest", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 28,
    )


async def _mark(server: asyncio.subprocess.Process) -> dict[str, list[float]]:
    """The loop's lags in ms since the last mark, in order."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(b"mark\n")
    lags: dict[str, list[float]] = json.loads(await server.stdout.readline())
    return lags


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def _round(
    server: asyncio.subprocess.Process, job: dict[str, Any], clients: int
) -> dict[str, float]:
    started = [await _child("--client", json.dumps(job)) for _ in range(clients)]
    # The clients need a moment to start, and begin with a warm-up; the window lies inside.
    await asyncio.sleep(WARM_S + 1.0)
    await _mark(server)
    begin_s, begin_cpu_s = time.monotonic(), processes.cpu_s([server.pid])
    await asyncio.sleep(max(1.0, job["seconds"] - 2.0))
    window_s = time.monotonic() - begin_s
    busy_s = processes.cpu_s([server.pid]) - begin_cpu_s
    lags = await _mark(server)
    answers = [json.loads((await one.communicate())[0]) for one in started]
    taken_ms = sorted(ms for answer in answers for ms in answer["taken_ms"])
    rate = len(taken_ms) / job["seconds"]
    return {
        "requests_per_s": rate,
        "failed": sum(answer["failed"] for answer in answers),
        "p50_ms": quantile(taken_ms, 0.5),
        "p99_ms": quantile(taken_ms, 0.99),
        "cpu_us_per_request": busy_s / window_s / rate * 1e6 if rate else 0.0,
        "cpu_share": busy_s / window_s,
        "lag_p50_ms": quantile(lags["lag"], 0.5),
        "lag_p99_ms": quantile(lags["lag"], 0.99),
        "own_lag_p99_ms": quantile(lags["own_lag"], 0.99),
        "own_lag_worst_ms": quantile(lags["own_lag"], 1.0),
    }


async def _project(folder: Path, key_file: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "signaling", "project", "create", "--e2ee", "--json"),
        *("--data-dir", str(folder), "--public-key", str(key_file)),
        stdout=asyncio.subprocess.PIPE,
    )
    answer: dict[str, Any] = json.loads((await process.communicate())[0])
    return answer


def _key_pair(folder: Path) -> tuple[str, Path]:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = folder / "public.pem"
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private.decode(), public


async def _first_session(job: dict[str, Any]) -> str:
    async with (
        aiohttp.ClientSession() as http,
        http.post(job["url"], headers=Client(job).headers(), data={"e2ee": "true"}) as answer,
    ):
        session: str = json.loads(await answer.read())[0]["session_id"]
        return session


async def _jobs(
    url: str, project: dict[str, Any], private: str, chosen: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """The requests of each scenario: what is asked, and as whom."""
    named = project["applicationId" if chosen.dialect == "unified" else "apiKey"]
    create = {
        "method": "POST",
        "url": f"{url}/session/create",
        "body": "p2p.preference=disabled&archiveMode=manual&e2ee=true",
        "dialect": chosen.dialect,
        "api_key": project["apiKey"],
        "api_secret": project["apiSecret"],
        "application_id": project["applicationId"],
        "private_key": private,
        "connections": chosen.connections,
        "seconds": chosen.seconds,
    }
    session = await _first_session(create)
    streams = f"{url}/v2/project/{named}/session/{session}/stream"
    listing = {**create, "method": "GET", "url": streams, "body": None}
    return {"create": create, "list": listing}


async def measure(chosen: argparse.Namespace) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        private, public = _key_pair(folder)
        data = folder / "data"
        project = await _project(data, public)
        words = ["--profile"] if chosen.profile else []
        server = await _child("--serve", str(data), *words)
        assert server.stdout is not None
        url = json.loads(await server.stdout.readline())["url"]
        jobs = await _jobs(url, project, private, chosen)
        found = {
            name: await _round(server, job, chosen.clients)
            for name, job in jobs.items()
            if chosen.only in (None, name)
        }
        assert server.stdin is not None
        server.stdin.close()
        await server.wait()
    return found


def show(found: dict[str, dict[str, float]]) -> str:
    names = list(next(iter(found.values())))
    lines = [f"| request | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}"]
    for request, figures in found.items():
        lines.append(f"| {request} | {' | '.join(f'{figures[name]:.2f}' for name in names)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=3, help="processes")
    parser.add_argument("--connections", type=int, default=8, help="of each process")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--dialect", choices=DIALECTS, default="legacy")
    parser.add_argument("--only", choices=("create", "list"))
    parser.add_argument("--profile", action="store_true", help="cProfile of the server")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if chosen.client is not None:
        # In life the clients have machines of their own; here the server goes first.
        os.nice(CLIENTS_NICE)
        asyncio.run(Client(json.loads(chosen.client)).run())
    elif chosen.serve is not None and chosen.profile:
        _serve_profiled(chosen.serve)
    elif chosen.serve is not None:
        import uvloop  # noqa: PLC0415 - as `serve` runs it

        uvloop.run(_serve(chosen.serve))
    else:
        print(show(asyncio.run(measure(chosen))))
    return 0


if __name__ == "__main__":
    run_program(main)

"""How many HTTP requests a connection and a network may make."""

import aiohttp
import pytest
from aiohttp import web

from config.settings import HttpSettings
from signaling.http import request_gate
from signaling.http.request_gate import BURST_S, HEALTH_PER_S, RequestGate
from signaling.http.runner import Deadlines, Gates, HttpRunner
from tests.fakes.clock import FakeClock


class Site:
    """An application that counts what gets through to its routes."""

    def __init__(self, settings):
        self.clock, self.routed = FakeClock(), 0
        self.counted = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._route)
        self.gate = gate = RequestGate(settings, self.clock, self.counted.append, self._wait)
        self.waited = []
        self.runner = HttpRunner(app, Deadlines.of(settings), Gates(gate))

    async def _wait(self, delay_s):
        self.waited.append(delay_s)

    async def _route(self, request):
        self.routed += 1
        return web.Response(status=404)

    async def begin(self):
        await self.runner.listen("127.0.0.1", 0, None)
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        return self


@pytest.fixture
async def served():
    opened, http = [], aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))

    async def serve(**settings):
        site = await Site(HttpSettings(**settings)).begin()
        opened.append(site.runner)
        return site, http

    yield serve
    await http.close()
    for runner in opened:
        await runner.cleanup()


async def ask(site, http, path="/", **headers):
    async with http.get(site.url + path, headers=headers) as answer:
        return answer.status, answer.headers, await answer.text()


async def statuses(site, http, times, path="/", **headers):
    return [(await ask(site, http, path, **headers))[0] for _ in range(times)]


async def test_a_connection_that_asks_without_end_is_refused_before_a_route_and_closed(served):
    site, http = await served(requests_per_s_of_connection=2, requests_per_s_of_network=1_000)
    most = int(2 * BURST_S)
    assert await statuses(site, http, most) == [404] * most
    status, headers, body = await ask(site, http)
    assert (status, headers["Retry-After"], headers["Connection"]) == (429, "1", "close")
    assert "rate_limited" in body
    assert (site.routed, site.counted) == (most, ["connection"])
    # It was told late: whoever comes again at once must not cost what it cost before.
    assert site.waited == [1]
    # Another connection has its own.
    assert await statuses(site, http, 1) == [404]


async def test_a_network_has_one_limit_for_all_its_connections_which_time_gives_back(served):
    site, http = await served(requests_per_s_of_connection=0, requests_per_s_of_network=2)
    most = int(2 * BURST_S)
    assert await statuses(site, http, most + 3) == [404] * most + [429] * 3
    assert site.counted == ["network"] * 3
    site.clock.now_s += 1
    assert await statuses(site, http, 3) == [404, 404, 429]


async def test_health_checks_have_turns_of_their_own(served):
    site, http = await served(requests_per_s_of_connection=1, requests_per_s_of_network=1)
    await statuses(site, http, 30)
    assert await statuses(site, http, 5, "/healthz") == [404] * 5
    most = int(HEALTH_PER_S * BURST_S)
    assert (await statuses(site, http, most + 1, "/readyz"))[-1] == 429
    assert site.counted[-1] == "health"


async def test_behind_a_trusted_proxy_each_network_has_its_own_limit(served):
    site, http = await served(
        requests_per_s_of_connection=1, requests_per_s_of_network=1, trusted_proxies="127.0.0.0/8"
    )
    most = int(BURST_S)
    for network in ("192.0.2.7", "198.51.100.7"):
        made = await statuses(site, http, most + 1, **{"X-Forwarded-For": f"9.9.9.9, {network}"})
        assert made == [404] * most + [429]


async def test_clients_of_a_proxy_that_reports_none_are_not_one_network(served):
    """It passes TCP on. What one of them does cannot be told from what another does."""
    site, http = await served(requests_per_s_of_network=1, trusted_proxies="127.0.0.0/8")
    assert set(await statuses(site, http, 40)) == {404}


async def test_what_a_stranger_writes_of_its_address_gives_it_no_more_turns(served):
    site, http = await served(requests_per_s_of_connection=0, requests_per_s_of_network=1)
    made = [
        (await ask(site, http, **{"X-Forwarded-For": f"192.0.{number}.1"}))[0]
        for number in range(20)
    ]
    assert made == [404] * int(BURST_S) + [429] * (20 - int(BURST_S))


async def test_when_many_refusals_wait_the_next_ends_without_an_answer(served, monkeypatch):
    monkeypatch.setattr(request_gate, "MAX_WAITING", 0)
    site, http = await served(requests_per_s_of_network=1)
    await statuses(site, http, int(BURST_S))
    with pytest.raises(aiohttp.ClientError):
        await ask(site, http)
    assert (site.waited, await statuses(site, http, 1, "/healthz")) == ([], [404])


async def test_without_limits_nothing_is_refused(served):
    site, http = await served(requests_per_s_of_connection=0, requests_per_s_of_network=0)
    assert set(await statuses(site, http, 50)) == {404}

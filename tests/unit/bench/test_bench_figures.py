"""How figures are made of clocks and counts, and how they are shown."""

import os
import time
from xml.etree import ElementTree as ET

import pytest

from bench import processes, report
from bench.client import new_kid
from bench.loadgen import Outcome
from bench.measure import Round, figures
from bench.scenarios import SCENARIOS
from bench.workers import shared_cost_us


def made(server: str, gross_us: float, *, lost: int = 0, scenario: str = "1-50") -> Round:
    return Round(
        server=server, scenario=scenario, forwarded=1_000, lost=lost, duplicates=0, corrupt=0,
        gross_us=gross_us, net_us=gross_us, idle_share=0.01, p50_us=1, p99_us=2, p999_us=3,
        join_cpu_ms=1, join_s=1, connect_p50_ms=1, connect_p99_ms=1,
        rss_per_receiver_bytes=2_048, rss_bytes=1, latest_us=0, raw={},
    )  # fmt: skip


def test_cost_is_cpu_over_forwarded_packets_and_net_leaves_the_idle_share_out() -> None:
    outcome = Outcome(
        result={"arrived": 100_000},
        cpu_s={"silent": 1.0, "warming": 1.1, "measuring": 1.3, "measured": 2.3},
        at_s={"silent": 0.0, "warming": 2.0, "measuring": 3.0, "measured": 7.0},
    )
    found = figures(outcome)
    assert found["gross_us"] == pytest.approx(10.0)
    assert found["idle_share"] == pytest.approx(0.05)
    assert found["net_us"] == pytest.approx(8.0)


def test_the_cpu_clock_of_a_process_is_the_kernels() -> None:
    before, own = processes.cpu_s([os.getpid()]), time.process_time()
    while time.process_time() < own + 0.05:
        pass
    spent = processes.cpu_s([os.getpid()]) - before
    assert spent == pytest.approx(time.process_time() - own, abs=0.02)
    assert processes.cpu_s([2**22 + 1]) == 0.0
    assert processes.resident_bytes([os.getpid()]) > 1 << 20


def test_ratios_are_taken_round_by_round() -> None:
    rounds = [made("sealroute", 2), made("peer", 8), made("sealroute", 4), made("peer", 8)]
    assert report.ratios(rounds) == {("1-50", "peer"): [4.0, 2.0]}
    assert "3.00 (2.00..4.00) x" in report.ratio_table(rounds)


def test_the_table_shows_medians_spread_and_every_lost_packet() -> None:
    text = report.rounds_table([made("a", 1), made("a", 5, lost=3), made("a", 2)])
    assert "2.00 (1.00..5.00)" in text
    assert "3 of 3003" in text


def test_the_plot_is_well_formed_and_names_are_escaped() -> None:
    text = report.plot([made("a<b", 1), made("c", 0)])
    root = ET.fromstring(text)
    assert any("a<b" in (node.text or "") for node in root.iter())


def test_flows_are_counted_by_who_receives_whom() -> None:
    assert SCENARIOS["1-50"].flows == 50
    assert SCENARIOS["10-10"].flows == 90
    assert SCENARIOS["audio-10-100"].flows == 1_000


def test_key_ids_have_the_top_bit_and_differ() -> None:
    kids = {new_kid() for _ in range(200)}
    assert len(kids) == 200
    assert all(len(kid) == 8 and kid[0] & 0x80 for kid in kids)


def test_sessions_that_ran_at_once_share_the_servers_cpu() -> None:
    # Each saw all of the server's two milliseconds for its own thousand packets.
    pair = [made("sealroute", 2.0), made("sealroute", 2.0)]
    assert shared_cost_us(pair) == pytest.approx(1.0)

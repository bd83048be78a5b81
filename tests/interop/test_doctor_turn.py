"""The doctor takes an allocation from a real coturn, and says why it gets none."""

import asyncio

import pytest

from bench.ports import free_port
from config.secret import Secret
from config.settings import IceSettings
from signaling.cli import doctor_turn
from tests.turn_server import SECRET, turn_server

pytestmark = pytest.mark.interop


async def asked(*urls: str, secret: str = SECRET):
    ice = IceSettings(turn_urls=" ".join(urls), turn_secret=Secret(secret))
    return await asyncio.to_thread(doctor_turn.turn_findings, ice)


async def test_an_allocation_is_made_over_both_transports(tmp_path):
    async with turn_server(tmp_path) as port:
        rows = await asked(f"turn:127.0.0.1:{port}", f"turn:127.0.0.1:{port}?transport=tcp")
        for row in rows:
            # It is one, only that nobody elsewhere reaches this relay.
            assert (row.state, "relays at 127.0.0.1" in row.detail) == ("warning", True)
            assert "external-ip" in row.advice


async def test_why_there_is_none_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor_turn, "TIMEOUT_S", 1.0)
    async with turn_server(tmp_path) as port:
        (row,) = await asked(
            f"turn:127.0.0.1:{port}", secret="another one of 32 characters or more"
        )
        assert (row.state, "401" in row.detail, "secret" in row.advice) == ("error", True, True)
        (row,) = await asked(f"turns:127.0.0.1:{port}")
        assert row.state == "error"
    nobody = free_port()
    silent, refused, unknown = await asked(
        f"turn:127.0.0.1:{nobody}",
        f"turn:127.0.0.1:{nobody}?transport=tcp",
        "turn:nobody.invalid",
    )
    assert (silent.state, "does not answer" in silent.detail) == ("error", True)
    assert (refused.state, "127.0.0.1" in refused.detail) == ("error", True)
    assert (unknown.state, "nobody.invalid" in unknown.detail) == ("error", True)

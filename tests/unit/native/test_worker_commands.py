"""Commands to a worker of the compiled core: their order, their conflicts, their refusals."""

import asyncio

import msgpack
import pytest

from sfu import core_api
from sfu.core_api import CommandFailed, Direction, PayloadAccess
from sfu.media_router import NativeMediaRouter, encode_command

pytest.importorskip("sfu._native")

CONFLICTS = [
    (core_api.OpenRouter(1, PayloadAccess.CLEAR), ("open_router", 1, "handle_taken")),
    (core_api.CloseRouter(9), ("close_router", 9, "unknown_handle")),
    (
        core_api.OpenTransport(9, 50, Direction.UPLINK, "ufrag", "p" * 22),
        ("open_transport", 50, "unknown_handle"),
    ),
    (
        core_api.OpenTransport(1, 50, Direction.UPLINK, "server2", "p" * 22),
        ("open_transport", 50, "ufrag_taken"),
    ),
    (core_api.CloseTransport(9), ("close_transport", 9, "unknown_handle")),
    (core_api.SendDtls(9, b"x"), ("send_dtls", 9, "unknown_handle")),
    (core_api.Unpublish(9), ("unpublish", 9, "unknown_handle")),
    (core_api.Unsubscribe(9), ("unsubscribe", 9, "unknown_handle")),
    (
        core_api.SetPreferredLayers(9, core_api.PreferredLayers()),
        ("set_preferred_layers", 9, "unknown_handle"),
    ),
]


@pytest.mark.parametrize(("command", "failure"), CONFLICTS, ids=lambda case: str(case)[:40])
def test_a_command_that_conflicts_comes_back_as_an_event(bench, make_peer, command, failure):
    make_peer(bench.open_router())
    bench.submit(command)
    assert bench.event(CommandFailed) == CommandFailed(*failure)


def test_queued_commands_wait_for_a_flush_and_keep_their_order(bench):
    for router in (98, 99):
        bench.worker.queue(encode_command(core_api.CloseRouter(router)))
    bench.take_events(0.05)
    assert bench.events == []
    bench.worker.flush()
    assert [bench.event(core_api.CommandFailed).handle for _ in range(2)] == [98, 99]


def test_a_queued_command_is_applied_before_a_snapshot_that_follows(bench):
    bench.worker.queue(encode_command(core_api.OpenRouter(7, PayloadAccess.OPAQUE)))
    assert bench.snapshot(7) is not None


def test_a_malformed_command_is_refused_where_it_is_queued(bench):
    with pytest.raises(ValueError, match="core_api"):
        bench.worker.queue(msgpack.packb({"close_router": {}}))


async def test_commands_of_one_turn_of_the_loop_wake_the_core_once(monkeypatch):
    router = NativeMediaRouter(
        core_api.WorkerSettings(host="127.0.0.1"), asyncio.get_running_loop()
    )
    calls = []

    class Counted:
        def __init__(self, worker):
            self.worker = worker

        def __getattr__(self, name):
            calls.append(name)
            return getattr(self.worker, name)

    monkeypatch.setattr(router, "_worker", Counted(router._worker))
    for number in (1, 2, 3):
        router.submit(core_api.OpenRouter(number, PayloadAccess.OPAQUE))
    assert calls == ["queue"] * 3
    await asyncio.sleep(0)
    router.submit(core_api.OpenRouter(4, PayloadAccess.OPAQUE))
    await asyncio.sleep(0)
    assert calls == ["queue"] * 3 + ["flush", "queue", "flush"]
    assert await router.snapshot(4) is not None
    router.close()


def test_keys_are_set_once(call):
    call.ann.set_keys()
    failed = call.bench.event(CommandFailed)
    assert failed == CommandFailed("set_srtp_keys", call.ann.handle, "keys_taken")


def malformed_commands():
    encoding = core_api.EncodingParameters()
    good = {
        "mid": "0",
        "kind": "audio",
        "codec": "opus",
        "payload_type": 111,
        "rtx_payload_type": None,
        "clock_rate_hz": 48_000,
        "encodings": (encoding,),
        "extensions": {},
        "nack": False,
    }
    bad = [
        {"mid": ""},
        {"mid": "a b"},
        {"kind": "smell"},
        {"codec": "mp3"},
        {"payload_type": 128},
        {"payload_type": -1},
        {"payload_type": "111"},
        {"clock_rate_hz": 0},
        {"encodings": ()},
        {"encodings": (core_api.EncodingParameters(rid=""),)},
        {"extensions": {"mid": 15}},
        {"extensions": {"mid": 256}},
        {"extensions": {"unheard": 1}},
        {"declared_kids": (b"short",)},
    ]
    for change in bad:
        up_track = core_api.UpTrackParameters(**{**good, **change})
        yield core_api.Publish(1, 2, 3, (up_track,))
    yield core_api.Publish(1, 2, 3, ())
    yield core_api.Publish(1, -2, 3, ())
    yield core_api.OpenRouter(1, "secret")
    yield core_api.OpenTransport(1, 2, Direction.UPLINK, "abc", "p" * 22)
    yield core_api.OpenTransport(1, 2, Direction.UPLINK, "a:cd", "p" * 22)
    yield core_api.OpenTransport(1, 2, Direction.UPLINK, "abcd", "p" * 21)
    yield core_api.SendDtls(1, b"")
    yield core_api.SendDtls(1, bytes(1_501))
    yield core_api.SetPreferredLayers(1, core_api.PreferredLayers(max_frame_rate=float("nan")))
    keys = (b"k" * 16, b"s" * 12)
    profile = core_api.SrtpProfile.AEAD_AES_256_GCM
    yield core_api.SetSrtpKeys(1, core_api.SrtpSecrets(profile, *keys, *keys))


@pytest.mark.parametrize("command", list(malformed_commands()), ids=lambda case: str(case)[:60])
def test_a_malformed_command_is_refused_where_it_is_given(bench, command):
    with pytest.raises(ValueError, match=r"\w"):
        bench.submit(command)
    bench.take_events()
    assert bench.events == []


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\xc1",
        msgpack.packb({}),
        msgpack.packb({"open_sesame": {"router": 1}}),
        msgpack.packb({"close_router": {}}),
        msgpack.packb({"close_router": {"router": "1"}}),
        msgpack.packb(["close_router"]),
    ],
)
def test_what_is_no_command_is_refused(bench, encoded):
    with pytest.raises(ValueError, match="command"):
        bench.worker.submit(encoded)


def test_the_refusal_of_a_command_does_not_repeat_its_values(bench):
    command = {"restart_ice": {"transport": "pass+phrase", "local_ufrag": 1, "local_pwd": 2}}
    with pytest.raises(ValueError) as refused:
        bench.worker.submit(msgpack.packb(command))
    assert "pass+phrase" not in str(refused.value)

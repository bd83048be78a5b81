"""The core in memory refuses what the compiled one refuses."""

import asyncio
from dataclasses import replace

import pytest

from sfu import commands
from sfu.commands import (
    Codec,
    Command,
    Direction,
    EncodingParameters,
    Extension,
    MediaKind,
    PayloadAccess,
    SinkParameters,
    SourceParameters,
    SrtpProfile,
)
from sfu.events import CommandFailed
from sfu.fake_router import FakeMediaRouter
from sfu.media_router import EVENT_OF_NAME, METHOD_OF_COMMAND

SOURCE = SourceParameters(
    "0", MediaKind.AUDIO, Codec.OPUS, 111, None, 48_000, (EncodingParameters(),), {}, nack=False
)
SINK = SinkParameters("0", "0", 77, None, 96, None, {Extension.MID: 1})


@pytest.fixture
def router():
    router = FakeMediaRouter()
    router.failed = []
    router.listen(router.failed.extend)
    router.submit(commands.OpenRouter(1, PayloadAccess.OPAQUE))
    router.submit(commands.OpenTransport(1, 2, Direction.UPLINK, "ufrag", "p" * 24))
    router.submit(commands.OpenTransport(1, 3, Direction.DOWNLINK, "ufrag2", "p" * 24))
    router.submit(commands.Publish(1, 4, 2, (SOURCE,)))
    router.submit(commands.Subscribe(1, 5, 4, 3, (SINK,)))
    return router


def test_every_command_and_event_has_its_place_in_the_tables():
    assert set(METHOD_OF_COMMAND) == set(Command.__args__)
    assert len(set(METHOD_OF_COMMAND.values())) == len(METHOD_OF_COMMAND)
    for name, event in EVENT_OF_NAME.items():
        assert name.replace("_", "") == event.__name__.lower()


@pytest.mark.parametrize(
    "malformed",
    [
        commands.OpenTransport(1, 9, Direction.UPLINK, "ufrag", "short"),
        commands.SetSrtpKeys(2, SrtpProfile.AEAD_AES_128_GCM, b"", b"", b"", b""),
        commands.SendDtls(2, b""),
        commands.Publish(1, 9, 2, ()),
        commands.Publish(1, 9, 2, (replace(SOURCE, mid="too long for a mid"),)),
        commands.Publish(1, 9, 2, (replace(SOURCE, payload_type=128),)),
        commands.Publish(1, 9, 2, (replace(SOURCE, declared_kids=(b"short",)),)),
        commands.DeclareKids(4, "0", (b"short",)),
        commands.Subscribe(1, 9, 4, 3, ()),
        commands.Subscribe(1, 9, 4, 3, (replace(SINK, ssrc=0),)),
        commands.Subscribe(1, 9, 4, 3, (replace(SINK, rtx_ssrc=5),)),
    ],
)
async def test_malformed_commands_raise(router, malformed):
    with pytest.raises(ValueError):
        router.submit(malformed)


@pytest.mark.parametrize(
    ("conflicting", "handle"),
    [
        (commands.OpenRouter(1, PayloadAccess.CLEAR), 1),
        (commands.CloseTransport(99), 99),
        (commands.Publish(1, 6, 2, (SOURCE,)), 6),
        (commands.Subscribe(1, 7, 4, 3, (SINK,)), 7),
        (commands.Subscribe(1, 7, 4, 3, (replace(SINK, ssrc=8, source_mid="x"),)), 7),
        (commands.DeclareKids(4, "x", ()), 4),
        (commands.Unsubscribe(99), 99),
    ],
)
async def test_conflicts_come_back_as_events(router, conflicting, handle):
    router.submit(conflicting)
    assert router.failed == []
    await asyncio.sleep(0)
    (failed,) = router.failed
    assert isinstance(failed, CommandFailed)
    assert (failed.command, failed.handle) == (METHOD_OF_COMMAND[type(conflicting)], handle)


async def test_closing_the_session_closes_all_in_it(router):
    router.submit(commands.CloseRouter(1))
    assert router.counters() == {"transports": 0, "publishers": 0, "subscribers": 0}


async def test_after_the_end_every_command_says_so(router):
    router.close()
    with pytest.raises(RuntimeError):
        router.submit(commands.Unsubscribe(5))

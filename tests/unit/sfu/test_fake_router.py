"""The core in memory refuses what the compiled one refuses."""

import asyncio
from dataclasses import replace

import pytest

from sfu import core_api
from sfu.core_api import (
    COMMAND_NAMES,
    Codec,
    CommandFailed,
    Direction,
    DownTrackParameters,
    EncodingParameters,
    Extension,
    MediaKind,
    PayloadAccess,
    SrtpProfile,
    UpTrackParameters,
)
from tests.fakes.media_router import FakeMediaRouter

UP_TRACK = UpTrackParameters(
    "0", MediaKind.AUDIO, Codec.OPUS, 111, None, 48_000, (EncodingParameters(),), {}, nack=False
)
DOWN_TRACK = DownTrackParameters("0", "0", 77, None, 96, None, {Extension.MID: 1})


@pytest.fixture
def router():
    router = FakeMediaRouter()
    router.failed = []
    router.listen(router.failed.extend)
    router.submit(core_api.OpenRouter(1, PayloadAccess.OPAQUE))
    router.submit(core_api.OpenTransport(1, 2, Direction.UPLINK, "ufrag", "p" * 24))
    router.submit(core_api.OpenTransport(1, 3, Direction.DOWNLINK, "ufrag2", "p" * 24))
    router.submit(core_api.Publish(1, 4, 2, (UP_TRACK,)))
    router.submit(core_api.Subscribe(1, 5, 4, 3, (DOWN_TRACK,)))
    return router


@pytest.mark.parametrize(
    "malformed",
    [
        core_api.OpenTransport(1, 9, Direction.UPLINK, "ufrag", "short"),
        core_api.SetSrtpKeys(
            2, core_api.SrtpSecrets(SrtpProfile.AEAD_AES_128_GCM, b"", b"", b"", b"")
        ),
        core_api.SendDtls(2, b""),
        core_api.Publish(1, 9, 2, ()),
        core_api.Publish(1, 9, 2, (replace(UP_TRACK, mid="too long for a mid"),)),
        core_api.Publish(1, 9, 2, (replace(UP_TRACK, payload_type=128),)),
        core_api.Publish(1, 9, 2, (replace(UP_TRACK, declared_kids=(b"short",)),)),
        core_api.DeclareKids(4, "0", (b"short",)),
        core_api.Subscribe(1, 9, 4, 3, ()),
        core_api.Subscribe(1, 9, 4, 3, (replace(DOWN_TRACK, ssrc=0),)),
        core_api.Subscribe(1, 9, 4, 3, (replace(DOWN_TRACK, rtx_ssrc=5),)),
    ],
)
async def test_malformed_commands_raise(router, malformed):
    with pytest.raises(ValueError):
        router.submit(malformed)


@pytest.mark.parametrize(
    ("conflicting", "handle"),
    [
        (core_api.OpenRouter(1, PayloadAccess.CLEAR), 1),
        (core_api.CloseTransport(99), 99),
        (core_api.Publish(1, 6, 2, (UP_TRACK,)), 6),
        (core_api.Subscribe(1, 7, 4, 3, (DOWN_TRACK,)), 7),
        (core_api.Subscribe(1, 7, 4, 3, (replace(DOWN_TRACK, ssrc=8, up_track_mid="x"),)), 7),
        (core_api.DeclareKids(4, "x", ()), 4),
        (core_api.Unsubscribe(99), 99),
    ],
)
async def test_conflicts_come_back_as_events(router, conflicting, handle):
    router.submit(conflicting)
    assert router.failed == []
    await asyncio.sleep(0)
    (failed,) = router.failed
    assert isinstance(failed, CommandFailed)
    assert (failed.command, failed.handle) == (COMMAND_NAMES[type(conflicting)], handle)


async def test_closing_the_session_closes_all_in_it(router):
    router.submit(core_api.CloseRouter(1))
    assert router.counters() == {"transports": 0, "publishers": 0, "subscribers": 0}


async def test_after_the_end_every_command_says_so(router):
    router.close()
    with pytest.raises(RuntimeError):
        router.submit(core_api.Unsubscribe(5))

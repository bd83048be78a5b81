"""What every media core keeps: the one in memory refuses what the compiled one refuses, and with
the same codes."""

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
    PreferredLayers,
    SrtpProfile,
    SrtpSecrets,
    UpTrackParameters,
    WorkerSettings,
)
from sfu.media_router import NativeMediaRouter
from tests.fakes.media_router import FakeMediaRouter

ENCODING = EncodingParameters(ssrc=70, rtx_ssrc=71)
UP_TRACK = UpTrackParameters(
    "0", MediaKind.AUDIO, Codec.OPUS, 111, None, 48_000, (ENCODING,), {}, nack=False
)
OTHER_UP_TRACK = replace(UP_TRACK, mid="1", encodings=(EncodingParameters(ssrc=72),))
DOWN_TRACK = DownTrackParameters("0", "0", 77, 78, 96, 97, {Extension.MID: 1})
OTHER_DOWN_TRACK = replace(DOWN_TRACK, mid="1", ssrc=80, rtx_ssrc=81)
KEYS = SrtpSecrets(SrtpProfile.AEAD_AES_128_GCM, b"k" * 16, b"s" * 12, b"K" * 16, b"S" * 12)
PASSWORD = "p" * 24
FENCE = 999
OTHER_WORKER = 1

SCENE = (
    core_api.OpenRouter(1, PayloadAccess.OPAQUE),
    core_api.OpenTransport(1, 2, Direction.UPLINK, "ufrag", PASSWORD),
    core_api.OpenTransport(1, 3, Direction.DOWNLINK, "ufrag2", PASSWORD),
    core_api.Publish(1, 4, 2, (UP_TRACK,)),
    core_api.Subscribe(1, 5, 4, 3, (DOWN_TRACK,)),
    core_api.SetSrtpKeys(2, KEYS),
    core_api.OpenRouter(11, PayloadAccess.OPAQUE),
    core_api.OpenTransport(11, 12, Direction.UPLINK, "ufrag12", PASSWORD),
    core_api.OpenTransport(11, 13, Direction.DOWNLINK, "ufrag13", PASSWORD),
    core_api.OpenTrunk(1, 6, OTHER_WORKER, 60),
    core_api.FeedTrunk(4, "0", 6, (1,)),
    core_api.OpenTrunk(11, 16, OTHER_WORKER, 61),
)
"""A session of a publisher and a subscriber, which goes on on another worker, and another session,
that nobody publishes in."""


class Core:
    """A media core, and the commands that it reported as failed."""

    def __init__(self, router):
        self.router = router
        self._failed = asyncio.Queue()
        router.listen(self._take)

    def _take(self, batch):
        for event in batch:
            if isinstance(event, CommandFailed):
                self._failed.put_nowait(event)

    async def failures(self, *commands):
        """Name, handle and reason of those commands that conflict with the core's state."""
        for command in (*commands, core_api.CloseRouter(FENCE)):
            self.router.submit(command)
        found = []
        while True:
            failed = await self._failed.get()
            if failed.handle == FENCE:
                return found
            found.append((failed.command, failed.handle, failed.reason))


@pytest.fixture(params=["fake", "native"])
async def core(request):
    if request.param == "fake":
        router, other = FakeMediaRouter(), FakeMediaRouter()
    else:
        pytest.importorskip("sfu._native")
        settings, loop = WorkerSettings(host="127.0.0.1"), asyncio.get_running_loop()
        router, other = NativeMediaRouter(settings, loop), NativeMediaRouter(settings, loop)
    router.link(0, other, OTHER_WORKER)
    core = Core(router)
    assert await core.failures(*SCENE) == []
    yield core
    router.close()
    other.close()


UNKNOWN = [
    core_api.CloseRouter(99),
    core_api.OpenTransport(99, 50, Direction.UPLINK, "other", PASSWORD),
    core_api.RestartIce(99, "other", PASSWORD),
    core_api.SetPeerCredentials(99, "client", PASSWORD),
    core_api.SetSrtpKeys(99, KEYS),
    core_api.SendDtls(99, b"x"),
    core_api.CloseTransport(99),
    core_api.WriteTap(99, b"{}"),
    core_api.WriteTap(2, b"{}"),
    core_api.Publish(1, 50, 99, (OTHER_UP_TRACK,)),
    core_api.Publish(99, 50, 2, (OTHER_UP_TRACK,)),
    core_api.DeclareKids(99, "0", ()),
    core_api.SetUpTrackForwarding(99, "0", forwarding=False),
    core_api.Unpublish(99),
    core_api.Subscribe(1, 50, 99, 3, (OTHER_DOWN_TRACK,)),
    core_api.Subscribe(1, 50, 4, 99, (OTHER_DOWN_TRACK,)),
    core_api.SetDownTrackForwarding(99, MediaKind.AUDIO, forwarding=False),
    core_api.SetPreferredLayers(99, PreferredLayers()),
    core_api.Unsubscribe(99),
    core_api.OpenTrunk(99, 50, OTHER_WORKER, 62),
    core_api.FeedTrunk(99, "0", 6, (2,)),
    core_api.FeedTrunk(4, "0", 99, (2,)),
    core_api.SetTrunkDemand(99, "0", 6, (None,)),
    core_api.SetTrunkDemand(4, "0", 99, (None,)),
    # What exists, but not there: m-lines of the publisher, transports and publishers of a session.
    core_api.DeclareKids(4, "x", ()),
    core_api.SetUpTrackForwarding(4, "x", forwarding=False),
    core_api.Subscribe(1, 50, 4, 3, (replace(OTHER_DOWN_TRACK, up_track_mid="x"),)),
    core_api.Publish(1, 50, 12, (OTHER_UP_TRACK,)),
    core_api.Subscribe(1, 50, 4, 13, (OTHER_DOWN_TRACK,)),
    core_api.Subscribe(11, 50, 4, 13, (OTHER_DOWN_TRACK,)),
    core_api.FeedTrunk(4, "x", 6, (2,)),
    core_api.FeedTrunk(4, "0", 2, (2,)),
    core_api.FeedTrunk(4, "0", 16, (2,)),
    core_api.SetTrunkDemand(4, "x", 6, (None,)),
]
HANDLE_TAKEN = [
    core_api.OpenRouter(1, PayloadAccess.CLEAR),
    core_api.OpenTransport(1, 2, Direction.UPLINK, "other", PASSWORD),
    core_api.Publish(1, 4, 2, (OTHER_UP_TRACK,)),
    core_api.Subscribe(1, 5, 4, 3, (OTHER_DOWN_TRACK,)),
    core_api.OpenTrunk(1, 2, OTHER_WORKER, 62),
    core_api.OpenTrunk(1, 6, OTHER_WORKER, 62),
    core_api.OpenTransport(1, 6, Direction.UPLINK, "other", PASSWORD),
    # Of two reasons, the same one.
    core_api.Publish(1, 4, 2, (UP_TRACK,)),
    core_api.Subscribe(1, 5, 99, 3, (DOWN_TRACK,)),
]
UFRAG_TAKEN = [
    core_api.OpenTransport(1, 50, Direction.UPLINK, "ufrag", PASSWORD),
    core_api.OpenTransport(11, 50, Direction.UPLINK, "ufrag2", PASSWORD),
    core_api.RestartIce(2, "ufrag2", PASSWORD),
    core_api.RestartIce(99, "ufrag2", PASSWORD),
]
RIDS = tuple(EncodingParameters(rid=rid) for rid in ("a", "a"))
CONFLICT = [
    core_api.Publish(1, 50, 2, (UP_TRACK,)),
    core_api.Publish(1, 50, 2, (OTHER_UP_TRACK, OTHER_UP_TRACK)),
    core_api.Publish(1, 50, 2, (replace(OTHER_UP_TRACK, encodings=(ENCODING,)),)),
    core_api.Publish(1, 50, 2, (replace(OTHER_UP_TRACK, encodings=(EncodingParameters(71),)),)),
    core_api.Publish(1, 50, 2, (replace(OTHER_UP_TRACK, encodings=RIDS),)),
    core_api.Subscribe(1, 50, 4, 3, (replace(OTHER_DOWN_TRACK, ssrc=77),)),
    core_api.Subscribe(1, 50, 4, 3, (replace(OTHER_DOWN_TRACK, ssrc=78),)),
    core_api.Subscribe(1, 50, 4, 3, (replace(OTHER_DOWN_TRACK, rtx_ssrc=77),)),
    core_api.Subscribe(1, 50, 4, 3, (OTHER_DOWN_TRACK, OTHER_DOWN_TRACK)),
    core_api.Subscribe(1, 50, 4, 3, (replace(DOWN_TRACK, up_track_mid="x"),)),
    core_api.Subscribe(1, 50, 4, 3, (replace(OTHER_DOWN_TRACK, rtx_ssrc=80),)),
    core_api.FeedTrunk(4, "0", 6, (2,)),
]
KEYS_TAKEN = [core_api.SetSrtpKeys(2, KEYS)]

REFUSED = {
    "unknown_handle": UNKNOWN,
    "handle_taken": HANDLE_TAKEN,
    "ufrag_taken": UFRAG_TAKEN,
    "conflict": CONFLICT,
    "keys_taken": KEYS_TAKEN,
    "unknown_worker": [core_api.OpenTrunk(1, 50, 9, 62)],
    "invalid": [core_api.FeedTrunk(4, "0", 6, (2, 3))],
}
ROWS = [(command, reason) for reason, commands in REFUSED.items() for command in commands]


def handle_of(command):
    """Of what the command creates, changes or ends."""
    names = ("subscriber", "publisher", "transport", "router")
    return next(getattr(command, name) for name in names if hasattr(command, name))


@pytest.mark.parametrize(
    ("command", "reason"),
    ROWS,
    ids=[f"{i}-{COMMAND_NAMES[type(c)]}-{reason}" for i, (c, reason) in enumerate(ROWS)],
)
async def test_a_conflict_comes_back_as_an_event_with_its_code(core, command, reason):
    failed = (COMMAND_NAMES[type(command)], handle_of(command), reason)
    # Twice: what was refused has left nothing behind.
    assert await core.failures(command, command) == [failed, failed]


def test_each_command_with_a_handle_is_refused_for_one_that_is_unknown():
    refused = {type(command) for command in UNKNOWN}
    # A tap brings a descriptor, which is gone with the first refusal: test_taps.py.
    assert set(COMMAND_NAMES) - refused == {core_api.OpenRouter, core_api.OpenTap}


MALFORMED = [
    core_api.OpenTransport(1, 9, Direction.UPLINK, "ufrag9", "short"),
    core_api.OpenTransport(1, 9, Direction.UPLINK, "u", PASSWORD),
    core_api.RestartIce(2, "u", PASSWORD),
    core_api.SetPeerCredentials(2, "client", "short"),
    core_api.SetSrtpKeys(2, replace(KEYS, receive_key=b"")),
    core_api.SetSrtpKeys(2, replace(KEYS, send_salt=b"")),
    core_api.SendDtls(2, b""),
    core_api.SendDtls(2, bytes(1_501)),
    core_api.OpenTap(1, 9, -1),
    core_api.WriteTap(2, b""),
    core_api.WriteTap(2, bytes(32_769)),
    core_api.Publish(1, 9, 2, ()),
    *(
        core_api.Publish(1, 9, 2, (replace(OTHER_UP_TRACK, **wrong),))
        for wrong in (
            {"mid": ""},
            {"mid": "too long for a mid"},
            {"payload_type": 128},
            {"rtx_payload_type": 128},
            {"clock_rate_hz": 0},
            {"encodings": ()},
            {"encodings": (EncodingParameters(rid=""),)},
            {"extensions": {Extension.MID: 15}},
            {"declared_kids": (b"short",)},
        )
    ),
    core_api.DeclareKids(4, "0", (b"short",)),
    core_api.Subscribe(1, 9, 4, 3, ()),
    *(
        core_api.Subscribe(1, 9, 4, 3, (replace(OTHER_DOWN_TRACK, **wrong),))
        for wrong in (
            {"mid": ""},
            {"up_track_mid": ""},
            {"ssrc": 0},
            {"payload_type": 128},
            {"rtx_payload_type": None},
            {"rtx_ssrc": None},
            {"extensions": {Extension.MID: 0}},
        )
    ),
    core_api.SetPreferredLayers(5, PreferredLayers(max_frame_rate=-1.0)),
    core_api.FeedTrunk(4, "0", 6, ()),
    core_api.FeedTrunk(4, "0", 6, (0,)),
    core_api.FeedTrunk(4, "", 6, (2,)),
    core_api.SetTrunkDemand(4, "", 6, (None,)),
]


@pytest.mark.parametrize(
    "command",
    MALFORMED,
    ids=[f"{i}-{COMMAND_NAMES[type(c)]}" for i, c in enumerate(MALFORMED)],
)
async def test_a_malformed_command_raises_and_changes_nothing(core, command):
    with pytest.raises(ValueError):
        core.router.submit(command)
    assert await core.failures() == []


async def test_closing_a_session_ends_all_in_it_and_nothing_else(core):
    gone = [
        core_api.CloseRouter(1),
        core_api.CloseTransport(2),
        core_api.CloseTransport(3),
        core_api.Unpublish(4),
        core_api.Unsubscribe(5),
        core_api.CloseTransport(6),
    ]
    failed = await core.failures(core_api.CloseRouter(1), *gone, core_api.CloseTransport(12))
    assert failed == [(COMMAND_NAMES[type(c)], handle_of(c), "unknown_handle") for c in gone]


@pytest.mark.parametrize("end", [core_api.CloseTransport(2), core_api.Unpublish(4)])
async def test_with_a_publisher_its_subscriptions_end(core, end):
    failed = await core.failures(end, core_api.Unpublish(4), core_api.Unsubscribe(5))
    assert failed == [("unpublish", 4, "unknown_handle"), ("unsubscribe", 5, "unknown_handle")]


async def test_with_a_downlink_its_subscriptions_end_and_the_publisher_goes_on(core):
    failed = await core.failures(
        core_api.CloseTransport(3), core_api.Unsubscribe(5), core_api.Unpublish(4)
    )
    assert failed == [("unsubscribe", 5, "unknown_handle")]


async def test_names_of_what_has_ended_can_be_used_again(core):
    again = [
        core_api.Unpublish(4),
        core_api.CloseTransport(2),
        core_api.OpenTransport(1, 2, Direction.UPLINK, "ufrag", PASSWORD),
        core_api.SetSrtpKeys(2, KEYS),
        core_api.Publish(1, 4, 2, (UP_TRACK,)),
        core_api.Subscribe(1, 5, 4, 3, (DOWN_TRACK,)),
    ]
    assert await core.failures(*again) == []


async def test_what_comes_over_a_trunk_is_published_and_does_not_leave_over_another(core):
    failed = await core.failures(
        core_api.OpenTrunk(1, 7, OTHER_WORKER, 63),
        core_api.Publish(1, 8, 7, (replace(UP_TRACK, encodings=(EncodingParameters(ssrc=1),)),)),
        core_api.Subscribe(1, 9, 8, 3, (OTHER_DOWN_TRACK,)),
        core_api.SetTrunkDemand(4, "0", 6, ()),
        core_api.FeedTrunk(8, "0", 6, (2,)),
        core_api.CloseTransport(7),
        core_api.Unpublish(8),
        core_api.Unsubscribe(9),
        core_api.CloseTransport(6),
        core_api.SetTrunkDemand(4, "0", 6, (None,)),
    )
    assert failed == [
        ("feed_trunk", 8, "conflict"),
        ("unpublish", 8, "unknown_handle"),
        ("unsubscribe", 9, "unknown_handle"),
        ("set_trunk_demand", 4, "unknown_handle"),
    ]


async def test_an_ssrc_keeps_its_role_while_its_downlink_lives(core):
    other_roles = [
        core_api.Subscribe(1, 50, 4, 3, (replace(OTHER_DOWN_TRACK, ssrc=78),)),
        core_api.Subscribe(1, 50, 4, 3, (replace(OTHER_DOWN_TRACK, rtx_ssrc=77),)),
    ]
    failed = await core.failures(
        core_api.Unsubscribe(5),
        *other_roles,
        core_api.Subscribe(1, 51, 4, 3, (DOWN_TRACK,)),
    )
    assert failed == [("subscribe", 50, "conflict")] * 2


async def test_only_a_session_that_exists_has_a_snapshot(core):
    assert (await core.router.snapshot(1)).router == 1
    assert await core.router.snapshot(99) is None


async def test_after_the_end_every_command_says_so(core):
    core.router.close()
    core.router.close()
    with pytest.raises(RuntimeError):
        core.router.submit(core_api.Unsubscribe(5))

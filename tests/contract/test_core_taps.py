"""Taps as a core has them, that in memory and the compiled one, and the descriptors it is given."""

import asyncio
import contextlib
import os
import socket
import struct

import pytest

from sfu import core_api
from sfu.core_api import (
    Codec,
    CommandFailed,
    Direction,
    DownTrackParameters,
    EncodingParameters,
    MediaKind,
    PayloadAccess,
    UpTrackParameters,
    WorkerSettings,
)
from sfu.media_router import NativeMediaRouter
from tests.descriptors import open_descriptors
from tests.fakes.media_router import FakeMediaRouter
from tests.fakes.tap_records import RecordKind, encode_record, is_at_end, read_records

PASSWORD = "p" * 24
FENCE = 999

ENCODING = EncodingParameters(ssrc=70)
UP_TRACK = UpTrackParameters(
    "0", MediaKind.AUDIO, Codec.OPUS, 111, None, 48_000, (ENCODING,), {}, nack=False
)
DOWN_TRACK = DownTrackParameters("0", "0", 77, None, 111, None, {}, nack=False)
SCENE = (
    core_api.OpenRouter(1, PayloadAccess.CLEAR),
    core_api.OpenTransport(1, 2, Direction.UPLINK, "ufrag", PASSWORD),
    core_api.Publish(1, 4, 2, (UP_TRACK,)),
    core_api.OpenRouter(11, PayloadAccess.OPAQUE),
    core_api.OpenRouter(21, PayloadAccess.CLEAR),
)


class Core:
    """A media core, the commands that it reported as failed, and the readers of its taps."""

    def __init__(self, router):
        self.router = router
        self.readers = []
        self.closed = []
        self._failed = asyncio.Queue()
        router.listen(self._take)

    def _take(self, batch):
        for event in batch:
            if isinstance(event, CommandFailed):
                self._failed.put_nowait(event)
            elif isinstance(event, core_api.TapClosed):
                self.closed.append((event.transport, event.reason))

    def tap(self, router, transport):
        """A command that opens a tap, and its reader's end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.readers.append(theirs)
        return core_api.OpenTap(router, transport, ours.detach()), theirs

    def close_readers(self):
        for reader in self.readers:
            reader.close()

    async def failures(self, *commands):
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
        router = FakeMediaRouter()
    else:
        pytest.importorskip("sfu._native")
        router = NativeMediaRouter(WorkerSettings(host="127.0.0.1"), asyncio.get_running_loop())
    core = Core(router)
    assert await core.failures(*SCENE) == []
    yield core
    router.close()
    core.close_readers()


async def test_no_tap_leaves_a_descriptor_behind(core):
    before = open_descriptors()
    for _ in range(20):
        opened, _ = core.tap(1, 30)
        taken, _ = core.tap(1, 30)
        opaque, _ = core.tap(11, 31)
        failed = await core.failures(opened, taken, opaque, core_api.CloseTransport(30))
        assert [reason for _, _, reason in failed] == ["handle_taken", "opaque"]
    core.close_readers()
    assert open_descriptors() - before == set()


@pytest.mark.parametrize(
    ("router", "transport", "reason"),
    [
        (99, 30, "unknown_handle"),
        (11, 30, "opaque"),
        (1, 2, "handle_taken"),
        (21, 2, "handle_taken"),
    ],
)
async def test_a_refused_tap_closes_its_descriptor(core, router, transport, reason):
    for _ in range(2):
        command, reader = core.tap(router, transport)
        assert await core.failures(command) == [("open_tap", transport, reason)]
        assert is_at_end(reader)
    gone = core_api.CloseTransport(30)
    assert await core.failures(gone) == [("close_transport", 30, "unknown_handle")]


async def test_an_opaque_session_has_no_tap_before_or_after_it_has_streams(core):
    publish = [
        core_api.OpenTransport(11, 12, Direction.UPLINK, "opaque", PASSWORD),
        core_api.Publish(11, 14, 12, (UP_TRACK,)),
    ]
    for commands in ([], publish):
        assert await core.failures(*commands) == []
        command, reader = core.tap(11, 13)
        subscribe = core_api.Subscribe(11, 15, 14, 13, (DOWN_TRACK,))
        assert await core.failures(command, subscribe) == [
            ("open_tap", 13, "opaque"),
            ("subscribe", 15, "unknown_handle"),
        ]
        assert is_at_end(reader)


async def test_the_handle_of_a_tap_is_taken_until_its_end(core):
    first, reader = core.tap(1, 30)
    second, refused = core.tap(1, 30)
    other, elsewhere = core.tap(21, 30)
    peer = core_api.OpenTransport(1, 30, Direction.DOWNLINK, "another", PASSWORD)
    assert await core.failures(first, second, other, peer) == [
        ("open_tap", 30, "handle_taken"),
        ("open_tap", 30, "handle_taken"),
        ("open_transport", 30, "handle_taken"),
    ]
    assert is_at_end(refused)
    assert is_at_end(elsewhere)
    assert not is_at_end(reader)
    again, _ = core.tap(21, 30)
    assert await core.failures(core_api.CloseTransport(30), again) == []
    assert [record.kind for record in read_records(reader)] == [RecordKind.END]
    assert is_at_end(reader)


async def test_a_tap_is_subscribed_and_publishes_in_its_own_session_only(core):
    command, _ = core.tap(21, 30)
    assert await core.failures(
        command,
        core_api.Subscribe(1, 5, 4, 30, (DOWN_TRACK,)),
        core_api.Subscribe(21, 5, 4, 30, (DOWN_TRACK,)),
        core_api.Publish(1, 6, 30, (UP_TRACK,)),
        core_api.SendDtls(30, b"x"),
        core_api.Publish(21, 6, 30, (UP_TRACK,)),
        core_api.Publish(21, 7, 30, (UP_TRACK,)),
        core_api.CloseTransport(30),
        core_api.Unpublish(6),
    ) == [
        ("subscribe", 5, "unknown_handle"),
        ("subscribe", 5, "unknown_handle"),
        ("publish", 6, "unknown_handle"),
        ("send_dtls", 30, "unknown_handle"),
        ("publish", 7, "conflict"),
        ("unpublish", 6, "unknown_handle"),
    ]


async def test_with_a_tap_its_subscriptions_end_and_the_publisher_goes_on(core):
    command, _ = core.tap(1, 30)
    failed = await core.failures(
        command,
        core_api.Subscribe(1, 5, 4, 30, (DOWN_TRACK,)),
        core_api.SetDownTrackForwarding(5, MediaKind.AUDIO, forwarding=False),
        core_api.CloseTransport(30),
        core_api.Unsubscribe(5),
        core_api.Unpublish(4),
    )
    assert failed == [("unsubscribe", 5, "unknown_handle")]


async def test_with_its_session_a_tap_ends(core):
    command, reader = core.tap(1, 30)
    failed = await core.failures(command, core_api.CloseRouter(1), core_api.CloseTransport(30))
    assert failed == [("close_transport", 30, "unknown_handle")]
    assert [record.kind for record in read_records(reader)] == [RecordKind.END]


@pytest.mark.parametrize("kind", ["file", "stream", "udp", "closed"])
async def test_a_descriptor_of_another_kind_is_malformed_and_closed(core, kind):
    if kind == "file":
        number = os.open("/dev/null", os.O_RDONLY)
    elif kind == "closed":
        number = os.open("/dev/null", os.O_RDONLY)
        os.close(number)
    else:
        family, of = (
            (socket.AF_UNIX, socket.SOCK_STREAM)
            if kind == "stream"
            else (socket.AF_INET, socket.SOCK_DGRAM)
        )
        number = socket.socket(family, of).detach()
    with pytest.raises(ValueError):
        core.router.submit(core_api.OpenTap(1, 30, number))
    with pytest.raises(OSError):
        os.fstat(number)
    assert await core.failures() == []


async def test_after_the_end_of_the_core_a_descriptor_is_closed_too(core):
    command, reader = core.tap(1, 30)
    core.router.close()
    with pytest.raises(RuntimeError):
        core.router.submit(command)
    assert is_at_end(reader)


@pytest.mark.parametrize("core", ["native"], indirect=True)
async def test_a_reader_that_floods_loses_its_tap_and_another_one_stays(core):
    """As a process does that somebody has taken over: as much as the socket takes."""
    flooded, reader = core.tap(1, 30)
    quiet, other = core.tap(1, 31)
    assert await core.failures(flooded, quiet) == []
    request = struct.pack(">BBHII", 0x81, 206, 2, 1, 77)
    flood = encode_record(RecordKind.FEEDBACK, request * 100)
    async with asyncio.timeout(60):
        while not core.closed:
            with contextlib.suppress(BlockingIOError):
                for _ in range(100):
                    reader.send(flood, socket.MSG_DONTWAIT)
            await asyncio.sleep(0)
        while core.router.counters()["drop.tap_flood"] < 1_000:  # noqa: ASYNC110 - read each 20 ms
            await asyncio.sleep(0.01)
    assert core.closed == [(30, "reader_floods")]
    assert await core.failures(core_api.WriteTap(31, b"{}"), core_api.CloseTransport(30)) == []
    assert [record.kind for record in read_records(other)] == [RecordKind.JSON]
    assert core.closed == [(30, "reader_floods")]

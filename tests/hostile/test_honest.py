"""The hostile server without a lie: its messages are the protocol's, its calls are encrypted."""

import msgpack
import pytest

from signaling.protocol.codec import Encoding, decode_server_message
from tests.hostile import content
from tests.hostile.call import Call, until
from tests.hostile.drivers.python import PythonDriver
from tests.hostile.lie import Lie
from tests.hostile.lies import Must, Row
from tests.hostile.media import Rtp
from tests.hostile.passed import frame_id
from tests.hostile.running import play
from tests.hostile.server import HostileServer
from tests.hostile.wire import WireJudge, read_header

pytestmark = pytest.mark.interop


class Checked(Lie):
    """Reads each of its own messages as a client of the product's table does."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()

    def tell(self, member, message):
        decode_server_message(msgpack.packb(message), Encoding.MSGPACK)
        self.kinds.add(message["t"])
        return (message,)


async def test_without_a_lie_two_clients_have_an_encrypted_call() -> None:
    checked = Checked()
    async with HostileServer() as server:
        call = Call(server, PythonDriver(), checked)
        try:
            await call.live()
            heard = call.bob.heard[call.stream_id]
            await until(lambda: len(heard) > 60, "a second of audio")
            assert await call.goes_on()
            assert call.faults() == []
            judge = call.member(call.ada).judge
            assert judge.frames > 50
            assert not judge.undeclared
            assert len(judge.hints) == 1
            assert {"welcome", "published", "subscribed", "downlinkOffer"} <= checked.kinds
        finally:
            await call.close()


async def test_a_row_whose_lie_is_not_told_fails_and_so_does_an_honest_one_with_a_lie() -> None:
    async def live(call: Call) -> None:
        await call.live()

    async def lie(call: Call) -> None:
        await call.live()
        call.member(call.ada).write({"t": "muteForced", "active": False})

    untold = Row("untold", "", ("muteForced",), Must.EITHER, live)
    told = Row("told", "", (), Must.EITHER, lie)
    async with HostileServer() as server:
        for row, fault in (
            (untold, "no lie was told in muteForced"),
            (told, "an honest row told a lie in muteForced"),
        ):
            assert fault in (await play(row, server, PythonDriver())).missing


async def test_the_judge_of_the_wire_sees_clear_frames() -> None:
    """A client without a secret, in a session that says it is clear."""

    class Clear(Lie):
        def tell(self, member, message):
            if message["t"] == "welcome":
                message["session"]["e2ee"] = False
            return (message,)

    async with HostileServer() as server:
        call = Call(server, PythonDriver(), Clear())
        try:
            ada = await call.person(content.ADA, None)
            assert await ada.connect()
            await ada.publish()
            judge = call.member(ada).judge
            await until(lambda: judge.frames > 40, "clear media")
            assert len(judge.verdict()) == judge.frames
        finally:
            await call.close()


async def test_the_judge_of_frames_and_tones_sees_what_is_another_s() -> None:
    seen = [content.Seen(n / 12, content.ADA.first + n) for n in range(1, 30)]
    assert content.wrong_images(seen, content.ADA) == []
    assert content.wrong_images(seen, content.BOB)
    tones = [
        content.Seen(n * 0.02, content.read_tone(content.tone(content.ADA.base_hz, n)))
        for n in range(200)
    ]
    assert content.wrong_tones(tones, content.ADA) == []
    assert content.wrong_tones(tones, content.BOB)


def test_only_sframe_of_the_format_counts_as_encrypted() -> None:
    kid = bytes([0x80, *range(7)])
    good = b"\xf3" + kid + bytes(30)
    assert read_header(good).kid == kid
    assert read_header(b"\xf9" + kid + b"\x01\x02" + bytes(30)).ctr == 0x0102
    for bad in (good[:18], b"\x73" + good[1:], b"\xf3\x00" + good[2:], b"\xfc" + bytes(80)):
        assert read_header(bad) is None
    judge = WireJudge()
    judge.take("a", None, Rtp(0, 0, 0, 0, good))
    judge.take("a", "opus", Rtp(0, 0, 0, 0, b"\x78" * 40))
    assert len(judge.leaks) == 2
    judge.take("a", "opus", Rtp(0, 0, 0, 0, good))
    assert len(judge.leaks) == 2
    assert judge.ids == {(read_header(good).hint, "a"): [frame_id(good)]}

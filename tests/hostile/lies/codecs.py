"""The central lies about packets, in the other codecs that are encrypted."""

from tests.hostile import forge
from tests.hostile.call import Call, until
from tests.hostile.content import LIAR
from tests.hostile.lie import Lie, Message
from tests.hostile.lies.acts import inject
from tests.hostile.lies.frames import swap_frames
from tests.hostile.lies.replays import replay
from tests.hostile.lies.row import BROWSERS, Act, Must, Row
from tests.hostile.media import Rtp
from tests.hostile.member import Member

SPEAKERS = {"vp9": BROWSERS, "av1": BROWSERS, "h264": ("python", "chromium")}
"""Clients that send and receive a codec: the Python SDK has two, Firefox no H.264 of its own."""
ENOUGH = 30
"""Packets of a recording."""


class Clear(Lie):
    """The server's own session, which is not encrypted."""

    def tell(self, member: Member, message: Message) -> tuple[Message, ...]:
        if message["t"] == "welcome":
            message["session"]["e2ee"] = False
        return (message,)


async def clear_media(call: Call) -> dict[str, list[Rtp]]:
    """In clear and of the call's codec: what the server has sent to itself."""
    room = call.server.open(Clear(), call.room.video_codec)
    liar = await call.driver.client(call.server.url, room.token, None, LIAR)
    liar.codec = call.room.video_codec
    await liar.connect()
    stream_id = await liar.publish() or ""
    tracks = room.streams[stream_id].tracks
    await until(lambda: all(len(t.kept) > ENOUGH for t in tracks.values()), "clear media")
    await liar.close()
    return {kind: forge.recorded(track) for kind, track in tracks.items()}


async def just_live(call: Call) -> None:
    await call.live()


async def clear_recorded(call: Call) -> None:
    await call.live()
    made = await clear_media(call)
    await inject(call, made.__getitem__)


ACTS: dict[str, tuple[str, tuple[str, ...], Act]] = {
    "honest": ("honest: a call", (), just_live),
    "replay": ("plays a recording on the same m-line", ("rtp",), replay),
    "swap": ("sends one member's frames as another's", ("rtp",), swap_frames),
    "clear": ("sends clear media of its own between encrypted frames", ("rtp",), clear_recorded),
}
ROWS = tuple(
    Row(f"{codec}-{name}", f"{does}, in {codec}", covers, Must.GO_ON, act, only=only, codec=codec)
    for codec, only in SPEAKERS.items()
    for name, (does, covers, act) in ACTS.items()
)

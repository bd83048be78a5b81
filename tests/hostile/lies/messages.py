"""Lies in messages that carry neither media nor keys: false events, wrong shapes, strange order."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.hostile import sdp
from tests.hostile.call import Call, until
from tests.hostile.lie import Message
from tests.hostile.lies.acts import pause
from tests.hostile.lies.row import BROWSERS, Must, Row, by
from tests.hostile.media import Transport

SHAPES: dict[str, Message] = {
    "ok": {"re": 1},
    "error": {"code": "internal", "name": "OT_X", "number": 1, "message": "x", "re": 1},
    "welcome": {"re": 1, "connection": {}, "session": {"e2ee": False}},
    "published": {"re": 1, "streamId": "s-x", "answer": "", "tracks": []},
    "subscribed": {"re": 1, "subscriberId": "sub-x", "streamId": "s-x"},
    "downlinkOffer": {"offerId": 99, "sdp": "v=0", "tracks": []},
    "iceRestarted": {"re": 1, "answer": ""},
    "activeSpeaker": {"streamId": "s-x"},
    "subscriberConnected": {"subscriberId": "sub-x"},
    "peerSubscribed": {
        "subscriberId": "sub-x",
        "streamId": "s-x",
        "connectionId": "c-x",
        "audio": True,
        "video": True,
    },
    "peerUnsubscribed": {"subscriberId": "sub-x"},
    "peerDescriptionReceived": {"subscriberId": "sub-x", "type": "offer", "sdp": "v=0"},
    "peerCandidateReceived": {"subscriberId": "sub-x", "candidate": "candidate:1", "mid": "0"},
    "connectionCreated": {"connection": {"connectionId": "c-x", "creationTime": 1, "data": ""}},
    "connectionDestroyed": {"connectionId": "c-x", "reason": "clientDisconnected"},
    "streamDestroyed": {"streamId": "s-x", "reason": "clientDisconnected"},
    "streamPropertyChanged": {"streamId": "s-x", "hasVideo": False},
    "archiveStarted": {"id": "a-x", "name": "x"},
    "archiveStopped": {"id": "a-x", "name": "x"},
    "captionReceived": {"streamId": "s-x", "caption": "x", "isFinal": True},
    "signalReceived": {"from": "c-x", "type": "chat", "encrypted": b"\xf0" * 40},
    "muteForced": {"active": False},
    "notEncrypted": {"streamId": "s-x", "mid": "0", "packets": 3},
    "streamStateChanged": {"subscriberId": "sub-x", "state": "paused"},
    "subscribedLayersChanged": {"streamId": "s-x", "mid": "0", "subscribed": False, "rids": []},
    "hintAnnounced": {"connectionId": "c-x", "hint": 7},
    "pong": {"re": 1},
}
"""A message of each kind that speaks of nothing there is. `streamCreated`, `transportLost` and
`disconnected` do something whatever they say, and have rows of their own."""
UNASKED = tuple(kind for kind in SHAPES if kind != "downlinkOffer")
"""An offer without m-lines takes all away, rightly."""


async def unasked(call: Call) -> None:
    """Each message, to both, with nothing behind it."""
    await call.live()
    for member in call.room.members:
        for kind, members in SHAPES.items():
            if kind in UNASKED:
                member.write({"t": kind, **members})
    await pause(call)


async def misshapen(call: Call) -> None:
    """Each message without its members, and with members of other types."""
    await call.live()
    for member in call.room.members:
        for kind, members in SHAPES.items():
            member.write({"t": kind})
            for wrong in (None, 7, "x", [], {}, True, b"x"):
                member.write({"t": kind, **dict.fromkeys(members, wrong)})
        member.write({"t": "noSuchThing", "x": 1})
        member.write({"t": "streamCreated"})
        member.write({"t": "streamCreated", "stream": {"streamId": "s-y"}})
    await pause(call)


async def peer_in_routed(call: Call) -> None:
    await call.live()
    await play_peer(call)


async def play_peer(call: Call) -> None:
    """The whole play of a relayed session: the server stands between Ada and Bob."""
    ada, bob = call.member(call.ada), call.member(call.bob)
    wanted = {"subscriberId": "sub-p", "streamId": call.stream_id, "connectionId": "c-p"}
    ada.write({"t": "peerSubscribed", **wanted, "audio": True, "video": True})
    transport = await Transport(lambda p: bob.judge.take("peer", None, p)).open()
    line = sdp.Line("audio", "0", {111: "opus/48000/2"}, "sendrecv", ssrc=555)
    offer = sdp.describe([line], transport.ice, "actpass")
    for subscriber_id in ("sub-p", call.line("audio").subscriber_id):
        told = {"subscriberId": subscriber_id, "type": "offer", "sdp": offer}
        for member in (ada, bob):
            member.write({"t": "peerDescriptionReceived", **told})
            member.write(
                {
                    "t": "peerCandidateReceived",
                    "subscriberId": subscriber_id,
                    "candidate": f"candidate:1 1 udp 1 127.0.0.1 {transport.ice.port} typ host",
                    "mid": "0",
                }
            )
    await pause(call, 0.8)
    ada.write({"t": "peerUnsubscribed", "subscriberId": "sub-p"})
    bob.write({"t": "peerUnsubscribed", "subscriberId": call.line("audio").subscriber_id})
    await pause(call, 0.2)
    await transport.close()
    for member in (ada, bob):
        if member.asked("peerDescription") or member.asked("peerCandidate"):
            raise AssertionError("a peer connection was made in an encrypted session")


async def mute_all(call: Call) -> None:
    """Says that a moderator muted Ada."""
    await call.live()
    ada = call.member(call.ada)
    ada.write({"t": "muteForced", "active": True, "streamId": call.stream_id})
    ada.write({"t": "muteForced", "active": True})
    await pause(call)


async def false_alarm(call: Call) -> None:
    """Says that Ada's packets were not encrypted."""
    await call.live()
    about = {"streamId": call.stream_id, "mid": "0", "packets": 12}
    call.member(call.ada).write({"t": "notEncrypted", **about})
    await pause(call)


async def stream_is_over(call: Call) -> None:
    """To Bob alone; frames go on."""
    await call.live()
    about = {"streamId": call.stream_id, "reason": "mediaStopped"}
    call.member(call.bob).write({"t": "streamDestroyed", **about})
    await pause(call)


async def own_stream_is_over(call: Call) -> None:
    """To Ada: nothing of the stream may leave after it."""
    await call.live()
    about = {"streamId": call.stream_id, "reason": "forceUnpublished"}
    call.member(call.ada).write({"t": "streamDestroyed", **about})
    await pause(call)


async def everybody_is_gone(call: Call) -> None:
    """To Bob: Ada left, before any stream of hers ended."""
    await call.live()
    ada = call.member(call.ada)
    about = {"connectionId": ada.connection_id, "reason": "clientDisconnected"}
    call.member(call.bob).write({"t": "connectionDestroyed", **about})
    await pause(call)


async def strange_stream(call: Call) -> None:
    """A stream of nobody, one of Bob's own that he does not publish, and Ada's once more."""
    await call.live()
    bob, ada = call.member(call.bob), call.member(call.ada)
    info = call.stream.info()
    for stream_id, owner in (
        ("s-of-nobody", "c-nobody"),
        ("s-of-bob", bob.connection_id),
        (call.stream_id, bob.connection_id),
        (call.stream_id, "c-nobody"),
    ):
        told = info | {"streamId": stream_id, "connectionId": owner}
        bob.write({"t": "streamCreated", "stream": told})
    ada.write({"t": "streamCreated", "stream": info})
    await pause(call)


async def properties(call: Call) -> None:
    await call.live()
    bob = call.member(call.bob)
    for changes in (
        {"hasVideo": False},
        {"hasVideo": True, "hasAudio": False},
        {"hasAudio": True, "videoDimensions": {"width": 9_999, "height": 1}},
    ):
        bob.write({"t": "streamPropertyChanged", "streamId": call.stream_id, **changes})
    await pause(call)


async def stream_state(call: Call) -> None:
    """Says that the link carries no video, and sends it."""
    await call.live()
    bob, line = call.member(call.bob), call.line("video")
    for state in ("limited", "paused"):
        about = {"subscriberId": line.subscriber_id, "state": state}
        bob.write({"t": "streamStateChanged", **about})
    await pause(call)


async def demand(call: Call) -> None:
    """Says that nobody watches, then that somebody does."""
    await call.live()
    ada, track = call.member(call.ada), call.track("video")
    about = {"streamId": call.stream_id, "mid": track.mid}
    ada.write({"t": "subscribedLayersChanged", **about, "subscribed": False, "rids": []})
    await pause(call)
    ada.write({"t": "subscribedLayersChanged", **about, "subscribed": True, "rids": ["a", "b"]})
    await pause(call, 0.2)


async def uplink_lost(call: Call) -> None:
    """Says that Ada's uplink is lost: she publishes again, under another id."""
    await call.live()
    ada = call.member(call.ada)
    asked = len(ada.asked("publish"))
    old, ada.uplink = ada.uplink, None
    ada.write({"t": "transportLost", "direction": "uplink"})
    call.room.end_stream(call.stream_id, "networkDisconnected")
    await until(lambda: len(ada.asked("publish")) > asked, "the next publication")
    await old.close()
    await until(lambda: call.room.streams, "the next stream")
    call.stream_id = next(iter(call.room.streams))


async def thrown_out(call: Call) -> None:
    await call.live()
    for member in call.room.members:
        member.write({"t": "disconnected", "reason": "forceDisconnected"})
    await pause(call)


async def shutdowns(call: Call) -> None:
    """Says that the server stops, to whoever comes, again and again."""
    await call.live()
    for _ in range(20):
        for member in call.room.everybody:
            member.write({"t": "disconnected", "reason": "serverShutdown"})
        await pause(call, 0.05)


async def speakers(call: Call) -> None:
    await call.live()
    for stream_id in (call.stream_id, "s-x", ""):
        call.member(call.bob).write({"t": "activeSpeaker", "streamId": stream_id})
    await pause(call)


async def archives(call: Call) -> None:
    """Says that the encrypted session is recorded, by itself and by a member that records
    nothing, and that it is no longer."""
    await call.live()
    recorder = call.member(call.ada).connection_id
    for member in call.room.members:
        for kind in ("archiveStarted", "archiveStopped"):
            member.write({"t": kind, "id": "a-x", "name": "board meeting"})
            member.write({"t": kind, "id": "a-x", "name": "n", "recorder": recorder})
    await pause(call)


async def captions(call: Call) -> None:
    """Puts words into the mouth of Ada, and says that she lets them be captioned."""
    await call.live()
    for member in call.room.members:
        for stream_id in (call.stream_id, "s-x"):
            member.write({"t": "streamPropertyChanged", "streamId": stream_id, "hasCaptions": True})
            for is_final in (False, True):
                said = {"caption": "pay him", "isFinal": is_final}
                member.write({"t": "captionReceived", "streamId": stream_id, **said})
    await pause(call)


async def connected_early(call: Call) -> None:
    """Says that Subscribers are connected, again and again."""
    await call.live()
    line = call.line("video")
    for _ in range(3):
        about = {"subscriberId": line.subscriber_id}
        call.member(call.bob).write({"t": "subscriberConnected", **about})
    await pause(call)


def row(
    name: str,
    does: str,
    act: Callable[[Call], Awaitable[None]],
    must: Must,
    *covers: str,
    **more: Any,
) -> Row:
    return Row(name, does, covers, must, act, **more)


ROWS = (
    row("unasked", "every message with nothing behind it", unasked, Must.GO_ON, *UNASKED),
    row("misshapen", "every message in wrong shapes", misshapen, by(Must.SEE, Must.GO_ON), *SHAPES),
    row(
        "peer-in-routed",
        "plays another client, though the session is routed",
        peer_in_routed,
        Must.GO_ON,
        "peerSubscribed",
        "peerUnsubscribed",
        "peerDescriptionReceived",
        "peerCandidateReceived",
    ),
    row(
        "mute-forced",
        "says that a moderator muted",
        mute_all,
        Must.SEE,
        "muteForced",
        told=("muteForced", "publisher muteForced"),
    ),
    row(
        "not-encrypted",
        "says that packets were not encrypted",
        false_alarm,
        Must.GO_ON,
        "notEncrypted",
        told=("notEncrypted", "OT_ENCRYPTION_INTERNAL_ERROR"),
    ),
    row(
        "stream-over",
        "says that a stream is over, and goes on sending it",
        stream_is_over,
        Must.STOP,
        "streamDestroyed",
        told=("streamDestroyed",),
    ),
    row(
        "own-stream-over",
        "says that the own stream is over",
        own_stream_is_over,
        Must.STOP,
        "streamDestroyed",
        told=("streamDestroyed", "publisher streamDestroyed"),
    ),
    row(
        "member-gone",
        "says that a member left, whose stream goes on",
        everybody_is_gone,
        Must.GO_ON,
        "connectionDestroyed",
        told=("connectionDestroyed",),
    ),
    row(
        "strange-streams",
        "streams of nobody, of oneself, and one twice",
        strange_stream,
        Must.GO_ON,
        "streamCreated",
    ),
    row(
        "properties",
        "false properties of a stream",
        properties,
        Must.GO_ON,
        "streamPropertyChanged",
        told=("streamPropertyChanged",),
    ),
    row(
        "state",
        "says that the link carries no video",
        stream_state,
        Must.GO_ON,
        "streamStateChanged",
        told=("subscriber videoDisabled", "videoDisabled"),
    ),
    row(
        "demand",
        "says that nobody watches, then somebody",
        demand,
        Must.GO_ON,
        "subscribedLayersChanged",
    ),
    row("uplink-lost", "says that the uplink is lost", uplink_lost, Must.GO_ON, "transportLost"),
    row(
        "thrown-out",
        "says that everybody was thrown out",
        thrown_out,
        Must.STOP,
        "disconnected",
        told=("disconnected", "sessionDisconnected"),
    ),
    # The Python client joins again by itself, with its waits; it is another connection then.
    Row(
        "shutdowns",
        "says that the server stops, again and again",
        ("disconnected",),
        Must.STOP,
        shutdowns,
        told=("sessionDisconnected",),
        only=BROWSERS,
    ),
    row("speakers", "names speakers that are none", speakers, Must.GO_ON, "activeSpeaker"),
    row(
        "archives",
        "says that an encrypted session is archived",
        archives,
        Must.GO_ON,
        "archiveStarted",
        "archiveStopped",
    ),
    row(
        "captions",
        "sends captions in an encrypted session",
        captions,
        Must.GO_ON,
        "captionReceived",
    ),
    row(
        "connected-early",
        "says again and again that a Subscriber is connected",
        connected_early,
        Must.GO_ON,
        "subscriberConnected",
    ),
)

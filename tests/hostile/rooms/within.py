"""Lies to somebody who is in the call: of who is there, what was said, and who records."""

import json

from tests.hostile.call import until
from tests.hostile.lie import Lie, Message
from tests.hostile.member import Member
from tests.hostile.rooms.row import RoomRow
from tests.hostile.rooms.visit import Visit, told

NAMES = (
    '<img src=x onerror="alert(1)">',
    "<script>alert(1)</script>",
    "\u202eecila\u2066",
    "a" + "\u0301" * 500,
    "M" * 100_000,
    "\u0000recorder",
    "",
)
DATA = (
    "<b>no JSON</b>",
    "[" * 3_000,
    '{"name":{"toString":1}}',
    '{"__proto__":{"name":"x"}}',
    "null",
    "7",
)
FLOOD = 400


async def names(visit: Visit) -> None:
    """Markup, other directions, endless ones: each is a line of text, or nobody's."""
    ada = await visit.join("Ada")
    member = visit.member(ada)
    for number, data in enumerate([*(json.dumps({"name": name}) for name in NAMES), *DATA]):
        await visit.invent(member, f"c-name-{number}", data)
    stream = {"creationTime": 1, "hasAudio": False, "hasVideo": False, "videoType": "camera"}
    for number, name in enumerate(NAMES):
        more = {"streamId": f"s-{number}", "connectionId": f"c-name-{number}", "name": name}
        member.write(told("streamCreated", stream=stream | more | {"codecs": {}}))
    await visit.settle(ada)
    await ada.press("#open-people")
    await ada.until(lambda seen: len(seen["participants"]) > len(NAMES), "everybody in the list")
    assert ada.seen["mood"] == "encrypted"
    assert [tile["name"] for tile in ada.seen["tiles"] if tile["isOwn"]] == ["Ada"]
    assert sum("(you)" in one and "Ada" in one[:4] for one in ada.seen["participants"]) == 1


IMITATIONS = (
    "Ada (you)",
    "Ada, you, encrypted",
    "Ada\uff08\u0443\u043e\u0075\uff09",
    "\U0001f512 Ada",
    "Ada \u00b7 End-to-end encrypted",
    "\U0001f534 Recorded",
    "Recorder",
    "you",
)
"""Names that say of themselves what the page says of its members."""
SIGNS = ("you", "encrypted", "recorded", "recorder", "records", "\U0001f512", "\U0001f534")


async def imitates(visit: Visit) -> None:
    """Nobody but the page says who oneself is, what is encrypted, and who records."""
    ada, mallory = await visit.join("Ada"), await visit.join("you")
    member = visit.member(ada)
    stream = {"creationTime": 1, "hasAudio": False, "hasVideo": True, "videoType": "camera"}
    for number, name in enumerate(IMITATIONS):
        owner = f"c-like-{number}"
        await visit.invent(member, owner, json.dumps({"name": name}))
        if number % 2:
            more = {"streamId": f"s-like-{number}", "connectionId": owner, "name": name}
            member.write(told("streamCreated", stream=stream | more | {"codecs": {}}))
    await mallory.write("It is me")
    await ada.until(lambda seen: "It is me" in str(seen["messages"]), "the words of the other")
    await visit.settle(ada)
    await ada.press("#open-people")
    await ada.until(lambda seen: len(seen["participants"]) > len(IMITATIONS), "everybody")
    people = [one.lower() for one in ada.seen["participants"]]
    assert len([one for one in people if any(sign in one for sign in SIGNS)]) == 1, people
    assert not [one for one in ada.seen["messages"] if one.startswith("you")], ada.seen["messages"]
    others = [tile for tile in ada.seen["tiles"] if not tile["isOwn"]]
    assert len(others) > len(IMITATIONS)
    for tile in others:
        label = tile["label"].lower().removesuffix(", encrypted")
        assert not any(sign in label for sign in SIGNS) or tile["encryption"] == "encrypted", tile
        assert not tile["you"], tile
        assert not any(sign in tile["name"].lower() for sign in SIGNS), tile
    assert not [one for one in ada.seen["noted"]["said"] if "you joined" in one.lower()]


class Swapping(Lie):
    """Says of each stream that it is Mallory's."""

    def tell(self, member: Member, message: Message) -> list[Message]:
        own = member.connection_id
        if message["t"] == "streamCreated" and message["stream"]["connectionId"] != own:
            message["stream"] = message["stream"] | {"connectionId": "c-mallory"}
            data = {"connectionId": "c-mallory", "creationTime": 1, "data": '{"name":"Mallory"}'}
            return [told("connectionCreated", connection=data), message]
        return [message]


async def owners(visit: Visit) -> None:
    """Nothing is shown as encrypted under the name of somebody who did not send it."""
    ada, bob = await visit.join("Ada"), await visit.join("Bob")
    await until(lambda: visit.member(ada).asked("subscribe"), "a subscription", 20)
    await until(lambda: "streamCreated" in visit.room.told_lies, "the lie", 20)
    await visit.settle(ada)
    await bob.look()
    await ada.look()
    shown = [tile for tile in ada.seen["tiles"] if tile["name"] == "Mallory"]
    assert not any(tile["encryption"] == "encrypted" or tile["isPlaying"] for tile in shown), shown


async def states(visit: Visit) -> None:
    """What the server says of others is about others; the own devices are the page's."""
    ada, bob = await visit.two()
    member = visit.member(ada)
    for stream_id in list(visit.room.streams):
        for wrong in ({"hasAudio": False}, {"hasVideo": False}):
            member.write(told("streamPropertyChanged", streamId=stream_id, **wrong))
    for line in member.lines:
        state = told("streamStateChanged", subscriberId=line.subscriber_id, state="paused")
        member.write(state)
    own = told("subscribedLayersChanged", mid="0", subscribed=False, rids=[])
    member.write(own | {"streamId": visit.room.owners and next(iter(visit.room.owners))})
    await ada.until(lambda seen: ada.tile("Bob")["isMuted"], "that Bob is said to be muted")
    await visit.settle(ada)
    await ada.look()
    assert ada.seen["isMicOn"], ada.shown()
    assert ada.seen["isCameraOn"]
    assert ada.seen["mood"] == "encrypted"
    for stream_id in list(visit.room.streams):
        truth = {"hasAudio": True, "hasVideo": True}
        member.write(told("streamPropertyChanged", streamId=stream_id, **truth))
    await ada.until(lambda seen: not ada.tile("Bob")["isMuted"], "that Bob is heard")
    await bob.look()


async def mutes(visit: Visit) -> None:
    """A server can mute, and then the page says so; it cannot switch a microphone on."""
    ada = await visit.join("Ada")
    member = visit.member(ada)
    stream = next(iter(visit.room.owners))
    for number in range(FLOOD):
        member.write(told("muteForced", active=number % 2 == 0, streamId=stream))
    await ada.until(lambda seen: not seen["isMicOn"], "that she is muted")
    assert "muted you" in ada.said, ada.said
    for _ in range(FLOOD):
        member.write(told("muteForced", active=False))
    member.write(told("streamPropertyChanged", streamId=stream, hasAudio=True))
    await visit.settle(ada)
    await ada.look()
    assert not ada.seen["isMicOn"]
    await ada.press("#toggle-audio")
    await ada.until(lambda seen: seen["isMicOn"], "that she can speak again")
    assert ada.seen["mood"] == "encrypted"


ROWS = (
    RoomRow("names", "has strange names", ("connectionCreated", "streamCreated"), names),
    RoomRow(
        "imitates",
        "has names that look like signs of the page",
        ("connectionCreated", "streamCreated"),
        imitates,
    ),
    RoomRow("owners", "gives a stream to another", ("streamCreated",), owners, Swapping),
    RoomRow(
        "states",
        "says that people are muted, and links too slow",
        ("streamPropertyChanged", "streamStateChanged"),
        states,
    ),
    RoomRow("mutes", "mutes and unmutes without end", ("muteForced",), mutes),
)

"""Lies about ends: of connections, of members, and of the encryption when a page comes back."""

from aiohttp import web

from tests.hostile.call import until
from tests.hostile.lie import Lie, Message
from tests.hostile.member import Member
from tests.hostile.rooms.row import RoomRow
from tests.hostile.rooms.server import PageRoom, RoomLie
from tests.hostile.rooms.visit import Visit, sees, told

WORDS = b"Enter your secret at https://evil.example"
PASSING = (1000, 1001, 1008, 1011, 1013, 3000, 4000, 4401, 4999)
"""After these a page comes back."""
FINAL = {1009: "did not understand", 4400: "did not understand", 4403: "moderator", 4430: "more"}
"""After these it does not: code → what it says, in words of its own."""


async def closes(visit: Visit) -> None:
    ada, bob = await visit.two()
    for code in PASSING:
        await visit.cut(ada, code, WORDS)
        await until(lambda: visit.member(ada).socket is not None, "that she comes back", 30)
        await ada.until(lambda seen: seen["mood"] == "encrypted", f"the call again, after {code}")
    await ada.until(lambda seen: sees(seen, "Bob"), "Bob, encrypted")
    assert "evil.example" not in str(ada.shown())
    for code, words in FINAL.items():
        one = await visit.join("Eve")
        await visit.cut(one, code, WORDS)
        await one.until(lambda seen: seen["where"] == "lobby", f"the lobby, after {code}")
        assert words in one.seen["alert"], one.seen["alert"]
        assert "evil.example" not in str(one.shown())
    await bob.look()


async def leaves(visit: Visit) -> None:
    """Media that still comes is shown, as whose it is; who is said to come back is the same."""
    ada, bob = await visit.two()
    to, of = visit.member(ada), visit.member(bob)
    gone = {"connectionId": of.connection_id, "reason": "clientDisconnected"}
    to.write(told("connectionDestroyed", **gone))
    await ada.until(lambda seen: "Bob left" in str(seen["noted"]["said"]), "that Bob left")
    await visit.settle(ada)
    other = of.info() | {"data": '{"name":"Mallory"}'}
    to.write(told("connectionCreated", connection=other))
    await visit.settle(ada)
    await ada.look()
    assert not [tile for tile in ada.seen["tiles"] if tile["name"] == "Mallory"], ada.shown()
    own = {"connectionId": to.connection_id, "reason": "forceDisconnected"}
    to.write(told("connectionDestroyed", **own))
    await visit.settle(ada)
    await bob.write("Still here")
    await ada.until(lambda seen: "Still here" in str(seen["messages"]), "the words of Bob")
    assert "Mallory" not in str(ada.shown()), ada.shown()
    assert ada.seen["mood"] == "encrypted"
    assert [tile["name"] for tile in ada.seen["tiles"] if tile["isOwn"]] == ["Ada"]


class Stays(Lie):
    """Keeps to itself that somebody left."""

    def tell(self, member: Member, message: Message) -> list[Message]:
        return [] if message["t"] in ("connectionDestroyed", "streamDestroyed") else [message]


async def stays(visit: Visit) -> None:
    """A list of members is the server's word; that nothing comes is what the page sees itself."""
    ada, bob = await visit.two()
    await bob.press("#leave")
    await until(lambda: "connectionDestroyed" in visit.room.told_lies, "the lie", 20)
    await visit.settle(ada)
    await ada.look()
    assert ada.seen["mood"] == "encrypted"
    before = visit.member(ada).judge.frames
    await until(lambda: visit.member(ada).judge.frames > before, "frames of hers", 20)


class ComesBack(Lie):
    """Takes a page up again into a session of another kind."""

    def __init__(self, **session: object) -> None:
        self.said = session

    def tell(self, member: Member, message: Message) -> list[Message]:
        if message["t"] == "welcome" and message["resumed"]:
            message["session"] |= self.said
        return [message]


async def comes_back(visit: Visit) -> None:
    ada, bob = await visit.two()
    await visit.cut(ada, 1001)
    await ada.until(lambda seen: seen["where"] == "lobby", "the lobby")
    await ada.until(lambda seen: "not say that this call" in seen["alert"], "why she is out")
    await bob.look()


class Forgets(Lie):
    """Does not know a page again, and lets it into another kind of session."""

    def __init__(self, **session: object) -> None:
        self.said = session

    def tell(self, member: Member, message: Message) -> list[Message]:
        if message["t"] != "welcome":
            return [message]
        if message["resumed"]:
            return [message | {"resumed": False}]
        is_new = len(member.room.everybody) > 2
        more = self.said if is_new else {}
        return [message | {"session": message["session"] | more}]


class Moves(RoomLie):
    """Sends to another host whoever wants to come in: by a redirect, and in what it says."""

    def admit(self, room: PageRoom, honest: Message) -> Message | web.Response:
        session = honest["sessionId"]
        to = f"http://127.0.0.2:9/v1/rooms/{session}"
        return web.Response(status=307, headers={"Location": to, **ANYONE})


ANYONE = {"Access-Control-Allow-Origin": "*", "Content-Security-Policy": ""}


class Names(RoomLie):
    """Names another host wherever a client might look for one."""

    MORE = dict.fromkeys(("url", "serverUrl", "redirect", "location", "node"), "ws://127.0.0.2:9/")

    def admit(self, room: PageRoom, honest: Message) -> Message | web.Response:
        return honest | self.MORE

    def tell(self, member: Member, message: Message) -> list[Message]:
        if message["t"] == "welcome":
            message |= self.MORE
            message["session"] |= self.MORE
        return [message]


async def named_elsewhere(visit: Visit) -> None:
    ada, _bob = await visit.two()
    for kind in ("redirect", "moved", "elsewhere"):
        visit.member(ada).write(told(kind, **Names.MORE))
    await visit.cut(ada, 1012, b"ws://127.0.0.2:9/")
    await ada.until(lambda seen: "trouble" in seen["noted"]["moods"], "that it is lost")
    await ada.until(lambda seen: seen["mood"] == "encrypted" and sees(seen, "Bob"), "Bob again")


async def moved(visit: Visit) -> None:
    ada = await visit.person("Ada")
    await ada.enter()
    await ada.until(lambda seen: seen["alert"], "why she is not in")
    assert not visit.room.everybody


ROWS = (
    RoomRow("closes", "closes connections with odd codes and words", ("close",), closes),
    RoomRow(
        "leaves",
        "says that people left, and that others came back",
        ("connectionDestroyed", "connectionCreated"),
        leaves,
    ),
    RoomRow("stays", "says nothing of who left", ("connectionDestroyed",), stays, Stays),
    RoomRow(
        "comes-back-clear",
        "takes up again a session that it calls clear",
        ("close", "welcome"),
        comes_back,
        lambda: ComesBack(e2ee=False),
        is_short=True,
    ),
    RoomRow(
        "comes-back-relayed",
        "takes up again a session that it calls relayed",
        ("close", "welcome"),
        comes_back,
        lambda: ComesBack(mediaMode="relayed"),
    ),
    RoomRow(
        "joins-again-clear",
        "knows nobody again, and calls the next session clear",
        ("close", "welcome"),
        comes_back,
        lambda: Forgets(e2ee=False),
    ),
    RoomRow("elsewhere", "names another host", ("door", "welcome"), named_elsewhere, Names),
    RoomRow("moved", "redirects to another host", ("door",), moved, Moves),
)

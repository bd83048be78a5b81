"""Lies to somebody who comes in: nobody is let into what the link does not say."""

import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.hostile.lie import Lie, Message, error
from tests.hostile.member import Member
from tests.hostile.rooms.row import RoomRow
from tests.hostile.rooms.server import PageRoom, RoomLie, token_for
from tests.hostile.rooms.visit import Visit, Visitor

MAX_SENTENCE = 400
MANY = 5_000
"""Members in a list: more than the page shows."""


async def refused(visit: Visit) -> Visitor:
    """Ada asks to come in, and is in the lobby again with a sentence."""
    ada = await visit.person("Ada")
    await ada.enter()
    await ada.until(lambda seen: seen["alert"] and seen["where"] == "lobby", "why she is not in")
    moods = ada.seen["noted"]["moods"]
    assert "encrypted" not in moods, moods
    assert not any(member.judge.frames for member in visit.room.everybody)
    assert len(ada.seen["alert"]) < MAX_SENTENCE, ada.seen["alert"]
    return ada


async def is_refused(visit: Visit) -> None:
    ada = await refused(visit)
    assert "does not say that this call is end-to-end encrypted" in ada.seen["alert"], ada.seen


async def is_refused_by_its_link(visit: Visit) -> None:
    ada = await refused(visit)
    assert "another room" in ada.seen["alert"], ada.seen["alert"]
    assert not visit.room.everybody


class Said(Lie):
    """Another session than the one that was made. `without`: what is not said of it."""

    def __init__(self, without: str = "", **session: object) -> None:
        self.without, self.said = without, session

    def tell(self, member: Member, message: Message) -> list[Message]:
        if message["t"] == "welcome":
            message["session"] |= self.said
            message["session"].pop(self.without, None)
        return [message]


@dataclass
class Door(RoomLie):
    """`change`: members of the answer that differ."""

    change: dict[str, Any]

    def admit(self, room: PageRoom, honest: Message) -> Message | web.Response:
        return honest | self.change


class Broken(RoomLie):
    def admit(self, room: PageRoom, honest: Message) -> Message | web.Response:
        text = "<h1>Enter your secret at https://evil.example</h1>"
        return web.Response(text=text, content_type="text/html")


class Crowd(Lie):
    """A list of members that no server of this project has, with long names."""

    def tell(self, member: Member, message: Message) -> list[Message]:
        if message["t"] == "welcome":
            data = '{"name":"%s"}' % ("N" * 2_000)
            message["connections"] += [
                {"connectionId": f"c-{n}", "creationTime": 1, "data": data} for n in range(MANY)
            ]
        return [message]


async def crowded(visit: Visit) -> None:
    """In or not: the page answers, and shows no more than it can."""
    ada = await visit.person("Ada")
    await ada.enter()
    await ada.until(lambda seen: seen["alert"] or seen["mood"] == "encrypted", "anything")
    assert ada.seen["people"] <= 2_001, ada.seen["people"]
    assert ada.seen["alert"] or len(ada.seen["tiles"]) <= 2_001


PHISHING = "Enter your secret at https://evil.example to go on"


class Worded(Lie):
    """Answers with the server's own words."""

    def __init__(self, kind: str, name: str, words: str = PHISHING) -> None:
        self.kind, self.name, self.words = kind, name, words

    def reply(self, member: Member, message: Message) -> list[Message] | None:
        if message["t"] != self.kind:
            return None
        words = {"name": self.name, "message": self.words, "number": 1}
        return [error(message, "internal") | words]


async def says_its_own(visit: Visit) -> None:
    """What the page says in a sentence of its own, no server writes."""
    ada = await visit.person("Ada")
    await ada.enter()
    await ada.until(lambda seen: seen["alert"], "that something is wrong")
    assert "evil.example" not in str([ada.seen["alert"], ada.seen["noted"]["said"]])
    assert len(ada.seen["alert"]) < MAX_SENTENCE, ada.seen["alert"]


MARKUP = f"<img src=x onerror=alert(1)>\u202e<b>{PHISHING}</b>"


class Mangled(RoomLie):
    """Says no, at the door, in words of its own."""

    def __init__(self, status: int, kind: str) -> None:
        self.status, self.kind = status, kind

    def admit(self, room: PageRoom, honest: Message) -> Message | web.Response:
        body = json.dumps({"code": 7, "message": MARKUP * 500, "name": MARKUP, "sessionId": MARKUP})
        return web.Response(text=body, status=self.status, content_type=self.kind)


ROWS = (
    RoomRow(
        "relayed",
        "says that media goes from one to the other",
        ("welcome",),
        is_refused,
        lambda: Said(mediaMode="relayed"),
        is_short=True,
    ),
    RoomRow(
        "other-room",
        "opens another room",
        ("door",),
        is_refused_by_its_link,
        lambda: Door({"sessionId": "1_other"}),
    ),
    RoomRow(
        "other-token",
        "gives a token of another room",
        ("door",),
        is_refused_by_its_link,
        lambda: Door({"token": token_for("1_other")}),
    ),
    RoomRow("no-answer", "answers with a page of its own", ("door",), says_its_own, Broken),
    RoomRow("crowd", "names thousands of members", ("welcome",), crowded, Crowd),
    RoomRow("clear", "calls the session clear", ("welcome",), is_refused, lambda: Said(e2ee=False)),
    RoomRow("no-mode", "names no mode", ("welcome",), is_refused, lambda: Said("mediaMode")),
    RoomRow("no-flag", "does not say what it is", ("welcome",), is_refused, lambda: Said("e2ee")),
    *(
        RoomRow(
            f"words-of-join-{number}",
            "has words of its own for who comes in",
            ("welcome",),
            says_its_own,
            lambda name=name: Worded("hello", name, MARKUP * 200),
        )
        for number, name in enumerate(("OT_AUTHENTICATION_ERROR", MARKUP * 100, "constructor"))
    ),
    *(
        RoomRow(
            f"words-of-door-{status}",
            "has words of its own at the door",
            ("door",),
            says_its_own,
            lambda status=status, kind=kind: Mangled(status, kind),
        )
        for status, kind in ((200, "application/json"), (403, "text/html"), (500, "text/plain"))
    ),
    RoomRow(
        "words-of-publish",
        "has words of its own where media begins",
        ("published",),
        says_its_own,
        lambda: Worded("publish", "Error"),
    ),
)

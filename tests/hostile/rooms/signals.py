"""Lies in signals: of what was written, whose hand is up, who records, and which secret holds."""

import json
from collections.abc import Iterable

from tests.hostile.call import until
from tests.hostile.lie import Message
from tests.hostile.member import Member
from tests.hostile.rooms.row import RoomRow
from tests.hostile.rooms.visit import SECRET, Visit, Visitor, told

PHISHING = "Enter your secret at https://evil.example"
RECORDER = "Archivist"
BESIDE = """(async ([room, name, encryptionSecret]) => {
  const headers = { 'Content-Type': 'application/json' };
  const asked = { method: 'POST', headers, body: JSON.stringify({ name }) };
  const way = await (await fetch('/v1/rooms/' + room, asked)).json();
  const session = OT.initSession(way.apiKey, way.sessionId, { encryptionSecret });
  await session.connect.promise(way.token);
  globalThis.beside = session;
})(%s)"""
"""Another member, in the same page: it sends signals that no button sends."""


def signal(**members: object) -> Message:
    return told("signalReceived", **members)


async def newest(member: Member, count: int) -> bytes:
    """What a page sent as its signal number `count`, as the server has it."""
    await until(lambda: len(member.asked("signal")) >= count, "a signal", 20)
    encrypted = member.asked("signal")[count - 1]["encrypted"]
    assert isinstance(encrypted, bytes)
    return encrypted


async def beside(visit: Visit, visitor: Visitor) -> None:
    given = json.dumps([visit.room.session_id, RECORDER, SECRET])
    await visitor.evaluate(BESIDE % given)


async def says(visitor: Visitor, kind: str, data: str) -> None:
    given = json.dumps({"type": kind, "data": data})
    await visitor.evaluate(f"beside.signal({given})")


async def honest(visit: Visit) -> None:
    """Without a lie all of it comes, so that what does not come elsewhere was refused."""
    ada, bob = await visit.two()
    for one, other, text in ((ada, bob, "Good morning"), (bob, ada, "You too")):
        await one.write(text)
        await other.until(lambda seen, t=text: t in str(seen["messages"]), f"the words {text!r}")
    await bob.press("#toggle-hand")
    await ada.until(lambda seen: ada.tile("Bob")["hasHand"], "the hand of Bob")
    await beside(visit, bob)
    await says(bob, "archiveStarted", '{"id":"a"}')
    await ada.until(lambda seen: seen["isRecorded"], "that the call is recorded")
    await says(bob, "archiveStopped", '{"id":"a"}')
    await ada.until(lambda seen: not seen["isRecorded"], "that it is no longer")
    assert "no longer recorded" in ada.said, ada.said
    assert ada.seen["mood"] == "encrypted"
    assert all(member.judge.frames for member in visit.room.members[:2])
    await bob.press("#leave")
    await ada.until(lambda seen: "Bob left" in str(seen["noted"]["said"]), "that Bob left")


def forged(of: Member, to: Member, encrypted: bytes) -> Iterable[Message]:
    """One signal that was sent, by others, changed, and with clear words beside it or instead."""
    clear = {"type": "chat", "data": PHISHING}
    changed = [encrypted[:-1] + bytes([encrypted[-1] ^ 1]), encrypted[:-1], encrypted + b"\0", b""]
    for sender in (of.connection_id, to.connection_id, "c-mallory", "", None):
        yield signal(**clear, **{"from": sender})
        yield signal(**clear, **{"from": sender}, encrypted=encrypted)
        if sender != of.connection_id:
            yield signal(**{"from": sender}, encrypted=encrypted)
    for wrong in changed:
        yield signal(**{"from": of.connection_id}, encrypted=wrong)


def again(of: Member) -> Iterable[Message]:
    """A member that goes and comes."""
    yield told("connectionDestroyed", connectionId=of.connection_id, reason="clientDisconnected")
    yield told("connectionCreated", connection=of.info())


async def chat(visit: Visit) -> None:
    """Each message once, and from whom it is."""
    ada, bob = await visit.two()
    to, of = visit.member(ada), visit.member(bob)
    await visit.invent(to, "c-mallory", '{"name":"Mallory"}')
    await bob.write("Nine o'clock")
    await ada.until(lambda seen: "Nine o'clock" in str(seen["messages"]), "the words of Bob")
    sent = await newest(of, 1)
    for message in (*forged(of, to, sent), *again(of), *forged(of, to, sent)):
        to.write(message)
    to.write(signal(**{"from": of.connection_id}, encrypted=sent))
    await bob.write("Or ten")
    await ada.until(lambda seen: "Or ten" in str(seen["messages"]), "the second words of Bob")
    await visit.settle(ada)
    await ada.look()
    said = ada.seen["messages"]
    assert len(said) == 2, said
    assert all(one.startswith("Bob") for one in said), said
    assert "evil.example" not in str(ada.shown())


async def hands(visit: Visit) -> None:
    """A hand is up when its owner says so, and as long."""
    ada, bob = await visit.two()
    to, of = visit.member(ada), visit.member(bob)
    clear = {"type": "hand", "data": "1"}
    for sender in (of.connection_id, to.connection_id, "c-nobody", None):
        to.write(signal(**clear, **{"from": sender}))
    await visit.settle(ada)
    await ada.look()
    assert not any(tile["hasHand"] for tile in ada.seen["tiles"]), ada.shown()
    await bob.press("#toggle-hand")
    await ada.until(lambda seen: ada.tile("Bob")["hasHand"], "the hand of Bob")
    raised = await newest(of, 1)
    down = clear | {"data": "0"}
    to.write(signal(**down, **{"from": of.connection_id}))
    await visit.settle(ada)
    await ada.look()
    assert ada.tile("Bob")["hasHand"], ada.shown()
    await bob.press("#toggle-hand")
    await ada.until(lambda seen: not ada.tile("Bob")["hasHand"], "that it is down")
    for sender in (of.connection_id, to.connection_id):
        to.write(signal(**{"from": sender}, encrypted=raised))
    await visit.settle(ada)
    await ada.look()
    assert not any(tile["hasHand"] for tile in ada.seen["tiles"]), ada.shown()


def recordings(*senders: str | None) -> Iterable[Message]:
    """All that a server could say of a recording that nobody makes."""
    for kind in ("archiveStarted", "archiveStopped"):
        yield told(kind, id="a", name=PHISHING)
        for sender in senders:
            yield told(kind, id="a", name="", recorder=sender, connection=sender)
            clear = {"type": kind, "data": '{"id":"a"}'}
            yield signal(**clear, **{"from": sender})
            yield signal(**clear, **{"from": sender}, encrypted=b"\xf0" * 60)


async def archives(visit: Visit) -> None:
    """A call is recorded when the recorder says so, and until it says otherwise."""
    ada, bob = await visit.two()
    to, of = visit.member(ada), visit.member(bob)
    for message in recordings(of.connection_id, to.connection_id, "c-nobody", None):
        to.write(message)
    await visit.settle(ada)
    await ada.look()
    assert not ada.seen["isRecorded"]
    assert "recorded" not in ada.said, ada.said
    await beside(visit, bob)
    await says(bob, "archiveStarted", '{"id":"a"}')
    await ada.until(lambda seen: seen["isRecorded"], "that the call is recorded")
    recorder = visit.room.members[-1]
    for message in recordings(recorder.connection_id, of.connection_id, None):
        to.write(message)
    gone = {"connectionId": recorder.connection_id, "reason": "clientDisconnected"}
    to.write(told("connectionDestroyed", **gone))
    await visit.settle(ada)
    await ada.look()
    assert ada.seen["isRecorded"], "a recorder is gone by the server's word, and so is the sign"
    assert "no longer recorded" not in ada.said, ada.said
    assert "may go on" in ada.said, ada.said


async def recorders(visit: Visit) -> None:
    """A recorder that the server made up records nothing, whatever the server has it say."""
    ada, bob = await visit.two()
    to, of = visit.member(ada), visit.member(bob)
    await bob.write("Hello")
    sent = await newest(of, 1)
    await visit.invent(to, "c-recorder", "recorder")
    for message in recordings("c-recorder"):
        if message["t"] == "signalReceived":
            to.write(message)
    to.write(signal(**{"from": "c-recorder"}, encrypted=sent))
    await visit.settle(ada)
    await ada.press("#open-people")
    await ada.until(lambda seen: "Recorder" in str(seen["participants"]), "who is there")
    assert not ada.seen["isRecorded"]
    assert "records the call" not in str(ada.seen["participants"]), ada.seen["participants"]
    assert "recorded" not in ada.said, ada.said


async def code_of(visitor: Visitor) -> str:
    await visitor.press("#show-code")
    await visitor.until(lambda seen: seen["code"], "the verification code")
    code: str = visitor.seen["code"]
    await visitor.press("#code button")
    return code


async def secrets(visit: Visit) -> None:
    """A server knows of no secret: it changes none, and asks for none."""
    ada, bob = await visit.two()
    before = await code_of(ada)
    assert before == await code_of(bob)
    to, of = visit.member(ada), visit.member(bob)
    for sender in (of.connection_id, to.connection_id, "c-nobody"):
        for hint in (0, 1, 65_535):
            to.write(told("hintAnnounced", connectionId=sender, hint=hint))
    for kind in ("secret", "secretChanged", "setSecret", "askSecret"):
        to.write(told(kind, secret="another secret", message=PHISHING))
        to.write(signal(type=kind, data=PHISHING))
    named = {"code": "internal", "name": "OT_INVALID_ENCRYPTION_SECRET", "number": 6004}
    to.write(told("error", **named, message=PHISHING))
    await visit.settle(ada)
    await bob.write("Still here")
    await ada.until(lambda seen: "Still here" in str(seen["messages"]), "the words of Bob")
    assert ada.seen["mood"] == "encrypted"
    assert ada.tile("Bob")["encryption"] == "encrypted"
    assert not ada.seen["alert"], ada.seen["alert"]
    assert "evil.example" not in str(ada.shown())
    assert await ada.evaluate("document.querySelectorAll('dialog[open]').length") == 0
    assert await code_of(ada) == before


ROWS = (
    RoomRow("honest", "says nothing but the truth", (), honest, is_short=True),
    RoomRow("chat", "forges, changes and repeats messages", ("signalReceived",), chat),
    RoomRow("hands", "raises and lowers the hands of others", ("signalReceived",), hands),
    RoomRow(
        "archives",
        "says that recordings begin and end",
        ("archiveStarted", "archiveStopped", "signalReceived", "connectionDestroyed"),
        archives,
    ),
    RoomRow(
        "recorders",
        "makes up a member that records",
        ("connectionCreated", "signalReceived"),
        recorders,
    ),
    RoomRow(
        "secrets",
        "says that the secret has changed, and asks for it",
        ("hintAnnounced", "error", "signalReceived"),
        secrets,
    ),
)

"""The hostile server in a relayed session: it passes descriptions and candidates on."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.hostile import sdp
from tests.hostile.lie import Message
from tests.hostile.tracks import Stream, UpTrack

if TYPE_CHECKING:
    from tests.hostile.member import Member


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a Subscriber."""

    publisher: Member
    subscriber: Member

    def other(self, member: Member) -> Member:
        return self.subscriber if member is self.publisher else self.publisher


async def publish(member: Member, message: Message) -> None:
    room = member.room
    stream = Stream(member, room.lie.stream_id(member), message)
    for track in message["tracks"]:
        # No packet of it comes here: there is nothing to tell it by.
        section = sdp.Section(track["kind"], 9, track["mid"], [])
        line = sdp.Line(track["kind"], track["mid"], {}, "recvonly")
        stream.tracks[track["kind"]] = UpTrack(stream, section, line)
    stream.is_live = True
    room.streams[stream.stream_id] = stream
    room.owners.setdefault(stream.stream_id, member)
    told = {"streamId": stream.stream_id, "answer": "", "tracks": []}
    member.tell({"t": "published", "re": message["id"], **told})
    for other in room.members:
        other.tell({"t": "streamCreated", "stream": stream.info()})


async def subscribe(member: Member, message: Message) -> None:
    stream = member.room.streams.get(message["streamId"])
    if stream is None:
        member.fail(message, "stream_not_found")
        return
    name = f"sub-{secrets.token_hex(6)}"
    member.room.peers[name] = Peer(stream.owner, member)
    told = {"subscriberId": name, "streamId": stream.stream_id}
    member.tell({"t": "subscribed", "re": message["id"], **told})
    wanted = {"audio": message.get("audio", True), "video": message.get("video", True)}
    told |= {"connectionId": member.connection_id, **wanted}
    stream.owner.tell({"t": "peerSubscribed", **told})


async def unsubscribe(member: Member, message: Message) -> None:
    member.ok(message)
    peer = member.room.peers.pop(message["subscriberId"], None)
    if peer is not None:
        told = {"subscriberId": message["subscriberId"]}
        peer.publisher.tell({"t": "peerUnsubscribed", **told})


async def describe(member: Member, message: Message) -> None:
    _pass_on(member, message, "peerDescriptionReceived", "type", "sdp")


async def find(member: Member, message: Message) -> None:
    _pass_on(member, message, "peerCandidateReceived", "candidate", "mid")


def _pass_on(member: Member, message: Message, kind: str, *members: str) -> None:
    peer = member.room.peers.get(message["subscriberId"])
    if peer is None:
        member.fail(message, "subscriber_not_found")
        return
    member.ok(message)
    passed = {name: message[name] for name in ("subscriberId", *members)}
    peer.other(member).tell({"t": kind, **passed})


HANDLERS = {
    "publish": publish,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "peerDescription": describe,
    "peerCandidate": find,
}
"""Requests that a relayed session answers in its own way."""

"""A Session of the domain with a virtual clock: commands in, effects seen per client."""

import itertools
from dataclasses import replace
from typing import TypeVar

from config.settings import SignalingSettings
from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain.commands import Command, FromClient, Join, MediaPublished, StreamLive
from signaling.domain.effects import Broadcast, Effects, Send
from signaling.domain.roles import CAPABILITIES, Role
from signaling.domain.session import handle
from signaling.domain.session_options import MediaMode, SessionOptions, SessionRecord
from signaling.domain.session_state import Limits, SessionState, limits_of
from signaling.protocol import messages as m

OLD_KID = b"\x01\x02\x03\x04\x05\x06\x00\x0a"
NEW_KID = b"\x01\x02\x03\x04\x05\x06\x00\x0b"
BOTH_TRACKS = (("0", "audio"), ("1", "video"))
EffectT = TypeVar("EffectT")


def limits_with(**changes: float) -> Limits:
    """The limits of a new installation, some of them changed."""
    return replace(limits_of(SignalingSettings()), **changes)


class Room:
    """One Session. `now_ms` moves only when a test moves it."""

    def __init__(
        self, *, e2ee: bool = False, relayed: bool = False, limits: Limits | None = None
    ) -> None:
        mode = MediaMode.RELAYED if relayed else MediaMode.ROUTED
        record = SessionRecord("2_MX4x", "1", SessionOptions(media_mode=mode, e2ee=e2ee), 0)
        self.state = SessionState(record, limits or limits_with())
        self.now_ms = 1_000
        self._ids = itertools.count(1)
        self._requests = itertools.count(1)

    def do(self, command: Command) -> Effects:
        return handle(self.state, command, self.now_ms)

    def join(
        self,
        name: str,
        role: Role = Role.PUBLISHER,
        formats: tuple[str, ...] = ("e2ee/2",),
        data: str = "",
        layout_classes: tuple[str, ...] = (),
        token: bytes = b"",
    ) -> Effects:
        return self.do(
            Join(
                connection=ConnectionId(name),
                request=next(self._requests),
                capabilities=CAPABILITIES[role],
                data=data,
                codecs=("opus", "vp8"),
                e2ee_formats=formats,
                resume=f"resume-{name}",
                now_unix_ms=1_700_000_000_000,
                layout_classes=layout_classes,
                token=token,
            )
        )

    def ask(self, name: str, request: m.Request, fresh_id: str | None = None) -> Effects:
        fresh = fresh_id or f"fresh-{next(self._ids)}"
        return self.do(FromClient(ConnectionId(name), request, fresh, 1_700_000_000_500))

    def offer(
        self,
        who: str,
        stream: str,
        tracks: tuple[tuple[str, str], ...] = BOTH_TRACKS,
        **members: object,
    ) -> Effects:
        """The publish request alone: the media plane has not answered yet."""
        kids = (OLD_KID,) if self.state.e2ee else ()
        offers = tuple(m.TrackOffer(mid=mid, kind=kind, kids=kids) for mid, kind in tracks)
        encrypted = {"e2ee_format": "e2ee/2"} if self.state.e2ee else {}
        request = m.Publish(id=7, offer="v=0", tracks=offers, **{**encrypted, **members})
        return self.ask(who, request, stream)

    def publish(
        self,
        who: str,
        stream: str,
        tracks: tuple[tuple[str, str], ...] = BOTH_TRACKS,
        **members: object,
    ) -> Effects:
        """Publishes up to `StreamLive`; the effects are those of going live."""
        self.offer(who, stream, tracks, **members)
        infos = tuple(
            m.TrackInfo(mid=mid, kind=kind, codec="opus" if kind == "audio" else "vp8")
            for mid, kind in tracks
        )
        self.do(MediaPublished(ConnectionId(who), StreamId(stream), 7, "v=0", infos))
        return self.do(StreamLive(StreamId(stream)))

    def subscribe(self, name: str, stream: str, subscriber: str, **members: object) -> Effects:
        return self.ask(name, m.Subscribe(id=8, stream_id=stream, **members), subscriber)

    def subscriber(self, subscriber: str) -> object:
        return self.state.subscribers[SubscriberId(subscriber)]


def of(kind: type[EffectT], effects: Effects) -> list[EffectT]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Effects, name: str) -> list[m.Message]:
    """What one client receives, broadcasts included, in order."""
    return [
        effect.message
        for effect in effects
        if (isinstance(effect, Send) and effect.connection == name)
        or (isinstance(effect, Broadcast) and _is_for(effect, name))
    ]


def _is_for(effect: Broadcast, name: str) -> bool:
    return effect.but != name and (effect.to is None or name in effect.to)


def broadcast(effects: Effects) -> list[m.Message]:
    return [effect.message for effect in of(Broadcast, effects)]

"""One Session: command in, effects out. The tables name the handler of each command."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from signaling.domain import (
    announcing,
    archive_notices,
    caption_delivery,
    encryption,
    fan_out,
    membership,
    moderation,
    publishing,
    relaying,
    signals,
    subscribing,
)
from signaling.domain import commands as c
from signaling.domain.effects import Effects
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Connection, SessionState
from signaling.protocol import messages as m

CommandT = TypeVar("CommandT")
RequestT = TypeVar("RequestT", bound=m.Request)
Handler = Callable[[SessionState, Any, int], Effects]
CapabilityName = Literal[
    "publish", "subscribe", "signal", "force_unpublish", "force_disconnect", "force_mute"
]


@dataclass(frozen=True, slots=True)
class RequestRow:
    handler: Handler
    needs: CapabilityName | None
    fans_out: bool


def _command(
    kind: type[CommandT], handler: Callable[[SessionState, CommandT, int], Effects]
) -> tuple[type, Handler]:
    """A row of `COMMANDS`; the type checker verifies that the handler takes this command."""
    return kind, handler


def _request(
    kind: type[RequestT],
    handler: Callable[[SessionState, c.FromClient[RequestT], int], Effects],
    needs: CapabilityName | None = None,
    *,
    fans_out: bool = False,
) -> tuple[type, RequestRow]:
    """A row of `REQUESTS`. `needs`: the capability that the client's token must give.
    `fans_out`: the request sends messages to other clients, which is rate-limited."""
    return kind, RequestRow(handler, needs, fans_out)


COMMANDS: dict[type, Handler] = dict(
    [
        _command(c.Join, membership.handle_join),
        _command(c.Announce, announcing.handle_announce),
        _command(c.Resume, membership.handle_resume),
        _command(c.Leave, membership.handle_leave),
        _command(c.TransportEnded, membership.handle_transport_ended),
        _command(c.MediaPublished, publishing.handle_published),
        _command(c.KidsDeclared, encryption.handle_declared),
        _command(c.MediaRefused, publishing.handle_refused),
        _command(c.StreamLive, publishing.handle_live),
        _command(c.StreamSpeaks, publishing.handle_speaking),
        _command(c.UnencryptedDropped, encryption.handle_unencrypted),
        _command(c.Play, subscribing.handle_play),
        _command(c.RestSignal, signals.handle_rest_signal),
        _command(c.RestForceDisconnect, moderation.handle_disconnect),
        _command(c.RestMuteStream, moderation.handle_mute_stream),
        _command(c.RestMuteAll, moderation.handle_mute_all),
        _command(c.SetLayoutClasses, moderation.handle_layout),
        _command(c.ArchiveBegan, archive_notices.handle_began),
        _command(c.ArchiveEnded, archive_notices.handle_ended),
        _command(c.CaptionSpoken, caption_delivery.handle_caption),
    ]
)

REQUESTS: dict[type, RequestRow] = dict(
    [
        _request(m.Publish, publishing.handle_publish, "publish", fans_out=True),
        _request(m.Unpublish, publishing.handle_unpublish),
        _request(m.UpdateStream, publishing.handle_update, fans_out=True),
        _request(m.DeclareKids, encryption.handle_declare),
        _request(m.Subscribe, subscribing.handle_subscribe, "subscribe"),
        _request(m.DownlinkAnswer, subscribing.handle_answer),
        _request(m.RestartIce, subscribing.handle_restart),
        _request(m.UpdateSubscriber, subscribing.handle_update),
        _request(m.Unsubscribe, subscribing.handle_unsubscribe),
        _request(m.PeerDescription, relaying.handle_description),
        _request(m.PeerCandidate, relaying.handle_candidate),
        _request(m.E2eeState, encryption.handle_state),
        _request(m.E2eeReady, encryption.handle_ready, fans_out=True),
        _request(m.Signal, signals.handle_signal, "signal", fans_out=True),
        _request(m.ForceDisconnect, moderation.handle_force_disconnect, "force_disconnect"),
        _request(m.ForceUnpublish, moderation.handle_force_unpublish, "force_unpublish"),
        _request(m.ForceMuteStream, moderation.handle_force_mute_stream, "force_mute"),
        _request(m.ForceMuteAll, moderation.handle_force_mute_all, "force_mute", fans_out=True),
        _request(m.Ping, membership.handle_ping),
        _request(m.Bye, membership.handle_bye),
    ]
)


def handle(state: SessionState, command: c.Command, now_ms: int) -> Effects:
    """Applies one command. Errors: `DomainError`, which leaves the state unchanged except for
    rate limits."""
    if isinstance(command, c.FromClient):
        return _handle_request(state, command, now_ms)
    effects = COMMANDS[type(command)](state, command, now_ms)
    payer = _payer(state, command)
    if payer is not None:
        fan_out.charge(payer.fan_out, state, effects, now_ms)
    return effects


def _payer(state: SessionState, command: c.Command) -> Connection | None:
    """The client that is charged for the broadcasts of a command that is not a client's request.
    Leaving is free: nobody is left to charge, and joins have their own limit."""
    if isinstance(command, c.StreamLive | c.StreamSpeaks):
        stream = state.streams.get(command.stream)
        return None if stream is None else state.connections.get(stream.owner)
    if isinstance(
        command, c.Join | c.Announce | c.MediaPublished | c.MediaRefused | c.TransportEnded
    ):
        return state.connections.get(command.connection)
    return None


def _handle_request(state: SessionState, command: c.FromClient[m.Request], now_ms: int) -> Effects:
    connection = state.connections.get(command.connection)
    if connection is None:
        raise error(ErrorCode.NOT_CONNECTED)
    limits = state.limits
    connection.requests.take(now_ms, limits.messages_per_s, float(limits.message_burst))
    row = REQUESTS.get(type(command.message))
    if row is None:
        raise error(ErrorCode.INVALID_MESSAGE)
    if row.needs is not None and not getattr(connection.capabilities, row.needs):
        raise error(ErrorCode.PERMISSION_DENIED)
    if row.fans_out:
        fan_out.check(connection.fan_out, limits, now_ms)
    effects = row.handler(state, command, now_ms)
    fan_out.charge(connection.fan_out, state, effects, now_ms)
    return effects

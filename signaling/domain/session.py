"""One Session: command in, effects out. The table names the handler of each command."""

from collections.abc import Callable
from typing import Any

from signaling.domain import (
    commands as c,
    membership,
    moderation,
    publishing,
    signals,
    subscribing,
)
from signaling.domain.effects import Effects
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import SessionState
from signaling.protocol import messages as m

HANDLERS: dict[type, Callable[[SessionState, Any, int], Effects]] = {
    c.Join: membership.handle_join,
    c.Resume: membership.handle_resume,
    c.Leave: membership.handle_leave,
    c.TransportEnded: membership.handle_transport_ended,
    c.MediaPublished: publishing.handle_published,
    c.MediaRefused: publishing.handle_refused,
    c.StreamLive: publishing.handle_live,
    c.RestSignal: signals.handle_rest_signal,
    c.RestForceDisconnect: moderation.handle_disconnect,
    c.RestMuteStream: moderation.handle_mute_stream,
    c.RestMuteAll: moderation.handle_mute_all,
    c.SetLayoutClasses: moderation.handle_layout,
    m.Publish: publishing.handle_publish,
    m.Unpublish: publishing.handle_unpublish,
    m.UpdateStream: publishing.handle_update,
    m.DeclareKids: publishing.handle_declare,
    m.Subscribe: subscribing.handle_subscribe,
    m.DownlinkAnswer: subscribing.handle_answer,
    m.UpdateSubscriber: subscribing.handle_update,
    m.Unsubscribe: subscribing.handle_unsubscribe,
    m.E2eeState: subscribing.handle_e2ee_state,
    m.Signal: signals.handle_signal,
    m.E2eeReady: signals.handle_ready,
    m.ForceDisconnect: moderation.handle_client,
    m.ForceUnpublish: moderation.handle_client,
    m.ForceMuteStream: moderation.handle_client,
    m.ForceMuteAll: moderation.handle_client,
    m.Ping: membership.handle_ping,
    m.Bye: membership.handle_bye,
}


def handle(state: SessionState, command: c.Command, now_ms: int) -> Effects:
    """Applies one command. Errors: `DomainError`; the state is then as before."""
    if not isinstance(command, c.FromClient):
        return HANDLERS[type(command)](state, command, now_ms)
    member = state.members.get(command.connection)
    if member is None:
        raise error(ErrorCode.NOT_CONNECTED)
    limits = state.limits
    refill = (now_ms - member.filled_ms) * limits.messages_per_s / 1000
    member.tokens = min(float(limits.message_burst), member.tokens + refill)
    member.filled_ms = now_ms
    if member.tokens < 1:
        raise error(ErrorCode.RATE_LIMITED)
    member.tokens -= 1
    handler = HANDLERS.get(type(command.message))
    if handler is None:
        raise error(ErrorCode.INVALID_MESSAGE)
    return handler(state, command, now_ms)

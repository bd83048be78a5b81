"""Who gets the captions of a stream: the subscribers that asked for them, and nobody else."""

from signaling.domain.commands import CaptionSpoken
from signaling.domain.effects import Broadcast, Effects
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Bucket, SessionState
from signaling.protocol import messages as m

PARTIALS_PER_S = 4.0
"""Of one stream. People cannot read more; those above it are left out, which the next one makes
good."""


def handle_caption(state: SessionState, command: CaptionSpoken, now_ms: int) -> Effects:
    """Nothing of a stream that has ended, or whose publisher does not want captions.

    Errors: `captions_need_clear_media`: clients of an encrypted session would report a lie.
    """
    if state.e2ee:
        raise error(ErrorCode.CAPTIONS_NEED_CLEAR_MEDIA)
    found = state.streams.get(command.stream)
    if found is None or not found.live or not found.info.has_captions:
        return []
    if found.partials is None:
        found.partials = Bucket(1.0, now_ms)
    if not command.is_final and not found.partials.takes(now_ms, PARTIALS_PER_S, 1.0):
        return []
    asking = (state.subscribers[name] for name in found.subscribers)
    readers = tuple(dict.fromkeys(one.owner for one in asking if one.wants_captions))
    if not readers:
        return []
    message = m.CaptionReceived(
        stream_id=command.stream, caption=command.text, is_final=command.is_final
    )
    return [Broadcast(message, to=readers)]

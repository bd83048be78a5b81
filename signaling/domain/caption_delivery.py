"""Who gets the captions of a stream: the subscribers that asked for them, and nobody else."""

from signaling.domain.commands import CaptionSpoken
from signaling.domain.effects import Broadcast, Effects
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import Bucket, SessionState
from signaling.protocol import messages as m

_PER_S = 4.0
"""Captions of one stream, final and partial ones each. People cannot read more, and speak fewer
phrases; what is above it a process sends that was taken over, or corrects in its next words."""
_AT_ONCE = {True: 8.0, False: 1.0}
"""By whether they are final: a busy machine may say late what was spoken in several phrases."""


def handle_caption(state: SessionState, command: CaptionSpoken, now_ms: int) -> Effects:
    """Nothing of a stream that has ended, or whose publisher does not want captions.

    Errors: `captions_need_clear_media`: clients of an encrypted session would report a lie.
    """
    if state.e2ee:
        raise error(ErrorCode.CAPTIONS_NEED_CLEAR_MEDIA)
    found = state.streams.get(command.stream)
    if found is None or not found.live or not found.info.has_captions:
        return []
    most = _AT_ONCE[command.is_final]
    bucket = found.captions.setdefault(command.is_final, Bucket(most, now_ms))
    if not bucket.takes(now_ms, _PER_S, most):
        return []
    asking = (state.subscribers[name] for name in found.subscribers)
    readers = tuple(dict.fromkeys(one.owner for one in asking if one.wants_captions))
    if not readers:
        return []
    message = m.CaptionReceived(
        stream_id=command.stream, caption=command.text, is_final=command.is_final
    )
    return [Broadcast(message, to=readers)]

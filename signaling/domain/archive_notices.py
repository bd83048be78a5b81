"""What the clients of a session are told of its archives: nobody is recorded without knowing it."""

from sfu.ids import ConnectionId
from signaling.domain.commands import ArchiveBegan, ArchiveEnded
from signaling.domain.effects import Broadcast, Effects, Send
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import SessionState
from signaling.protocol import messages as m


def handle_began(state: SessionState, command: ArchiveBegan, now_ms: int) -> Effects:
    """Errors: `feature_needs_clear_media`: clients of an encrypted session would report a lie."""
    del now_ms
    if state.e2ee:
        raise error(ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    state.archives[command.archive] = command.name
    return [Broadcast(m.ArchiveStarted(id=command.archive, name=command.name))]


def handle_ended(state: SessionState, command: ArchiveEnded, now_ms: int) -> Effects:
    del now_ms
    name = state.archives.pop(command.archive, None)
    if name is None:
        return []
    return [Broadcast(m.ArchiveStopped(id=command.archive, name=name))]


def running_archives(state: SessionState, connection: ConnectionId) -> Effects:
    """For a client that joins while the session is being archived."""
    return [
        Send(connection, m.ArchiveStarted(id=archive, name=name))
        for archive, name in state.archives.items()
    ]

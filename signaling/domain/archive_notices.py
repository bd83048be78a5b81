"""What the clients of a session are told of its archives: nobody is recorded without knowing it."""

from sfu.ids import ConnectionId
from signaling.domain.commands import ArchiveBegan, ArchiveEnded
from signaling.domain.effects import Broadcast, Effects, Send
from signaling.domain.errors import ErrorCode, error
from signaling.domain.session_state import SessionState
from signaling.protocol import messages as m


def handle_began(state: SessionState, command: ArchiveBegan, now_ms: int) -> Effects:
    """Errors: `feature_needs_clear_media`: clients of an encrypted session would report a lie,
    unless one of them records that they all see."""
    del now_ms
    recorder = command.recorder if state.e2ee else None
    if state.e2ee and not _is_seen(state, recorder):
        raise error(ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    said = m.ArchiveStarted(id=command.archive, name=command.name, recorder=recorder)
    state.archives[command.archive] = said
    return [Broadcast(said)]


def _is_seen(state: SessionState, connection: ConnectionId | None) -> bool:
    found = None if connection is None else state.connections.get(connection)
    return found is not None and found.announced


def handle_ended(state: SessionState, command: ArchiveEnded, now_ms: int) -> Effects:
    del now_ms
    said = state.archives.pop(command.archive, None)
    if said is None:
        return []
    return [Broadcast(m.ArchiveStopped(id=said.id, name=said.name))]


def running_archives(state: SessionState, connection: ConnectionId) -> Effects:
    """For a client that joins while the session is being archived."""
    return [Send(connection, said) for said in state.archives.values()]

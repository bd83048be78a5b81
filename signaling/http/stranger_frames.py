"""What a WebSocket's bytes may hold before their sender is known, told without parsing them.

Parsing a frame costs much more than its bytes: an empty one has six. So the heads of the frames
(RFC 6455 section 5.2) are counted first, and what holds too many of them is never parsed.
"""

MAX_FRAMES = 16
"""The first message and what it was cut into, and pings."""
MAX_CONTROL_FRAMES = 4
_LENGTH_BYTES = {126: 2, 127: 8}
_CONTROL_OPCODES = 0x08
_MASK_BYTES = 4


class StrangerFrames:
    """Counts bytes and frames. Work for one segment is bounded by `MAX_FRAMES`."""

    __slots__ = ("_control_left", "_frames_left", "_head", "_left", "_payload_left")

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._frames_left = MAX_FRAMES
        self._control_left = MAX_CONTROL_FRAMES
        self._payload_left = 0
        self._head = b""

    def takes(self, data: bytes) -> bool:
        """Whether these bytes are still within what may come."""
        self._left -= len(data)
        if self._left < 0:
            return False
        at = 0
        while at < len(data):
            if self._payload_left:
                skipped = min(self._payload_left, len(data) - at)
                self._payload_left -= skipped
                at += skipped
                continue
            self._head += data[at : at + 1]
            at += 1
            if _is_whole(self._head) and not self._begin_frame():
                return False
        return True

    def _begin_frame(self) -> bool:
        head, self._head = self._head, b""
        length = head[1] & 0x7F
        more = _LENGTH_BYTES.get(length, 0)
        if more:
            length = int.from_bytes(head[2 : 2 + more])
        self._payload_left = length
        self._frames_left -= 1
        self._control_left -= (head[0] & _CONTROL_OPCODES) != 0
        return self._frames_left >= 0 and self._control_left >= 0


def _is_whole(head: bytes) -> bool:
    if len(head) < 2:
        return False
    masked = _MASK_BYTES if head[1] & 0x80 else 0
    return len(head) == 2 + _LENGTH_BYTES.get(head[1] & 0x7F, 0) + masked

"""What waits for a target that is slower than the broadcast, and when it is tried again; pure."""

from collections import deque

from sfu.egress.child.tracks import Packet, Tracks

LIMIT_US = 4_000_000
"""Two groups of frames. More would only make a slow target later."""
FIRST_RETRY_S = 1.0
MAX_RETRY_S = 16.0


class PacketQueue:
    """Loses whole groups of frames, and the audio beside them: what is left can be decoded, and
    the newest of it is there. Without video, a group is what is older than half the limit."""

    def __init__(self, tracks: Tracks, limit_us: int = LIMIT_US) -> None:
        self._tracks = tracks
        self._limit_us = limit_us
        self._packets: deque[tuple[int, Packet]] = deque()
        self._waits_for_key = True
        self.lost_groups = 0

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, packet: Packet) -> None:
        if self._waits_for_key and not self._begins_group(packet):
            return
        self._waits_for_key = False
        at_us = self._tracks.microseconds(packet)
        self._packets.append((at_us, packet))
        while self._packets and at_us - self._packets[0][0] > self._limit_us:
            self._lose_group(at_us)

    def take(self) -> Packet | None:
        return self._packets.popleft()[1] if self._packets else None

    def restart(self) -> None:
        """Another connection begins with a key frame, and with the newest there is."""
        last = None
        for index, (_, packet) in enumerate(self._packets):
            if self._begins_group(packet):
                last = index
        if last is None or self._tracks.video is None:
            self._packets.clear()
            self._waits_for_key = True
            return
        for _ in range(last):
            self._packets.popleft()

    def _begins_group(self, packet: Packet) -> bool:
        if self._tracks.video is None:
            return True
        return packet.kind == "video" and packet.key

    def _lose_group(self, now_us: int) -> None:
        self.lost_groups += 1
        self._packets.popleft()
        while self._packets and not self._ends_loss(now_us):
            self._packets.popleft()
        self._waits_for_key = not self._packets

    def _ends_loss(self, now_us: int) -> bool:
        at_us, packet = self._packets[0]
        if self._tracks.video is None:
            return now_us - at_us <= self._limit_us // 2
        return self._begins_group(packet)


class Retries:
    """After 1, 2, 4 … s; a target that was away for `give_up_s` is given up."""

    def __init__(self, give_up_s: float) -> None:
        self._give_up_s = give_up_s
        self._failures = 0
        self._failing_since_s: float | None = None

    def succeeded(self) -> None:
        self._failures, self._failing_since_s = 0, None

    def failed(self, now_s: float) -> float | None:
        """How long to wait; None: no more."""
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        self._failures += 1
        wait_s = min(FIRST_RETRY_S * 2 ** min(self._failures - 1, 10), MAX_RETRY_S)
        left_s = self._failing_since_s + self._give_up_s - now_s
        return None if left_s <= 0 else min(wait_s, left_s)

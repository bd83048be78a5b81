"""The one clock of an archive: the host's monotonic clock without the paused times; pure."""


class Timeline:
    """Maps times of the host, in microseconds, to times of the archive."""

    def __init__(self, origin_us: int) -> None:
        self._origin_us = origin_us
        self._pauses: list[tuple[int, int, int]] = []  # begin, end, paused time up to the end
        self._paused_at_us: int | None = None

    @property
    def paused(self) -> bool:
        return self._paused_at_us is not None

    @property
    def origin_us(self) -> int:
        return self._origin_us

    def pause(self, host_us: int) -> None:
        if self._paused_at_us is None:
            self._paused_at_us = max(host_us, self._pauses[-1][1] if self._pauses else host_us)

    def resume(self, host_us: int) -> None:
        if self._paused_at_us is None:
            return
        begin, end = self._paused_at_us, max(host_us, self._paused_at_us)
        before = self._pauses[-1][2] if self._pauses else 0
        self._pauses.append((begin, end, before + end - begin))
        self._paused_at_us = None

    def place(self, host_us: int) -> int | None:
        """The time in the archive; None for a time at which the archive was paused."""
        if self._paused_at_us is not None and host_us >= self._paused_at_us:
            return None
        for begin, end, total in reversed(self._pauses):
            if host_us >= end:
                return host_us - self._origin_us - total
            if host_us >= begin:
                return None
        return host_us - self._origin_us

    def reached(self, host_us: int) -> int:
        """How far the archive had come; its clock stands still in a pause."""
        if self._paused_at_us is not None:
            host_us = min(host_us, self._paused_at_us)
        for begin, end, total in reversed(self._pauses):
            if host_us >= end:
                return host_us - self._origin_us - total
            if host_us >= begin:
                return begin - self._origin_us - (total - (end - begin))
        return host_us - self._origin_us

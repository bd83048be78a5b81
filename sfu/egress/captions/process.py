"""The process of one captioned session: control lines on descriptor 3, the tap on 4.

It has no environment, no network and no file where the kernel has Landlock: what participants send
is decoded and recognized here and nowhere else. What was said leaves it on the control lines, and
is written nowhere.
"""

import socket
import time
from collections.abc import Sequence

from sfu.egress.audio.session_audio import OpenReader, SessionAudio
from sfu.egress.caption_lines import (
    CaptionBeatLine,
    CaptionDown,
    CaptionDownReader,
    CaptionJobLine,
    CaptionLine,
    ListeningLine,
)
from sfu.egress.captions.captioner import Captioner
from sfu.egress.captions.engine import Engine
from sfu.egress.child.confinement import confine
from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.run_lines import LeaveLine

CONTROL_DESCRIPTOR, MEDIA_DESCRIPTOR = 3, 4
BEAT_US = 1_000_000
FIRST_LINE_S = 10.0
TURN_S = 0.02
BLOCKS = 10
"""Of each speaker in a turn: 200 ms of speech, some 40 ms of work."""
STALE_US = 10_000_000
"""The first process of a server waits for its recognizers, some seconds; what is said meanwhile is
captioned late."""
MEMORY_BYTES = 536_870_912
"""Beyond what is loaded: recognizers take some ten MB for each phrase, voices one each."""


def now_us() -> int:
    return time.monotonic_ns() // 1000


def main(open_reader: OpenReader, engines: Sequence[Engine]) -> int:
    control = ControlSocket(socket.socket(fileno=CONTROL_DESCRIPTOR), CaptionDownReader())
    first = control.poll(FIRST_LINE_S)
    if not first or not isinstance(first[0], CaptionJobLine):
        return 2
    landlock = confine(None, MEMORY_BYTES)
    process = _Process(first[0], control, open_reader, engines)
    control.send(ListeningLine(landlock))
    process.run(first[1:])
    return 0


class _Process:
    def __init__(
        self,
        job: CaptionJobLine,
        control: ControlSocket[CaptionDown],
        open_reader: OpenReader,
        engines: Sequence[Engine],
    ) -> None:
        self._captioner = Captioner(engines, partials=job.partials)
        self._control = control
        self._session = SessionAudio(
            MEDIA_DESCRIPTOR, job.hold_ms, open_reader, self._captioner, STALE_US
        )
        self._is_over = False
        self._beat_us = 0

    def run(self, lines: list[CaptionDown]) -> None:
        while not self._is_over:
            self._is_over = self._control.closed or any(isinstance(one, LeaveLine) for one in lines)
            self._step()
            lines = self._control.poll(0.0 if self._captioner.is_busy else TURN_S)

    def _step(self) -> None:
        at_us = now_us()
        self._session.listen(at_us)
        self._is_over |= self._session.is_over
        if self._is_over:
            return  # nobody wants what is said now
        for spoken in self._captioner.step(now_us(), BLOCKS):
            line = CaptionLine(self._session.streams[spoken.track], spoken.text, spoken.is_final)
            self._control.send(line, must_arrive=spoken.is_final)
        if at_us >= self._beat_us:
            self._beat_us = at_us + BEAT_US
            counts = self._captioner.counts + self._session.counts
            self._control.send(CaptionBeatLine(dict(counts)), must_arrive=False)

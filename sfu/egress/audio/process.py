"""The process of one connection of an Audio Connector: control lines on descriptor 3, the tap on 4,
the connected socket to the application on 5.

It has no environment, no name resolution, no file and no TCP connection but that one, where the
kernel has Landlock: what an application's server sends is parsed and decoded here and nowhere else.
It ends with the connection; the server makes the next one, with another process.
"""

import select
import socket
import ssl
import time
from collections import Counter
from typing import Literal

from sfu.egress.audio import pace
from sfu.egress.audio.connector import Connector, Form
from sfu.egress.audio.messages import Transport
from sfu.egress.audio.peer import Peer, Target
from sfu.egress.audio.session_audio import OpenReader, SessionAudio
from sfu.egress.audio.tls import trust
from sfu.egress.child.confinement import confine
from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.connector_lines import (
    BeatLine,
    ConnectLine,
    ConnectorCount,
    ConnectorDown,
    ConnectorDownReader,
    EndLine,
    OpenLine,
    SpokenLine,
)
from sfu.egress.run_lines import LeaveLine, SpeakLine

CONTROL_DESCRIPTOR = 3
MEDIA_DESCRIPTOR = 4
PEER_DESCRIPTOR = 5
BEAT_US = 1_000_000
FIRST_LINE_S = 10.0
OPEN_US = 15_000_000
"""The server's patience is shorter; without a server nobody else would end this."""
MEMORY_BYTES = 268_435_456
"""Beyond what is loaded: 50 voices take 60 MB, and a minute of audio in JSON some ten."""


def now_us() -> int:
    return time.monotonic_ns() // 1000


def main(open_reader: OpenReader) -> int:
    reader = ConnectorDownReader()
    control = ControlSocket(socket.socket(fileno=CONTROL_DESCRIPTOR), reader)
    first = control.poll(FIRST_LINE_S)
    if not first or not isinstance(first[0], ConnectLine):
        return 2
    try:
        tls = trust(first[0].tls_roots) if first[0].secure else None
    except OSError:
        control.send(EndLine("refused"))
        return 1
    landlock = confine(None, MEMORY_BYTES)
    _Process(first[0], control, tls, open_reader).run(first[1:], landlock)
    return 0


class _Process:
    def __init__(
        self,
        job: ConnectLine,
        control: ControlSocket[ConnectorDown],
        tls: ssl.SSLContext | None,
        open_reader: OpenReader,
    ) -> None:
        transport = Transport(job.audio_field, job.receive_audio_field, job.static_fields)
        self._connector = Connector(Form(job.rate_hz, job.bidirectional, transport, job.headers))
        self._control = control
        self._session = SessionAudio(MEDIA_DESCRIPTOR, job.hold_ms, open_reader, self._connector)
        target = Target(job.host, job.port, job.resource, job.upgrade_headers)
        self._began_us = now_us()
        self._peer = Peer(socket.socket(fileno=PEER_DESCRIPTOR), target, tls, self._began_us)
        self._pace = pace.Pace(self._began_us)
        self._said_spoken = False
        self._is_over = False
        self._beat_us = 0
        self._counts: Counter[ConnectorCount] = Counter()

    def run(self, first: list[ConnectorDown], landlock: int) -> None:
        self._handle_lines(first)
        while not self._is_over and self._peer.state == "connecting":
            self._wait(self._began_us + OPEN_US)
            self._is_over |= now_us() > self._began_us + OPEN_US
        is_open = self._peer.state == "open" and not self._is_over
        if is_open:
            self._pace = pace.Pace(now_us())
            self._control.send(OpenLine(landlock))
        while not self._is_over and not self._peer.is_over:
            self._wait(self._pace.due_us)
            self._step()
        if self._peer.is_over:
            # A peer that is done with the very handshake was never there, and is not asked again.
            failure: Literal["lost", "refused"] = "lost" if is_open else "refused"
            self._control.send(EndLine("closed" if self._peer.state == "closed" else failure))
        self._peer.close()

    def _wait(self, until_us: int) -> None:
        """Until something came or is due, and handles what came."""
        sources: list[ControlSocket[ConnectorDown] | Peer] = [self._control, self._peer]
        writers = [self._peer] if self._peer.wants_to_write else []
        left_s = max(0.0, (until_us - now_us()) / 1_000_000)
        readable, writable, _ = select.select(sources, writers, [], left_s)
        if writable:
            self._peer.write()
        if self._peer in readable:
            for message in self._peer.read(now_us()):
                self._connector.handle_message(message)
        if self._control in readable:
            self._handle_lines(self._control.poll())
        self._is_over |= self._control.closed

    def _handle_lines(self, lines: list[ConnectorDown]) -> None:
        for line in lines:
            match line:
                case SpeakLine():
                    self._session.may_speak(line)
                    self._connector.may_speak = True
                case LeaveLine():
                    self._is_over = True
                case ConnectLine():
                    pass  # a process has one job

    def _step(self) -> None:
        at_us = now_us()
        self._peer.handle_time(at_us)
        self._session.listen(at_us)
        self._is_over |= self._session.is_over
        for slot in self._pace.slots(at_us):
            step = self._connector.step(slot)
            *answers, audio = step.to_peer
            for answer in answers:
                self._peer.send(answer, must_arrive=True)
            self._peer.send(audio)
            self._counts["frames_sent"] += 1
            if step.speech is not None:
                self._session.speak(slot, step.speech, at_us)
        self._peer.write()
        if self._connector.has_spoken and not self._said_spoken:
            self._said_spoken = True
            self._control.send(SpokenLine())
        self._beat(at_us)

    def _beat(self, at_us: int) -> None:
        if at_us >= self._beat_us:
            self._beat_us = at_us + BEAT_US
            self._counts["frames_left_out"] = self._peer.left_out + self._pace.skipped
            self._counts["bytes_dropped"] = self._connector.dropped_bytes
            self._counts["messages_ignored"] = self._connector.ignored_messages
            counts = self._counts + self._session.counts
            self._control.send(BeatLine(dict(counts)), must_arrive=False)

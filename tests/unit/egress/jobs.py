"""Jobs in real processes, whose media is ready-made items."""

import asyncio
import json
import queue
import socket
import sys
import threading
import time
import zipfile
from pathlib import Path

import msgspec

from config.settings import EgressSettings
from sfu.egress.jobs import ArchiveJob
from sfu.egress.supervisor import Supervisor

PROGRAM = (sys.executable, str(Path(__file__).with_name("synthetic_zygote.py")))
WAIT_S = 50
OPEN_TAPS = []


def supervisor(**more):
    return Supervisor(EgressSettings(), program=PROGRAM, **more)


def job_in(folder, **more):
    job = {
        "archive": "a1",
        "folder": folder,
        "session": "the-session",
        "name": "a name",
        "created_unix_ms": time.time_ns() // 1_000_000,
        "hold_ms": 100,
    }
    return ArchiveJob(**(job | more))


class Listener:
    """What a job reports, to be waited for."""

    def __init__(self):
        self.events = []
        self._changed = asyncio.Condition()
        self._tasks = set()

    def on_recording(self):
        self._add("recording")

    def on_progress(self, recorded_ms, size_bytes):
        self._add("progress", recorded_ms, size_bytes)

    def on_finished(self, result):
        self._add("finished", result)

    def on_failed(self, code, text):
        self._add("failed", code, text)

    def _add(self, *event):
        self.events.append(event)
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self):
        async with self._changed:
            self._changed.notify_all()

    async def wait_for(self, test):
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: any(test(event) for event in self.events))

    async def until(self, *names, after=0):
        """The first of these events, of those after the first `after` ones."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(
                lambda: any(event[0] in names for event in self.events[after:])
            )
        return next(event for event in self.events[after:] if event[0] in names)

    async def end(self):
        return await self.until("finished", "failed")


class Tap:
    """The core's end of a tap. Sends in a thread: the loop starts those who read."""

    def __init__(self):
        self._ours, self.child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._messages = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        OPEN_TAPS.append(self)

    def play(self, *items):
        for start in range(0, len(items), 8):
            self.send(msgspec.msgpack.encode(items[start : start + 8]))

    def send(self, *messages):
        for message in messages:
            self._messages.put(message)

    def _send(self):
        while (message := self._messages.get()) is not None:
            try:
                self._ours.send(message)
            except OSError:
                return

    def event(self, event):
        self.play(("json", now_us(), json.dumps(event).encode()))

    def end(self):
        self.play(("end", now_us()))

    def close(self):
        self._ours.shutdown(socket.SHUT_RDWR)
        self._messages.put(None)
        self._thread.join()
        self._ours.close()

    def received(self):
        return self._ours.recv(2_048)


def now_us():
    return time.monotonic_ns() // 1_000


def unpacked(file):
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        archive.extractall(file.parent / "out")
        return json.loads(archive.read(archive.namelist()[0]))

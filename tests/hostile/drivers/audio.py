"""A sound card that is none: WebAudio of Firefox runs only where audio can go out."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Self

from tests.hostile.call import until


class NullAudio:
    """A PulseAudio server of its own, on a socket in a directory of its own."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="audio")
        self._socket = Path(self._directory.name) / "socket"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def environment(self) -> dict[str, str]:
        server = {"PULSE_SERVER": f"unix:{self._socket}"}
        return os.environ | server | {"XDG_RUNTIME_DIR": self._directory.name}

    async def start(self) -> Self:
        """Errors: AssertionError; FileNotFoundError where PulseAudio is not installed."""
        protocol = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        self._process = await asyncio.create_subprocess_exec(
            *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
            # In this order: who finds the socket finds the sink.
            *("--log-level=error", "-L", "module-null-sink", "-L", protocol),
            env=self.environment,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await until(self._socket.exists, "PulseAudio")
        return self

    async def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()
        self._directory.cleanup()

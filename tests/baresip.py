"""A real telephone: Debian's baresip, which plays a tone and writes down what it hears."""

import asyncio
import json
import shutil
import socket
import wave
from pathlib import Path

import numpy as np
import pytest

from bench.ports import free_port

MODULES = Path("/usr/lib/baresip/modules")
NEEDS_BARESIP = pytest.mark.skipif(
    shutil.which("baresip") is None,
    reason="NOT CHECKED: baresip is missing (Debian: baresip-core)",
)
_LOADED = [
    "g711",
    "g722",
    "opus",
    "aufile",
    "aubridge",
    "sndfile",
    "srtp",
    "account",
    "menu",
    "ctrl_tcp",
]
_APPLICATIONS = {"account": "module_tmp", "menu": "module_app", "ctrl_tcp": "module_app"}


def own_address() -> str:
    """An address of this machine: baresip does not use loopback. What is sent there stays here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("NOT CHECKED: this machine has only loopback")
        return str(probe.getsockname()[0])


class Baresip:
    """`codec`: PCMU, PCMA, G722 or opus. `certificate`: with its key, for TLS. `events`: what it
    said on its control connection."""

    def __init__(
        self,
        folder: Path,
        *,
        codec: str = "PCMU",
        transport: str = "udp",
        srtp: bool = False,
        certificate: Path | None = None,
    ) -> None:
        self.folder = folder
        self.rate_hz = {"opus": 48_000, "G722": 16_000}.get(codec, 8_000)
        self.channels = 2 if codec == "opus" else 1
        self.host, self.port, self._control = own_address(), free_port(), free_port()
        port = self.port + 1 if transport == "tls" else self.port  # it takes the next one for TLS
        self.uri = f"sip:ann@{self.host}:{port};transport={transport}"
        self._certificate = certificate
        name = {"opus": "opus/48000/2", "G722": "G722/16000"}.get(codec, codec)
        secure = ";mediaenc=srtp-mand" if srtp else ""
        self._account = (
            f"<sip:ann@{self.host};transport={transport}>;regint=0;answermode=auto"
            f";audio_codecs={name}{secure}\n"
        )
        self.events: list[dict] = []

    async def open(self, tone_hz: float = 1_100) -> None:
        self.folder.mkdir(exist_ok=True)
        self._write_tone(self.folder / "tone.wav", tone_hz)
        lines = [
            f"sip_listen {self.host}:{self.port}",
            f"ctrl_tcp_listen 127.0.0.1:{self._control}",
            f"audio_source aufile,{self.folder}/tone.wav",
            "audio_player aubridge,ear",
            "audio_alert aubridge,bell",
            f"snd_path {self.folder}",
            f"module_path {MODULES}",
            "rtp_ports 21000-21999",
        ]
        if self._certificate is not None:
            lines.append(f"sip_certificate {self._certificate}")
        lines += [f"{_APPLICATIONS.get(name, 'module')} {name}.so" for name in _LOADED]
        (self.folder / "config").write_text("\n".join(lines) + "\n")
        (self.folder / "accounts").write_text(self._account)
        (self.folder / "contacts").write_text("")
        self._log = (self.folder / "log").open("wb")
        self.process = await asyncio.create_subprocess_exec(
            "baresip", "-f", str(self.folder), "-v",
            stdin=asyncio.subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self._reader, self._writer = await self._connect()
        self._reading = asyncio.create_task(self._read())

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(20):
            while True:
                try:
                    return await asyncio.open_connection("127.0.0.1", self._control)
                except OSError:
                    await asyncio.sleep(0.05)

    def _write_tone(self, path: Path, tone_hz: float) -> None:
        at = np.arange(self.rate_hz * 120) / self.rate_hz
        samples = (np.sin(2 * np.pi * tone_hz * at) * 12_000).astype("<i2")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(self.channels)
            file.setsampwidth(2)
            file.setframerate(self.rate_hz)
            file.writeframes(np.repeat(samples, self.channels).tobytes())

    async def _read(self) -> None:
        while True:
            try:
                size = int((await self._reader.readuntil(b":"))[:-1])
                self.events.append(json.loads(await self._reader.readexactly(size)))
                await self._reader.readexactly(1)
            except (OSError, EOFError, ValueError):
                return

    def do(self, command: str, parameters: str = "") -> None:
        """One of baresip's commands, such as `hold`."""
        body = json.dumps({"command": command, "params": parameters}).encode()
        self._writer.write(b"%d:%s," % (len(body), body))

    @property
    def digits(self) -> str:
        """The keys that were pressed at the other end."""
        log = (self.folder / "log").read_text(errors="replace")
        pressed = [
            part.split("'")[1] for part in log.split("received event: ")[1:] if "=0)" in part
        ]
        return "".join(pressed)

    def hears(self, hz: float) -> float:
        """How loud a tone is in the last second, from 0 to 1."""
        for path in self.folder.glob("dump-*-dec.wav"):
            samples = np.frombuffer(_even(path.read_bytes()[44:]), "<i2")
            samples = samples[: len(samples) // self.channels * self.channels]
            last = samples.reshape(-1, self.channels)[-self.rate_hz :, 0] / 32_768
            if len(last) == self.rate_hz:
                at = np.arange(len(last)) / self.rate_hz
                return float(2 * abs(np.mean(last * np.exp(-2j * np.pi * hz * at))))
        return 0.0

    async def close(self) -> None:
        self._reading.cancel()
        self._writer.close()
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()
        self._log.close()


def _even(data: bytes) -> bytes:
    """The file may end inside a sample while it is written."""
    return data[: len(data) // 2 * 2]

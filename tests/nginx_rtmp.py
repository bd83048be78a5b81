"""nginx with its RTMP module: takes what is published, and plays it."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

from bench.ports import free_port

MODULE = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
CONFIGURATION = """
load_module {module};
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 64; }}
rtmp {{
  server {{
    listen 127.0.0.1:{port};
    application live {{ live on; allow publish all; allow play all; }}
  }}
}}
"""


class NginxRtmp:
    """`stop` and `start` are a server that goes away and comes back."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self._configuration = folder / "conf"
        self._folder = folder
        text = CONFIGURATION.format(module=MODULE, folder=folder, port=self.port)
        self._configuration.write_text(text)
        self._process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"rtmp://127.0.0.1:{self.port}/live"

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["nginx", "-e", self._folder / "errors", "-c", self._configuration],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def first_seconds(url: str, *, seconds: float = 2.0, within_s: float = 30.0) -> str:
    """What ffprobe finds in a live stream, as soon as there is something."""
    deadline = time.monotonic() + within_s
    asked = ["ffprobe", "-v", "error", "-rw_timeout", "5000000", "-count_frames"]
    asked += ["-read_intervals", f"%+{seconds}", "-show_streams", "-of", "json", url]
    while True:
        with suppress(subprocess.TimeoutExpired):
            probe = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=20)
            if probe.returncode == 0 and '"codec_type": "video"' in probe.stdout:
                return probe.stdout
        assert time.monotonic() < deadline, "nothing can be played"
        time.sleep(0.1)

"""A film for Chromium's fake camera: its own video is so plain that no encoder needs a rate."""

import subprocess
import tempfile
from functools import cache
from pathlib import Path

SIZE = "1280x720"
_SECONDS = 8
_NOISE = 12


@cache
def film(frame_rate: int) -> Path:
    """A moving image of `SIZE` with grain, as Motion JPEG; Chromium plays it round and round."""
    path = Path(tempfile.mkdtemp(prefix="sealroute-film-")) / f"{frame_rate}.mjpeg"
    source = f"testsrc2=size={SIZE}:rate={frame_rate}:duration={_SECONDS}"
    grain = f"noise=alls={_NOISE}:allf=t:all_seed=1"
    words = f"ffmpeg -v error -f lavfi -i {source},{grain} -c:v mjpeg -q:v 5 -pix_fmt yuvj420p"
    subprocess.run([*words.split(), str(path)], check=True, timeout=60)
    return path

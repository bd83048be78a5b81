"""The same media for all: files of VP8 and Opus, as four people would send them."""

import asyncio
from pathlib import Path

PEOPLE = 4
SIZE = (640, 480)
FPS = 30


async def made(folder: Path, seconds: int) -> list[Path]:
    """One file for each person, with video that moves and a tone of its own."""
    files = []
    for number in range(PEOPLE):
        file = folder / f"{number}.webm"
        pattern = f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={FPS},hue=h={90 * number},noise=alls=8"
        command = [
            *("ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", pattern),
            *("-f", "lavfi", "-i", f"sine=frequency={300 + 100 * number}:sample_rate=48000"),
            *("-t", str(seconds), "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"),
            *("-b:v", "1M", "-g", "300", "-c:a", "libopus", "-b:a", "40k", str(file)),
        ]
        process = await asyncio.create_subprocess_exec(*command)
        if await process.wait():
            raise RuntimeError("ffmpeg did not make the media")
        files.append(file)
    return files

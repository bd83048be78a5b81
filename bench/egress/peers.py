"""The same image and the same audio by others: four videos in a grid at 1280x720, H.264 of 2 Mbit/s
with the preset veryfast, AAC."""

from collections.abc import Sequence
from pathlib import Path

FFMPEG, GSTREAMER = "ffmpeg", "gst-launch-1.0"


def ffmpeg(files: Sequence[Path], target: Path) -> list[str]:
    inputs = [word for file in files for word in ("-i", str(file))]
    scaled = ";".join(
        f"[{at}:v]scale=640:360:force_original_aspect_ratio=decrease,"
        f"pad=640:360:(ow-iw)/2:(oh-ih)/2,fps=30[v{at}]"
        for at in range(len(files))
    )
    videos = "".join(f"[v{at}]" for at in range(len(files)))
    audios = "".join(f"[{at}:a]" for at in range(len(files)))
    graph = (
        f"{scaled};{videos}xstack=inputs={len(files)}:layout=0_0|w0_0|0_h0|w0_h0[v];"
        f"{audios}amix=inputs={len(files)}:normalize=0[a]"
    )
    return [
        *(FFMPEG, "-loglevel", "error", "-y", *inputs, "-filter_complex", graph),
        *("-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-preset", "veryfast"),
        *("-profile:v", "main", "-b:v", "2M", "-r", "30", "-c:a", "aac", "-b:a", "128k"),
        *("-ac", "2", "-ar", "48000", str(target)),
    ]


def gstreamer(files: Sequence[Path], target: Path) -> list[str]:
    places = [(0, 0), (640, 0), (0, 360), (640, 360)]
    mixer = "compositor name=c " + " ".join(
        f"sink_{at}::xpos={x} sink_{at}::ypos={y} sink_{at}::width=640 sink_{at}::height=360"
        for at, (x, y) in enumerate(places[: len(files)])
    )
    pipeline = (
        f"{mixer} ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 ! queue "
        "! x264enc speed-preset=veryfast bitrate=2000 ! h264parse ! m. "
        "audiomixer name=a ! audio/x-raw,rate=48000,channels=2 ! queue ! audioconvert "
        f"! avenc_aac bitrate=128000 ! m. matroskamux name=m ! filesink location={target} "
    )
    for at, file in enumerate(files):
        pipeline += (
            f"filesrc location={file} ! matroskademux name=d{at} "
            f"d{at}. ! queue ! vp8dec ! videoconvert ! queue ! c.sink_{at} "
            f"d{at}. ! queue ! opusdec ! audioconvert ! audioresample ! queue ! a. "
        )
    return [GSTREAMER, "-q", *pipeline.split()]

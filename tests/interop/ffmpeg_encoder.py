"""FFmpeg's WHIP muxer with its defaults, in a process of its own: it holds the interpreter's lock
while it waits for the server. Ends when standard input does.

ffmpeg_encoder.py URL TOKEN CERTIFICATE KEY
"""

import itertools
import sys
import threading
import time
from fractions import Fraction

import av
import numpy as np


def main() -> None:
    url, token, certificate, key = sys.argv[1:]
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    options = {"authorization": token, "cert_file": certificate, "key_file": key}
    with av.open(url, "w", format="whip", options=options) as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
        video.codec_context.max_b_frames, video.codec_context.gop_size = 0, 15
        audio = container.add_stream("libopus", rate=48_000, layout="stereo")
        for number in itertools.takewhile(lambda _: not ended.is_set(), itertools.count()):
            pixels = np.full((360, 320), number % 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(video.encode(frame))
            samples = np.zeros((1, 3_200), np.int16)
            audio_frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            audio_frame.sample_rate, audio_frame.pts = 48_000, number * 1_600
            audio_frame.time_base = Fraction(1, 48_000)
            container.mux(audio.encode(audio_frame))
            time.sleep(1 / 30)


main()

"""A server that records and is killed: prints the pid of its child when all is in the tap."""

import asyncio
import sys
from pathlib import Path

from tests.unit.egress.jobs import Listener, Tap, job_in, now_us, supervisor
from tests.unit.egress.media import added, audio_items, in_order, video_items


async def serve(folder):
    tap, listener = Tap(), Listener()
    job = supervisor().start(job_in(folder), tap.child_end, listener)
    start_us = now_us()
    tap.event(added())
    tap.play(
        *in_order(video_items("vp8", 60, start_us=start_us), audio_items(100, start_us=start_us))
    )
    await listener.until("recording")
    sys.stdout.write(f"{job._link.process.pid}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

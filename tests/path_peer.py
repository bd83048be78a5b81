"""`python -m tests.path_peer VERB URL SESSION TOKEN ...`: one peer in a network namespace.

`publish SIZE`: VP8 in RTP packets of SIZE bytes until it is ended; prints the stream's name.
`view STREAM`: prints how many packets have come, twice a second.
"""

import asyncio
import os
import sys

from tests.raw_peer import VP8_LINES, RawPeer, m_line, rtp, sdp

PACKETS_OF_FRAME, FRAMES_PER_S = 4, 30


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def payload(first: bytes, size: int) -> bytes:
    return first + os.urandom(size - 12 - len(first))


async def publish(url: str, session: str, token: str, size: int) -> None:
    peer = RawPeer()
    offer = sdp(m_line("video", "96", VP8_LINES, "0", await peer.values()))
    assert await peer.begin(f"{url}/whip/{session}", token, offer) == 201, peer.answer
    await peer.connect()
    say(peer.headers["Sealroute-Stream"])
    for frame in range(10_000):
        head = bytes.fromhex("105000009d012a40010001" if frame % FRAMES_PER_S == 0 else "1051")
        for index in range(PACKETS_OF_FRAME):
            number = frame * PACKETS_OF_FRAME + index
            packet = payload(head if index == 0 else b"\0", size)
            last = index == PACKETS_OF_FRAME - 1
            await peer.send(rtp(96, number, frame * 3_000, 111, packet, marker=last))
        await asyncio.sleep(1 / FRAMES_PER_S)


async def view(url: str, session: str, token: str, stream: str) -> None:
    peer = RawPeer()
    line = m_line("video", "96", VP8_LINES, "0", await peer.values(), direction="recvonly")
    assert await peer.begin(f"{url}/whep/{session}/{stream}", token, sdp(line)) == 201, peer.answer
    await peer.connect()
    while True:
        say(str(len(peer.received)))
        await asyncio.sleep(0.5)


def main() -> None:
    verb, url, session, token, what = sys.argv[1:]
    asyncio.run(
        publish(url, session, token, int(what))
        if verb == "publish"
        else view(url, session, token, what)
    )


if __name__ == "__main__":
    main()

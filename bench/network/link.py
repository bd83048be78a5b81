"""`python -m bench.network.link NEAR FAR SEED`: a cable between two TUN interfaces.

Reads one JSON object a line: `{"down": {...}, "up": {...}}` sets conditions (NEAR to FAR is down),
`{"rebind": 7}` shifts the ports that datagrams seem to come from, `{}` asks for the figures.
Answers each with a line. Ends when its input ends.
"""

import fcntl
import json
import os
import select
import struct
import sys
import time
from dataclasses import asdict
from typing import Any

from bench.network.conditions import Conditions, Direction
from bench.network.rebinding import Rebinding

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PACKET_BYTES = 65_536
_BATCH = 64


def open_tun(name: str) -> int:
    """A new TUN interface of that name in this process's network namespace."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return tun


class Cable:
    def __init__(self, near: int, far: int, seed: int) -> None:
        self._rebinding = Rebinding()
        self._ways = {"down": (near, far, Direction(seed)), "up": (far, near, Direction(seed + 1))}

    def run(self) -> None:
        poller = select.poll()
        for source, _, _ in self._ways.values():
            poller.register(source, select.POLLIN)
        poller.register(sys.stdin.fileno(), select.POLLIN)
        print("{}", flush=True)
        pending = b""
        while True:
            ready = {descriptor for descriptor, _ in poller.poll(self._wait_ms())}
            if sys.stdin.fileno() in ready:
                read = os.read(sys.stdin.fileno(), _PACKET_BYTES)
                if not read:
                    return
                *lines, pending = (pending + read).split(b"\n")
                for line in lines:
                    print(json.dumps(self._obey(json.loads(line))), flush=True)
            for source, _, direction in self._ways.values():
                if source in ready:
                    self._take(source, direction)
            self._deliver()

    def _wait_ms(self) -> float | None:
        dues = [due for *_, way in self._ways.values() if (due := way.due_at()) is not None]
        return max(0.0, (min(dues) - time.monotonic()) * 1_000) if dues else None

    def _deliver(self) -> None:
        now = time.monotonic()
        for _, target, direction in self._ways.values():
            while (packet := direction.receive(now)) is not None:
                try:
                    os.write(target, packet)
                except OSError:
                    # The interface is down: as with a cable, what is sent there is gone.
                    continue

    def _take(self, source: int, direction: Direction) -> None:
        is_up = direction is self._ways["up"][2]
        for _ in range(_BATCH):
            try:
                packet = os.read(source, _PACKET_BYTES)
            except OSError:
                return
            moved = self._rebinding.outward(packet) if is_up else self._rebinding.inward(packet)
            direction.send(time.monotonic(), moved)

    def _obey(self, order: dict[str, Any]) -> dict[str, object]:
        answer: dict[str, object] = {}
        if "rebind" in order:
            self._rebinding.shift = int(order["rebind"])
        for name, (_, _, direction) in self._ways.items():
            if name in order:
                direction.conditions = Conditions(**order[name])
            if not order:
                answer[name] = asdict(direction.take_figures())
        return answer


def main() -> None:
    near, far, seed = sys.argv[1:]
    Cable(open_tun(near), open_tun(far), int(seed)).run()


if __name__ == "__main__":
    main()

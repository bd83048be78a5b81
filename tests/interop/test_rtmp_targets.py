"""RTMP against nginx: what it takes it plays, and one that goes away and comes back goes on."""

import json
import threading
import time

import pytest

from sfu.egress.child.rtmp_target import RtmpOutput
from sfu.egress.live_outputs import RtmpTarget
from sfu.target_policy import TargetPolicy, networks
from tests.nginx_rtmp import NginxRtmp, first_seconds
from tests.unit.egress.broadcast_media import encoded

pytestmark = pytest.mark.interop
TRACKS, PACKETS = encoded(4)
LOOPBACK = TargetPolicy(networks("127.0.0.0/8"))


class LiveMedia:
    """Puts packets into outputs at the pace of their times, until it is closed."""

    def __init__(self, *outputs):
        self.outputs = outputs
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        began, turn = time.monotonic(), 0
        while True:
            for packet in PACKETS:
                hz = 30 if packet.kind == "video" else 48_000
                at = packet.at + 4 * hz * turn
                if self._over.wait(max(0.0, began + at / hz - time.monotonic())):
                    return
                later = type(packet)(packet.kind, packet.data, at, packet.duration, packet.key)
                for output in self.outputs:
                    output.put(later)
            turn += 1

    def close(self):
        self._over.set()
        self._thread.join()


class Statuses:
    def __init__(self):
        self.seen = []
        self._changed = threading.Condition()

    def report(self, status):
        with self._changed:
            self.seen.append(status)
            self._changed.notify_all()

    def until(self, status, count=1):
        with self._changed:
            assert self._changed.wait_for(lambda: self.seen.count(status) >= count, 60)


def test_one_target_goes_away_and_comes_back_and_the_other_plays_on(tmp_path):
    servers = [NginxRtmp(tmp_path / name) for name in ("a", "b")]
    watched = [Statuses() for _ in servers]
    outputs = [
        RtmpOutput(RtmpTarget(str(number), server.url, "key"), TRACKS, LOOPBACK, statuses.report)
        for number, (server, statuses) in enumerate(zip(servers, watched, strict=True))
    ]
    media = LiveMedia(*outputs)
    try:
        for server, output in zip(servers, outputs, strict=True):
            server.start()
            output.start()
        for statuses in watched:
            statuses.until("live")
        for server in servers:
            streams = json.loads(first_seconds(f"{server.url}/key"))["streams"]
            found = {one["codec_type"]: one["codec_name"] for one in streams}
            assert found == {"video": "h264", "audio": "aac"}
        servers[0].stop()
        watched[0].until("offline")
        servers[0].start()
        watched[0].until("live", 2)
        first_seconds(f"{servers[0].url}/key")
        assert watched[1].seen[-1] == "live"
        assert watched[1].seen.count("live") == 1
        assert outputs[1].lost_groups == 0
    finally:
        media.close()
        for output in outputs:
            output.end()
        for server in servers:
            server.stop()
    assert [statuses.seen[-1] for statuses in watched] == ["offline", "offline"]

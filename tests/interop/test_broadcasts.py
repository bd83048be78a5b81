"""Broadcasts of live calls: an official SDK starts and stops them, FFmpeg plays them."""

import asyncio
import json
import subprocess
from urllib.error import HTTPError
from urllib.request import urlopen

import opentok
import pytest

from config.broadcast_settings import BroadcastSettings
from config.settings import CallbackSettings, EgressSettings
from tests.media_site import media_site
from tests.nginx_rtmp import NginxRtmp, first_seconds
from tests.served import NEEDS_THE_MEDIA_CORE
from tests.unit.egress.hls_rules import check, check_follows

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
    pytest.mark.timeout(180),
]
WITHIN_S = 60.0


@pytest.fixture
async def site(tmp_path):
    async with media_site(
        tmp_path,
        callbacks=CallbackSettings(allowed_networks="127.0.0.0/8"),
        egress=EgressSettings(cores=4, allowed_networks="127.0.0.0/8"),
        broadcast=BroadcastSettings(host="127.0.0.1", min_free_mb=64),
    ) as one:
        yield one


@pytest.fixture
def nginx(tmp_path):
    server = NginxRtmp(tmp_path / "nginx")
    server.start()
    yield server
    server.stop()


async def until_shown(site, broadcast_id, test):
    """The broadcast once it is as wanted."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            shown = await asyncio.to_thread(site.application.get_broadcast, broadcast_id)
            if test(shown):
                return shown
            await asyncio.sleep(0.1)


def fetched(url: str) -> str:
    with urlopen(url) as answer:
        return answer.read().decode()


async def test_a_call_is_seen_over_hls_and_rtmp_until_it_is_stopped(site, nginx) -> None:
    session = await site.session()
    for _ in range(2):
        await (await site.join(session)).publish()
    target = {"id": "foo", "serverUrl": nginx.url, "streamName": "secret-name"}
    options = {
        "layout": {"type": "bestFit"},
        "outputs": {"hls": {"lowLatency": True}, "rtmp": [target]},
    }
    start = site.application.start_broadcast
    broadcast = await asyncio.to_thread(start, session, options)
    assert broadcast.status == "started"
    with pytest.raises(opentok.BroadcastError):
        await asyncio.to_thread(start, session, options)
    shown = await until_shown(
        site, broadcast.id, lambda one: one.broadcastUrls["rtmp"][0]["status"] == "live"
    )
    assert shown.broadcastUrls["rtmp"][0]["streamName"] == "secret-name"
    url = shown.broadcastUrls["hls"]
    await until_shown(site, broadcast.id, lambda one: one.broadcastUrls["hlsStatus"] == "ready")
    first = await asyncio.to_thread(fetched, url)
    position = check(first).open
    wanted = f"{url}?_HLS_msn={position.number}&_HLS_part={len(position.parts)}"
    second = await asyncio.to_thread(fetched, wanted)
    check(second)
    check_follows(first, second)
    await until_shown(site, broadcast.id, lambda one: one.broadcastUrls["hlsStatus"] == "live")
    played = await asyncio.to_thread(first_seconds, f"{nginx.url}/secret-name")
    sizes = {(one.get("width"), one.get("height")) for one in json.loads(played)["streams"]}
    assert (640, 480) in sizes
    changed = site.application.set_broadcast_layout
    await asyncio.to_thread(changed, broadcast.id, "pip")
    stopped = await asyncio.to_thread(site.application.stop_broadcast, broadcast.id)
    assert stopped.status == "stopped"
    with pytest.raises(opentok.BroadcastError):
        await asyncio.to_thread(site.application.stop_broadcast, broadcast.id)
    async with asyncio.timeout(WITHIN_S):
        while not check(last := await asyncio.to_thread(fetched, url)).ended:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert len(check(last).segments) >= 2
    done = await asyncio.to_thread(
        subprocess.run,
        ["ffmpeg", "-v", "error", "-xerror", "-i", url, "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    with pytest.raises(HTTPError) as refused:
        await asyncio.to_thread(fetched, url.replace(url.split("/")[5], "0" * 32))
    assert refused.value.code == 404
    refused.value.close()


async def test_an_encrypted_session_is_not_broadcast(site) -> None:
    session = await site.session(e2ee=True)
    await (await site.join(session, encryption_secret="a long secret")).publish()
    with pytest.raises(opentok.BroadcastError):
        await asyncio.to_thread(site.application.start_broadcast, session, {"outputs": {"hls": {}}})

"""What callbacks carry reaches their receivers, and is nowhere in the folders of the server."""

import json

import pytest

from sfu.egress import viewer_keys
from signaling.broadcasts.folders import BroadcastFolders
from signaling.domain.archiving import StreamMode
from signaling.domain.broadcasting import (
    DEFAULT_MAX_DURATION_S,
    DEFAULT_RESOLUTION,
    BroadcastRecord,
    HlsOutput,
    OutputStatus,
    RtmpOutput,
    broadcast_details,
)
from signaling.domain.effects import Notify
from signaling.domain.session_options import SessionOptions, SessionRecord
from signaling.hls.folders import Folders
from signaling.storage.sqlite import open_sqlite
from tests.callback_world import BROKEN, OK, PROJECT, World

URL_TOKEN = "canary-of-an-url"
URL = f"http://app.test/x/{URL_TOKEN}"
STREAM_NAME = "canary-of-a-stream-name"
KEY = "cafe" * 8
PLAYLIST = f"https://live.test/hls/b/{KEY}/index.m3u8"
CANARIES = (STREAM_NAME.encode(), KEY.encode(), URL_TOKEN.encode())
RECORD = BroadcastRecord(
    id="00000000-0000-4000-8000-000000000004",
    project_id=PROJECT.api_key,
    session_id="s",
    stream_mode=StreamMode.AUTO,
    has_audio=True,
    has_video=True,
    tag="",
    resolution=DEFAULT_RESOLUTION,
    max_duration_s=DEFAULT_MAX_DURATION_S,
    created_ms=1,
    updated_ms=1,
    hls=HlsOutput(key=KEY, status=OutputStatus.LIVE),
    rtmp=(RtmpOutput("one", "rtmps://example.com/live", STREAM_NAME, OutputStatus.LIVE),),
)


class Kept:
    """A receiver that keeps what it got."""

    def __init__(self):
        self.received = self.tries = []
        self.answer = BROKEN

    async def post(self, project, url, event_id, body, now_s):
        self.received.append(json.loads(body))
        return self.answer


def found_in(folder):
    """Which files of the folder have a canary; there must be some to look into."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) > 10_000
    return [path for path in files for one in CANARIES if one in path.read_bytes()]


@pytest.fixture
async def node(tmp_path):
    store = await open_sqlite(tmp_path / "data")
    await store.add_project(PROJECT)
    world = World(store, tmp_path / "data", Kept())
    await world.register(url=URL)
    yield world
    world.journal.close(empty=True)
    await store.close()


async def test_a_broadcast_is_reported_whole_and_no_file_holds_its_secrets(node, tmp_path):
    session = SessionRecord("s", PROJECT.api_key, SessionOptions(), 0)
    details = broadcast_details(RECORD, PLAYLIST)
    await node.store.broadcasts.add_broadcast(RECORD)
    await BroadcastFolders(tmp_path / "data/broadcasts").make(RECORD)
    node.recorder.notify(session, Notify("broadcast", RECORD.id, broadcast=details))
    assert found_in(tmp_path / "data") == []  # in the journal alone
    await node.run()
    assert len(node.receiver.received) == 1
    assert found_in(tmp_path / "data") == []  # in the outbox, after an attempt
    node.receiver.answer = OK
    node.pass_time(60)
    await node.run()
    received = node.receiver.received[-1]
    assert received["broadcastUrls"]["hls"] == PLAYLIST
    assert received["broadcastUrls"]["rtmp"][0]["streamName"] == STREAM_NAME
    assert found_in(tmp_path / "data") == []


async def test_viewers_come_in_with_the_key_and_not_with_what_is_kept_of_it(tmp_path):
    (tmp_path / "broadcasts").mkdir()
    await BroadcastFolders(tmp_path / "broadcasts").make(RECORD)
    found = Folders(tmp_path / "broadcasts").find
    assert found(RECORD.id, KEY) is not None
    for wrong in (viewer_keys.kept(KEY), viewer_keys.kept(KEY)[:32], "0" * 32, ""):
        assert found(RECORD.id, wrong) is None

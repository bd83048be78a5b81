"""A slow target loses whole groups of frames; a dead one is tried again."""

import itertools

import pytest

from sfu.egress.child.rtmp_queue import PacketQueue, Retries
from tests.unit.egress.broadcast_media import encoded


def drained(queue):
    found = []
    while (packet := queue.take()) is not None:
        found.append(packet)
    return found


def test_a_target_that_keeps_up_loses_nothing():
    tracks, packets = encoded(9)
    queue, found = PacketQueue(tracks), []
    for packet in packets:
        queue.put(packet)
        found += drained(queue)
    assert tuple(found) == packets
    assert queue.lost_groups == 0


def test_a_slow_one_loses_whole_groups_and_has_the_newest():
    tracks, packets = encoded(9)
    queue = PacketQueue(tracks)
    for packet in packets:
        queue.put(packet)
    found = drained(queue)
    assert (found[0].kind, found[0].key) == ("video", True)
    assert found[-1] is packets[-1]
    frames = [one.at for one in found if one.kind == "video"]
    assert frames == list(range(frames[0], 270))
    assert frames[0] % 60 == 0
    assert 2.0 <= (270 - frames[0]) / 30 <= 4.1
    assert queue.lost_groups == frames[0] // 60


def test_what_was_begun_to_be_sent_goes_on_with_a_key_frame():
    tracks, packets = encoded(9)
    queue, found = PacketQueue(tracks), []
    for number, packet in enumerate(packets):
        queue.put(packet)
        if number < 40:
            found += drained(queue)
    frames = [one for one in found + drained(queue) if one.kind == "video"]
    jumps = [after for before, after in itertools.pairwise(frames) if after.at != before.at + 1]
    assert [one.key for one in jumps] == [True]


def test_without_a_key_frame_nothing_is_kept():
    tracks, packets = encoded(9)
    queue = PacketQueue(tracks)
    for packet in packets:
        if not (packet.kind == "video" and packet.key):
            queue.put(packet)
    assert len(queue) == 0


def test_another_connection_begins_with_the_newest_key_frame():
    tracks, packets = encoded(7)
    queue = PacketQueue(tracks)
    for packet in packets:
        queue.put(packet)
    queue.restart()
    assert (queue.take().at, len(queue) > 0) == (180, True)
    queue.restart()  # what is left has none
    assert len(queue) == 0
    queue.put(packets[1])
    assert len(queue) == 0


def test_audio_alone_loses_its_older_half():
    tracks, packets = encoded(9, video=False)
    queue = PacketQueue(tracks)
    for packet in packets:
        queue.put(packet)
    found = drained(queue)
    assert found[-1] is packets[-1]
    assert 2.0 <= (found[-1].at - found[0].at) / 48_000 <= 4.0
    queue.restart()
    queue.put(packets[0])
    assert len(queue) == 1


def test_it_is_tried_again_after_one_two_four_seconds_and_given_up_after_a_minute():
    retries, now_s, waits = Retries(60.0), 100.0, []
    while (wait_s := retries.failed(now_s)) is not None:
        waits.append(wait_s)
        now_s += wait_s
    assert waits == [1, 2, 4, 8, 16, 16, 13]
    assert now_s == 160.0


def test_a_success_makes_all_forgotten():
    retries = Retries(60.0)
    retries.failed(0.0)
    retries.failed(59.0)
    retries.succeeded()
    assert retries.failed(1_000.0) == pytest.approx(1.0)

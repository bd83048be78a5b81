"""An Audio Connector without sockets: what peer and session hear, and what is answered."""

import base64
import json

import numpy as np
import pytest

from sfu.egress.audio import messages
from sfu.egress.audio.connector import Connector, Form
from sfu.egress.audio.messages import Transport
from sfu.egress.audio.pace import SLOT_US
from sfu.egress.audio.resample import BLOCK
from sfu.egress.audio.voices import MAX_VOICES

START = 50_000


def step(connector, number=0):
    return connector.step(START + number)


def opened(rate_hz=16_000, **form):
    connector = Connector(Form(rate_hz, form.pop("is_bidirectional", True), **form))
    first = step(connector)
    return connector, first


def audio_of(taken):
    return taken.to_peer[-1]


def test_the_first_message_says_the_format_and_the_headers():
    _, first = opened(24_000, headers={"X-Bot": "7", "event": "mine"})
    assert json.loads(first.to_peer[0]) == {
        "event": "websocket:connected",
        "content-type": "audio/l16;rate=24000",
        "X-Bot": "7",
    }
    assert len(first.to_peer) == 2


@pytest.mark.parametrize(("rate", "size"), [(8_000, 320), (16_000, 640), (24_000, 960)])
def test_silence_is_sent_in_frames_of_the_rate(rate, size):
    connector, first = opened(rate)
    assert audio_of(first) == bytes(size)
    assert step(connector, 1).to_peer == [bytes(size)]


def test_voices_are_mixed_and_one_that_left_is_silent():
    connector, _ = opened()
    connector.add_voice(1)
    connector.add_voice(2)
    loud = np.full(BLOCK, 0.25, np.float32)
    heard = []
    for number in range(1, 60):
        at_us = (START + number) * SLOT_US
        for track in (1, 2, 3):
            connector.hear(track, at_us - SLOT_US, at_us, loud)
        if number == 40:
            connector.remove_voice(2)
        heard.append(np.frombuffer(audio_of(step(connector, number)), "<i2")[-1] / 32_767)
    assert heard[35] == pytest.approx(0.5, abs=0.01)
    assert heard[-1] == pytest.approx(0.25, abs=0.01)


def test_the_number_of_voices_is_bounded():
    connector, _ = opened()
    for track in range(2 * MAX_VOICES):
        connector.add_voice(track)
    assert [connector.has_voice(track) for track in (0, MAX_VOICES - 1, MAX_VOICES)] == [
        True,
        True,
        False,
    ]


def speech_of(connector, count, first=1):
    return [step(connector, first + number).speech for number in range(count)]


def test_what_the_peer_sends_waits_until_it_is_published_and_is_whole_then():
    connector, _ = opened()
    sent = np.full(320 * 5, 8_192, "<i2").tobytes()
    connector.handle_message(sent)
    assert connector.has_spoken
    assert speech_of(connector, 3) == [None] * 3
    connector.may_speak = True
    spoken = speech_of(connector, 5, 4)
    assert spoken[3][-1] == pytest.approx(0.25, abs=0.01)


def test_after_speech_comes_a_little_silence_and_then_a_sign_of_life():
    connector, _ = opened()
    connector.may_speak = True
    assert speech_of(connector, 50) == [None] * 50
    connector.handle_message(bytes(640 * 3))
    sent = [speech is not None for speech in speech_of(connector, 103, 51)]
    assert sent[:13] == [True] * 13
    assert [at for at in range(13, 103) if sent[at]] == [22, 42, 62, 82, 102]


def test_who_only_listens_is_not_listened_to():
    connector, _ = opened(is_bidirectional=False)
    connector.may_speak = True
    connector.handle_message(bytes(6_400))
    assert not connector.has_spoken
    assert speech_of(connector, 3) == [None] * 3
    assert connector.ignored_messages == 1


@pytest.mark.parametrize("action", ["clear", "clearAudio"])
def test_a_clear_is_answered_and_ends_the_speech(action):
    connector, _ = opened()
    connector.may_speak = True
    connector.handle_message(bytes(64_000))
    connector.handle_message(json.dumps({"action": action}))
    taken = step(connector, 1)
    assert json.loads(taken.to_peer[0]) == {"event": "websocket:cleared"}
    connector.handle_message(json.dumps({"action": action}))
    assert len(step(connector, 2).to_peer) == 2


def test_the_clear_of_the_official_server_is_answered_and_an_echo_of_the_answer_is_not():
    connector, _ = opened()
    connector.handle_message(bytes(64_000))
    connector.handle_message(messages.CLEARED)
    assert step(connector, 1).to_peer[0] == messages.CLEARED
    connector.handle_message(messages.CLEARED)
    assert len(step(connector, 2).to_peer) == 1


def test_a_notification_is_answered_with_its_payload_when_its_audio_was_played():
    connector, _ = opened()
    connector.may_speak = True
    connector.handle_message(bytes(640 * 3))
    connector.handle_message(json.dumps({"action": "notify", "payload": {"id": 7}}))
    answers = [step(connector, number).to_peer[:-1] for number in range(1, 6)]
    told = {number: json.loads(one[0]) for number, one in enumerate(answers) if one}
    assert told == {2: {"event": "websocket:notify", "payload": {"id": 7}}}


def test_json_carries_audio_both_ways_in_the_members_that_were_asked_for():
    transport = Transport("a", "b", {"who": "bot"})
    connector, first = opened(transport=transport)
    sent = json.loads(audio_of(first))
    assert base64.b64decode(sent.pop("a")) == bytes(640)
    assert sent == {"who": "bot"}
    connector.handle_message(json.dumps({"b": base64.b64encode(bytes(640)).decode()}))
    assert connector.has_spoken


@pytest.mark.parametrize(
    "message",
    [
        "",
        "no json",
        "[]",
        "7",
        "null",
        '{"action": 7}',
        '{"action": ["clear"]}',
        '{"action": "dance"}',
        '{"audio": "AAAA"}',
        "[" * 100_000,
        json.dumps({"action": "notify", "payload": "x" * 5_000}),
    ],
)
def test_what_has_no_meaning_is_counted_and_nothing_else(message):
    connector, _ = opened()
    connector.handle_message(message)
    assert connector.ignored_messages == 1
    assert len(step(connector, 1).to_peer) == 1


@pytest.mark.parametrize("audio", ["AAA", "not base64!", 7, None])
def test_malformed_base64_is_no_audio(audio):
    connector, _ = opened(transport=Transport("a", "a", {}))
    connector.handle_message(json.dumps({"a": audio}))
    assert not connector.has_spoken

"""A server that works against its clients: what it can do to frames, and that none of it opens."""

import random

import pytest
from sealroute_client.e2ee.decryption import Decryptor
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.identity import Outcome, StreamHistory, Windows
from sealroute_client.e2ee.keys import Encryptor, PendingContext, SecretRing
from sealroute_client.e2ee.secret import KeyIds, SessionSecret, session_key

FRAMES = 400
SECRET = SessionSecret(session_key("correct horse battery", "session", iterations=1))
KEY_FRAME = b"\x10\x02\x00\x9d\x01\x2a\x80\x02\x68\x01" + bytes(range(200))
SLICE = b"\x00\x00\x00\x01\x65\x88" + b"p" * 90
SPS_PPS_IDR = b"\x00\x00\x00\x01\x67\x42\x00\x00\x00\x01\x68\xce" + SLICE
PLAIN = {
    CodecId.OPUS: b"\x78" + bytes(range(60)),
    CodecId.VP8: KEY_FRAME,
    CodecId.VP9: b"\x82\x49\x83\x42" + bytes(range(200)),
    CodecId.H264: SPS_PPS_IDR,
    CodecId.AV1: b"\x12\x00\x0a\x0b" + bytes(range(200)),
}


IDS = KeyIds()


def encryptor(stream: str) -> Encryptor:
    made = Encryptor()
    made.use(PendingContext(SECRET, IDS).context(SECRET.stream_base("alice", stream)))
    return made


def decryptor(stream: str = "stream") -> Decryptor:
    ring = SecretRing()
    ring.add(SECRET, 0.0)
    windows = Windows(StreamHistory("video"), "video")
    return Decryptor(ring, windows, lambda held: held.stream_base("alice", stream))


@pytest.fixture(params=list(PLAIN), ids=lambda codec: codec.name)
def codec(request) -> CodecId:
    return request.param


def wires(codec: CodecId, stream: str = "stream") -> list[bytes]:
    sending = encryptor(stream)
    made = [sending.encrypt(codec, PLAIN[codec]) for _ in range(FRAMES)]
    assert all(made)
    return made


def test_plain_frames_never_open(codec) -> None:
    receiving = decryptor()
    for _ in range(FRAMES):
        assert receiving.decrypt(codec, PLAIN[codec], 0.0).outcome is not Outcome.OK


def test_frames_of_one_stream_never_open_as_those_of_another(codec) -> None:
    receiving = decryptor("another stream")
    for wire in wires(codec):
        assert receiving.decrypt(codec, wire, 0.0).outcome is not Outcome.OK


def test_no_frame_opens_twice_however_often_and_late_it_is_sent_again(codec) -> None:
    sent, receiving = wires(codec), decryptor()
    assert all(receiving.decrypt(codec, wire, 0.0).outcome is Outcome.OK for wire in sent)
    chosen = random.Random(1)
    for _ in range(FRAMES):
        again = receiving.decrypt(codec, chosen.choice(sent), chosen.uniform(0, 30))
        assert (again.outcome, again.frame) == (Outcome.REPLAY, b"")


def test_frames_that_were_changed_cut_or_joined_never_open(codec) -> None:
    """A change that opens all the same must have been none to what is inside."""
    sent, chosen = wires(codec), random.Random(2)
    for number, wire in enumerate(sent):
        other = sent[number - 1]
        place = chosen.randrange(len(wire))
        flipped = wire[:place] + bytes([wire[place] ^ 1 << chosen.randrange(8)]) + wire[place + 1 :]
        for forged in (flipped, wire[:place], other[:place] + wire[place:], wire + b"\x00\x01"):
            decrypted = decryptor().decrypt(codec, forged, 0.0)
            assert decrypted.outcome is not Outcome.OK or decrypted.frame == PLAIN[codec]


def test_an_encrypted_frame_of_one_codec_never_opens_as_one_of_another(codec) -> None:
    for other in PLAIN:
        if other is not codec:
            for wire in wires(codec)[:20]:
                assert decryptor().decrypt(other, wire, 0.0).outcome is not Outcome.OK

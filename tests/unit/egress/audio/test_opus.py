"""Opus as the process of an Audio Connector decodes and encodes it."""

from contextlib import suppress

import numpy as np
import pytest

from sfu.egress.audio.opus import OpusDecoder, OpusEncoder, UndecodableError
from sfu.egress.audio.resample import BLOCK, RATE_HZ


def packets(count=50, hz=440):
    encoder = OpusEncoder()
    for number in range(count):
        at = (np.arange(BLOCK) + number * BLOCK) / RATE_HZ
        yield encoder.encode((0.5 * np.sin(2 * np.pi * hz * at)).astype(np.float32))


def test_what_is_encoded_is_decoded_as_it_was():
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(packet) for packet in packets()])
    assert len(heard) == 50 * BLOCK
    at = np.arange(len(heard)) / RATE_HZ
    assert 2 * abs(np.mean(heard * np.exp(-2j * np.pi * 440 * at))) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("packet", [b"", b"\xff", bytes(5_000), b"garbage" * 100])
def test_a_packet_that_is_not_opus_is_refused_and_the_next_one_is_heard(packet):
    decoder = OpusDecoder()
    good = list(packets(3))
    decoder.decode(good[0])
    with suppress(UndecodableError):
        assert len(decoder.decode(packet)) <= 120 * 48
    assert len(decoder.decode(good[1])) == BLOCK


def test_loud_samples_are_cut_off_instead_of_turning_over():
    encoder, decoder = OpusEncoder(), OpusDecoder()
    heard = np.concatenate(
        [decoder.decode(encoder.encode(np.full(BLOCK, 3.0, np.float32))) for _ in range(5)]
    )
    assert np.min(heard[BLOCK:]) > -0.9

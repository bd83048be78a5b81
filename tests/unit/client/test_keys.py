"""Which frames a sender may send and a receiver may open (e2ee/1 sections 5.2, 5.7, 5.9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.keys import (
    MAX_ACTIVE_KIDS,
    Opener,
    Outcome,
    PendingContext,
    ReplayWindow,
    Sealer,
    SecretRing,
)
from sealroute_client.e2ee.secret import (
    SessionSecret,
    generate_encryption_secret,
    new_context_id,
    normalise,
    session_key,
)
from sealroute_client.e2ee.signals import SignalOpener, SignalSealer
from sealroute_client.errors import InvalidEncryptionSecret

OPUS = CodecId.OPUS


def secret(text: str = "correct horse battery") -> SessionSecret:
    return SessionSecret(session_key(text, "session", iterations=1))


def ring_of(*held: SessionSecret) -> SecretRing:
    ring = SecretRing()
    for one in held:
        ring.add(one, 0.0)
    return ring


def sealer_for(one: SessionSecret, stream_id: str = "stream", **options: int) -> Sealer:
    sealer = Sealer(**options)
    sealer.use(PendingContext(one).context(one.stream_base(stream_id)))
    return sealer


def opener_for(ring: SecretRing, stream_id: str = "stream") -> Opener:
    return Opener(ring, lambda held: held.stream_base(stream_id))


@pytest.mark.parametrize("text", ["", "1234567", "x" * 257, None, 12345678, b"12345678"])
def test_a_secret_of_a_wrong_kind_or_length_is_refused(text) -> None:
    with pytest.raises(InvalidEncryptionSecret) as caught:
        normalise(text)
    assert caught.value.number == 6004


@pytest.mark.parametrize("text", ["12345678", "x" * 256, "\N{KEY}" * 8])
def test_a_secret_of_8_to_256_code_points_is_taken(text) -> None:
    assert normalise(text) == text.encode()


def test_length_is_counted_before_normalising() -> None:
    assert len(normalise("e\N{COMBINING ACUTE ACCENT}" * 4)) == 8
    with pytest.raises(InvalidEncryptionSecret):
        normalise("\N{LATIN SMALL LETTER E WITH ACUTE}" * 4)


def test_a_lone_surrogate_is_refused_without_quoting_the_secret() -> None:
    with pytest.raises(InvalidEncryptionSecret) as caught:
        normalise("hush-hush\ud800")
    assert "hush" not in str(caught.value)


def test_a_generated_secret_is_valid_and_new_each_time() -> None:
    one, other = generate_encryption_secret(), generate_encryption_secret()
    assert one != other
    assert normalise(one)


def test_keys_are_not_shown() -> None:
    assert repr(secret()) == "SessionSecret(…)"
    assert repr(PendingContext(secret()).context(bytes(64))) == "KeyContext(…)"


def test_a_context_id_has_its_top_bit_set() -> None:
    assert all(new_context_id()[0] & 0x80 for _ in range(64))


def test_a_sealer_without_key_gives_nothing() -> None:
    sealer = Sealer()
    assert sealer.seal(OPUS, b"frame") is None
    assert sealer.dropped_frames == 1


def test_a_sealer_stops_at_the_end_of_its_counter() -> None:
    sealer = sealer_for(secret(), limit=2)
    assert [sealer.seal(OPUS, b"x") is None for _ in range(3)] == [False, False, True]
    assert sealer.is_exhausted


def test_a_key_id_is_never_used_twice_by_a_sealer() -> None:
    one = secret()
    context = PendingContext(one).context(one.stream_base("stream"))
    sealer = Sealer()
    sealer.use(context)
    with pytest.raises(ValueError, match="used once"):
        sealer.use(context)


def test_two_senders_with_one_secret_and_stream_never_share_a_key_stream() -> None:
    one = secret()
    first, second = (sealer_for(one).seal(OPUS, bytes(32)) for _ in range(2))
    assert first[-42:-10] != second[-42:-10]


def test_a_frame_opens_once() -> None:
    one = secret()
    sealer, opener = sealer_for(one), opener_for(ring_of(one))
    wire = sealer.seal(OPUS, b"frame")
    assert opener.open(OPUS, wire, 0.0).frame == b"frame"
    assert opener.open(OPUS, wire, 0.1).outcome is Outcome.REPLAY


def test_frames_may_arrive_out_of_order_within_the_window() -> None:
    one = secret()
    sealer, opener = sealer_for(one), opener_for(ring_of(one))
    wires = [sealer.seal(OPUS, b"x") for _ in range(1025)]
    assert opener.open(OPUS, wires[-1], 0.0).outcome is Outcome.OK
    assert opener.open(OPUS, wires[1], 0.0).outcome is Outcome.OK
    assert opener.open(OPUS, wires[0], 0.0).outcome is Outcome.REPLAY


@given(st.lists(st.integers(0, 3_000), max_size=80))
def test_a_window_accepts_each_counter_at_most_once(counters) -> None:
    window = ReplayWindow()
    accepted = []
    for ctr in counters:
        if window.is_fresh(ctr):
            window.record(ctr)
            accepted.append(ctr)
    assert len(accepted) == len(set(accepted))


def test_a_forged_frame_moves_no_window() -> None:
    one = secret()
    sealer, opener = sealer_for(one), opener_for(ring_of(one))
    wires = [sealer.seal(OPUS, b"x") for _ in range(3)]
    assert opener.open(OPUS, wires[0], 0.0).outcome is Outcome.OK
    forged = wires[2][:-1] + bytes([wires[2][-1] ^ 1])
    assert opener.open(OPUS, forged, 0.0).outcome is Outcome.AUTH
    assert opener.open(OPUS, wires[2], 0.0).outcome is Outcome.OK


def test_a_key_id_that_was_left_is_retired_after_ten_seconds_for_ever() -> None:
    one = secret()
    old, new, opener = sealer_for(one), sealer_for(one), opener_for(ring_of(one))
    assert opener.open(OPUS, old.seal(OPUS, b"x"), 0.0).outcome is Outcome.OK
    assert opener.open(OPUS, new.seal(OPUS, b"x"), 1.0).outcome is Outcome.OK
    assert opener.open(OPUS, old.seal(OPUS, b"x"), 9.0).outcome is Outcome.OK
    for now_s in (19.0, 1_000.0):
        assert opener.open(OPUS, old.seal(OPUS, b"x"), now_s).outcome is Outcome.REPLAY
    assert opener.open(OPUS, new.seal(OPUS, b"x"), 1_001.0).outcome is Outcome.OK


def test_more_than_eight_key_ids_push_out_the_oldest_which_stays_out() -> None:
    one = secret()
    sealers = [sealer_for(one) for _ in range(MAX_ACTIVE_KIDS + 1)]
    opener = opener_for(ring_of(one))
    for index, sealer in enumerate(sealers):
        assert opener.open(OPUS, sealer.seal(OPUS, b"x"), index / 10).outcome is Outcome.OK
    assert opener.open(OPUS, sealers[0].seal(OPUS, b"x"), 1.0).outcome is Outcome.REPLAY


def test_unknown_key_ids_cost_at_most_twenty_derivations_a_second() -> None:
    one = secret()
    derived = []
    opener = Opener(ring_of(one), lambda held: derived.append(1) or held.stream_base("other"))
    for index in range(100):
        wire = sealer_for(one).seal(OPUS, b"x")
        assert opener.open(OPUS, wire, index / 1_000).outcome is Outcome.AUTH
    assert len(derived) == 20
    opener.open(OPUS, sealer_for(one).seal(OPUS, b"x"), 1.5)
    assert len(derived) == 21


def test_two_secrets_with_one_hint_are_both_tried() -> None:
    one, other = secret(), secret("another secret here")
    other.hint = one.hint
    opener = opener_for(ring_of(one, other))
    for sender in (one, other):
        assert opener.open(OPUS, sealer_for(sender).seal(OPUS, b"x"), 0.0).outcome is Outcome.OK


def test_an_old_secret_opens_until_ten_seconds_after_its_last_frame() -> None:
    old, new = secret(), secret("a newer secret")
    ring = ring_of(old)
    sealer, opener = sealer_for(old), opener_for(ring)
    ring.add(new, 100.0)
    for now_s in (105.0, 114.0):
        assert opener.open(OPUS, sealer.seal(OPUS, b"x"), now_s).outcome is Outcome.OK
    assert opener.open(OPUS, sealer.seal(OPUS, b"x"), 124.5).outcome is not Outcome.OK


def test_an_old_secret_is_gone_after_a_minute_even_in_use() -> None:
    old, new = secret(), secret("a newer secret")
    ring = ring_of(old)
    sealer, opener = sealer_for(old), opener_for(ring)
    ring.add(new, 100.0)
    for now_s in range(105, 160, 5):
        assert opener.open(OPUS, sealer.seal(OPUS, b"x"), now_s).outcome is Outcome.OK
    assert opener.open(OPUS, sealer.seal(OPUS, b"x"), 160.0).outcome is not Outcome.OK


def test_an_immediate_change_shuts_the_old_secret_out_at_once() -> None:
    old, new = secret(), secret("a newer secret")
    ring = ring_of(old)
    opener = opener_for(ring)
    ring.add(new, 1.0, immediate=True)
    wire = sealer_for(old).seal(OPUS, b"x")
    assert opener.open(OPUS, wire, 1.0).outcome is Outcome.SECRET


def test_a_secret_that_comes_back_keeps_its_replay_state() -> None:
    one, other = secret(), secret("a newer secret")
    ring = ring_of(one)
    sealer, opener = sealer_for(one), opener_for(ring)
    wire = sealer.seal(OPUS, b"x")
    assert opener.open(OPUS, wire, 0.0).outcome is Outcome.OK
    ring.add(other, 1.0)
    ring.add(secret(), 2.0)
    assert opener.open(OPUS, wire, 2.0).outcome is Outcome.REPLAY
    assert opener.open(OPUS, sealer.seal(OPUS, b"x"), 100.0).outcome is Outcome.OK


@given(st.sampled_from(list(CodecId)), st.binary(max_size=300))
def test_random_bytes_never_open_and_never_raise(codec, wire) -> None:
    opened = opener_for(ring_of(secret())).open(codec, wire, 0.0)
    assert opened.outcome is not Outcome.OK
    assert opened.frame == b""


def nal(kind: int, body: bytes) -> bytes:
    # Bytes without zeros need no emulation prevention; the first two hold the slice header.
    return b"\x00\x00\x01" + bytes([kind, 0x9A, 0x0A]) + bytes(b or 1 for b in body)


@given(
    st.lists(
        st.builds(nal, st.sampled_from([0x41, 0x65, 0x06, 0x67, 0x68]), st.binary(max_size=60)),
        min_size=1,
        max_size=6,
    )
)
def test_any_access_unit_with_a_slice_survives_the_wrap(nals) -> None:
    one = secret()
    frame = b"".join(nals)
    wire = sealer_for(one).seal(CodecId.H264, frame)
    if not any(n[3] in (0x41, 0x65) for n in nals):
        assert wire is None
        return
    # What browsers do on the way: 3-byte start codes, parameter sets that grow.
    renewed = wire.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01")
    opened = opener_for(ring_of(one)).open(CodecId.H264, renewed, 0.0)
    assert opened.frame == b"".join(b"\x00" + n for n in nals)


@given(st.text(max_size=40), st.text(max_size=200))
def test_a_sealed_signal_gives_back_type_and_data_once(kind, data) -> None:
    one = secret()
    sealed = SignalSealer("alice").seal(one, kind, data)
    opener = SignalOpener(ring_of(one), "alice")
    assert opener.open(sealed, 0.0) == (Outcome.OK, kind, data)
    assert opener.open(sealed, 0.1) == (Outcome.REPLAY, "", "")


def test_a_signal_under_the_name_of_another_connection_does_not_open() -> None:
    one = secret()
    sealed = SignalSealer("alice").seal(one, "chat", "hello")
    assert SignalOpener(ring_of(one), "bob").open(sealed, 0.0)[0] is Outcome.AUTH


def test_a_media_frame_is_no_signal() -> None:
    one = secret()
    wire = sealer_for(one).seal(OPUS, b"\x00\x01abc")
    assert SignalOpener(ring_of(one), "stream").open(wire, 0.0)[0] is Outcome.AUTH

"""Which frames a sender may send and a receiver may open (docs/e2ee.md sections 2, 7 and 9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealroute_client.e2ee.decryption import Decryptor
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.identity import (
    WINDOWS,
    Budget,
    Outcome,
    ReplayWindow,
    StreamHistory,
    Windows,
)
from sealroute_client.e2ee.keys import Encryptor, PendingContext, SecretRing
from sealroute_client.e2ee.secret import (
    CONTEXTS,
    KeyIds,
    SessionSecret,
    context_of,
    generate_encryption_secret,
    normalise,
    sender_of,
    session_key,
)
from sealroute_client.e2ee.signals import SignalContent, SignalDecryptor, SignalEncryptor
from sealroute_client.errors import EncryptionInternalError, InvalidEncryptionSecret
from sealroute_client.rules import MAX_ACTIVE_CONTEXTS

OPUS = CodecId.OPUS


def secret(text: str = "correct horse battery") -> SessionSecret:
    return SessionSecret(session_key(text, "session", iterations=1))


def ring_of(*held: SessionSecret) -> SecretRing:
    ring = SecretRing()
    for one in held:
        ring.add(one, 0.0)
    return ring


IDS = KeyIds()


def encryptor_for(
    one: SessionSecret, stream_id: str = "stream", ids: KeyIds = IDS, **options: int
) -> Encryptor:
    encryptor = Encryptor(**options)
    encryptor.use(PendingContext(one, ids).context(one.stream_base("alice", stream_id)))
    return encryptor


def decryptor_for(
    ring: SecretRing, stream_id: str = "stream", windows: Windows | None = None
) -> Decryptor:
    windows = windows or Windows(StreamHistory("video"), "video")
    return Decryptor(ring, windows, lambda held: held.stream_base("alice", stream_id))


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
    assert repr(PendingContext(secret(), IDS).context(bytes(64))) == "KeyContext(…)"


def test_every_key_id_of_a_publication_has_its_sender_part_and_a_context_of_its_own() -> None:
    ids = KeyIds()
    kids = [ids.next(hint=7) for _ in range(CONTEXTS)]
    assert len({sender_of(kid) for kid in kids}) == 1
    assert len({context_of(kid) for kid in kids}) == CONTEXTS
    assert all(kid >> 63 for kid in kids)
    with pytest.raises(EncryptionInternalError):
        ids.next(hint=8)


def test_two_publications_have_different_sender_parts() -> None:
    assert sender_of(KeyIds().next(0)) != sender_of(KeyIds().next(0))


def test_an_encryptor_without_key_gives_nothing() -> None:
    encryptor = Encryptor()
    assert encryptor.encrypt(OPUS, b"frame") is None
    assert encryptor.dropped_frames == 1


def test_an_encryptor_stops_at_the_end_of_its_counter() -> None:
    encryptor = encryptor_for(secret(), limit=2)
    assert [encryptor.encrypt(OPUS, b"x") is None for _ in range(3)] == [False, False, True]
    assert encryptor.is_exhausted


def test_a_key_id_is_never_used_twice_by_an_encryptor() -> None:
    one = secret()
    context = PendingContext(one, IDS).context(one.stream_base("alice", "stream"))
    encryptor = Encryptor()
    encryptor.use(context)
    with pytest.raises(ValueError, match="used once"):
        encryptor.use(context)


def test_two_senders_with_one_secret_and_stream_never_share_a_key_stream() -> None:
    one = secret()
    first, second = (encryptor_for(one).encrypt(OPUS, bytes(32)) for _ in range(2))
    assert first[-42:-10] != second[-42:-10]


def test_a_frame_opens_once() -> None:
    one = secret()
    encryptor, decryptor = encryptor_for(one), decryptor_for(ring_of(one))
    wire = encryptor.encrypt(OPUS, b"frame")
    assert decryptor.decrypt(OPUS, wire, 0.0).frame == b"frame"
    assert decryptor.decrypt(OPUS, wire, 0.1).outcome is Outcome.REPLAY


@given(st.lists(st.integers(0, 3_000), max_size=80))
def test_a_window_accepts_each_counter_at_most_once(counters) -> None:
    window = ReplayWindow(WINDOWS["audio"])
    accepted = []
    for ctr in counters:
        if window.is_fresh(ctr):
            window.record(ctr)
            accepted.append(ctr)
    assert len(accepted) == len(set(accepted))


def test_a_forged_frame_moves_no_window() -> None:
    one = secret()
    encryptor, decryptor = encryptor_for(one), decryptor_for(ring_of(one))
    wires = [encryptor.encrypt(OPUS, b"x") for _ in range(3)]
    assert decryptor.decrypt(OPUS, wires[0], 0.0).outcome is Outcome.OK
    forged = wires[2][:-1] + bytes([wires[2][-1] ^ 1])
    assert decryptor.decrypt(OPUS, forged, 0.0).outcome is Outcome.AUTH
    assert decryptor.decrypt(OPUS, wires[2], 0.0).outcome is Outcome.OK


def test_unknown_key_ids_cost_at_most_twenty_derivations_a_second() -> None:
    one = secret()
    derived = []
    whole = Budget(60)

    def flood(streams: int, at_s: float) -> int:
        before = len(derived)
        for number in range(streams):
            windows = Windows(histories[number], "video")
            decryptor = Decryptor(
                ring_of(one), windows, lambda held: derived.append(1) or bytes(64)
            )
            for index in range(40):
                wire = encryptor_for(one).encrypt(OPUS, b"x")
                assert decryptor.decrypt(OPUS, wire, at_s + index / 1_000).outcome is Outcome.AUTH
        return len(derived) - before

    histories = [StreamHistory("video", whole=whole) for _ in range(5)]
    assert flood(1, 0.0) == 20
    assert flood(1, 1.5) == 20
    assert flood(5, 3.0) == 60


def test_a_frame_of_another_publication_costs_no_derivation() -> None:
    one, history, derived = secret(), StreamHistory("video"), []
    windows = Windows(history, "video")
    decryptor = Decryptor(
        ring_of(one), windows, lambda held: derived.append(1) or held.stream_base("alice", "stream")
    )
    assert (
        decryptor.decrypt(OPUS, encryptor_for(one).encrypt(OPUS, b"x"), 0.0).outcome is Outcome.OK
    )
    other = encryptor_for(one, ids=KeyIds()).encrypt(OPUS, b"x")
    assert decryptor.decrypt(OPUS, other, 0.1).outcome is Outcome.SENDER
    assert derived == [1]


def test_a_key_ends_with_its_secret_but_what_it_opened_is_remembered() -> None:
    old, new = secret(), secret("a newer secret")
    ring, history = ring_of(old), StreamHistory("video")
    decryptor = decryptor_for(ring, windows=Windows(history, "video"))
    wire = encryptor_for(old).encrypt(OPUS, b"x")
    assert decryptor.decrypt(OPUS, wire, 0.0).outcome is Outcome.OK
    ring.add(new, 1.0, immediate=True)
    assert decryptor.decrypt(OPUS, wire, 2.0).outcome is Outcome.REPLAY
    ring.add(secret(), 3.0)
    assert decryptor.decrypt(OPUS, wire, 4.0).outcome is Outcome.REPLAY
    again = decryptor_for(ring, windows=Windows(history, "video"))
    assert again.decrypt(OPUS, wire, 5.0).outcome is Outcome.REPLAY
    assert MAX_ACTIVE_CONTEXTS == 8


def test_two_secrets_with_one_hint_are_both_tried() -> None:
    one, other = secret(), secret("another secret here")
    other.hint = one.hint
    decryptor = decryptor_for(ring_of(one, other))
    for sender in (one, other):
        assert (
            decryptor.decrypt(OPUS, encryptor_for(sender).encrypt(OPUS, b"x"), 0.0).outcome
            is Outcome.OK
        )


def test_an_old_secret_opens_until_ten_seconds_after_its_last_frame() -> None:
    old, new = secret(), secret("a newer secret")
    ring = ring_of(old)
    encryptor, decryptor = encryptor_for(old), decryptor_for(ring)
    ring.add(new, 100.0)
    for now_s in (105.0, 114.0):
        assert decryptor.decrypt(OPUS, encryptor.encrypt(OPUS, b"x"), now_s).outcome is Outcome.OK
    assert decryptor.decrypt(OPUS, encryptor.encrypt(OPUS, b"x"), 124.5).outcome is not Outcome.OK


def test_an_old_secret_is_gone_after_a_minute_even_in_use() -> None:
    old, new = secret(), secret("a newer secret")
    ring = ring_of(old)
    encryptor, decryptor = encryptor_for(old), decryptor_for(ring)
    ring.add(new, 100.0)
    for now_s in range(105, 160, 5):
        assert decryptor.decrypt(OPUS, encryptor.encrypt(OPUS, b"x"), now_s).outcome is Outcome.OK
    assert decryptor.decrypt(OPUS, encryptor.encrypt(OPUS, b"x"), 160.0).outcome is not Outcome.OK


def test_an_immediate_change_shuts_the_old_secret_out_at_once() -> None:
    old, new = secret(), secret("a newer secret")
    ring = ring_of(old)
    decryptor = decryptor_for(ring)
    ring.add(new, 1.0, immediate=True)
    wire = encryptor_for(old).encrypt(OPUS, b"x")
    assert decryptor.decrypt(OPUS, wire, 1.0).outcome is Outcome.SECRET


def test_a_secret_that_comes_back_keeps_its_replay_state() -> None:
    one, other = secret(), secret("a newer secret")
    ring = ring_of(one)
    encryptor, decryptor = encryptor_for(one), decryptor_for(ring)
    wire = encryptor.encrypt(OPUS, b"x")
    assert decryptor.decrypt(OPUS, wire, 0.0).outcome is Outcome.OK
    ring.add(other, 1.0)
    ring.add(secret(), 2.0)
    assert decryptor.decrypt(OPUS, wire, 2.0).outcome is Outcome.REPLAY
    assert decryptor.decrypt(OPUS, encryptor.encrypt(OPUS, b"x"), 100.0).outcome is Outcome.OK


@given(st.sampled_from(list(CodecId)), st.binary(max_size=300))
def test_random_bytes_never_open_and_never_raise(codec, wire) -> None:
    decrypted = decryptor_for(ring_of(secret())).decrypt(codec, wire, 0.0)
    assert decrypted.outcome is not Outcome.OK
    assert decrypted.frame == b""


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
    wire = encryptor_for(one).encrypt(CodecId.H264, frame)
    if not any(n[3] in (0x41, 0x65) for n in nals):
        assert wire is None
        return
    # What browsers do on the way: 3-byte start codes, parameter sets that grow.
    renewed = wire.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01")
    decrypted = decryptor_for(ring_of(one)).decrypt(CodecId.H264, renewed, 0.0)
    assert decrypted.frame == b"".join(b"\x00" + n for n in nals)


def signal_decryptor(sender: str, *held: SessionSecret) -> SignalDecryptor:
    return SignalDecryptor(ring_of(*held), sender, StreamHistory("signal"))


@given(st.text(max_size=40), st.text(max_size=200))
def test_an_encrypted_signal_gives_back_type_and_data_once(kind, data) -> None:
    one = secret()
    encrypted = SignalEncryptor("alice").encrypt(one, SignalContent("", kind, data))
    decryptor = signal_decryptor("alice", one)
    assert decryptor.decrypt(encrypted, "bob", 0.0) == SignalContent("", kind, data)
    assert decryptor.decrypt(encrypted, "bob", 0.1) is Outcome.REPLAY


def test_a_signal_for_one_is_not_delivered_to_another() -> None:
    one = secret()
    encrypted = SignalEncryptor("alice").encrypt(one, SignalContent("bob", "chat", "hello"))
    assert signal_decryptor("alice", one).decrypt(encrypted, "carol", 0.0) is Outcome.ADDRESSEE
    assert signal_decryptor("alice", one).decrypt(encrypted, "bob", 0.0) == SignalContent(
        "bob", "chat", "hello"
    )


def test_a_signal_under_the_name_of_another_connection_does_not_open() -> None:
    one = secret()
    encrypted = SignalEncryptor("alice").encrypt(one, SignalContent("", "chat", "hello"))
    assert signal_decryptor("bob", one).decrypt(encrypted, "carol", 0.0) is Outcome.AUTH


def test_a_media_frame_is_no_signal() -> None:
    one = secret()
    wire = encryptor_for(one).encrypt(OPUS, b"\x00\x01abc")
    assert signal_decryptor("stream", one).decrypt(wire, "bob", 0.0) is Outcome.AUTH

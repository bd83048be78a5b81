"""The published SFrame vectors and the e2ee/2 vectors, byte for byte."""

import json
from pathlib import Path

import pytest
from sealroute_client.e2ee import frames
from sealroute_client.e2ee.decryption import Decryptor
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.identity import StreamHistory, Windows
from sealroute_client.e2ee.keys import SecretRing
from sealroute_client.e2ee.secret import (
    SessionSecret,
    context_of,
    hint_of,
    key_context,
    key_id,
    length_prefixed,
    sender_of,
    session_key,
)
from sealroute_client.e2ee.sframe import (
    SUITES,
    KeyContext,
    aead_decrypt,
    aead_encrypt,
    decode_header,
    derive_key,
    encode_header,
    hkdf_extract,
)
from sealroute_client.e2ee.signals import SignalContent, SignalDecryptor

from tests.vectors import make

ROOT = Path(__file__).parents[3]
OURS = json.loads((ROOT / "tests/vectors/e2ee-v2-vectors.json").read_text())
CODECS = {codec.name.lower(): codec for codec in CodecId}
PUBLISHED = ROOT.parent / "shared" / "data"


def published(name: str) -> dict[str, list[dict[str, object]]]:
    path = PUBLISHED / name
    if not path.exists():
        pytest.skip(f"NOT CHECKED: the sframe-wg vectors {name} are not on this machine")
    return json.loads(path.read_text())


def unhex(value: object) -> bytes:
    return bytes.fromhex(str(value))


def test_every_published_header_encodes_and_decodes() -> None:
    vectors = published("sframe-test-vectors.json")["header"]
    assert len(vectors) == 289
    for row in vectors:
        encoded = unhex(row["encoded"])
        assert encode_header(row["kid"], row["ctr"]) == encoded
        header = decode_header(encoded)
        assert (header.kid, header.ctr, header.length) == (row["kid"], row["ctr"], len(encoded))


@pytest.mark.parametrize("group", ["aes_ctr_hmac", "aes_256_ctr_hmac"])
def test_every_published_aead_encrypts_and_opens(group: str) -> None:
    for row in published("sframe-test-vectors.json")[group]:
        suite = SUITES[row["cipher_suite"]]
        key, nonce, aad = unhex(row["key"]), unhex(row["nonce"]), unhex(row["aad"])
        assert aead_encrypt(suite, key, nonce, aad, unhex(row["pt"])) == unhex(row["ct"])
        assert aead_decrypt(suite, key, nonce, aad, unhex(row["ct"])) == unhex(row["pt"])


@pytest.mark.parametrize(
    ("name", "group", "suites"),
    [
        ("sframe-test-vectors.json", "sframe", {1, 2, 3, 4, 5}),
        ("sframe-test-vectors-aes256.json", "sframe_aes_256_ctr_hmac", {6, 7, 8}),
    ],
)
def test_every_published_suite_derives_encrypts_and_opens(name, group, suites) -> None:
    rows = published(name)[group]
    assert {row["cipher_suite"] for row in rows} == suites
    for row in rows:
        suite = SUITES[row["cipher_suite"]]
        base_key = unhex(row["base_key"])
        assert hkdf_extract(suite.hash, b"", base_key) == unhex(row["sframe_secret"])
        assert derive_key(suite, base_key, row["kid"]) == (
            unhex(row["sframe_key"]),
            unhex(row["sframe_salt"]),
        )
        context = KeyContext(suite, base_key, row["kid"])
        encrypted = unhex(row["ct"])
        assert context.encrypt(row["ctr"], unhex(row["metadata"]), unhex(row["pt"])) == encrypted
        decrypted = context.decrypt(decode_header(encrypted), unhex(row["metadata"]), encrypted)
        assert decrypted == unhex(row["pt"])


@pytest.mark.parametrize("row", OURS["kdf"], ids=range(len(OURS["kdf"])))
def test_a_secret_gives_the_keys_hint_and_code_of_the_vectors(row) -> None:
    key = session_key(row["secret"], row["sessionId"], row["iterations"])
    assert key.hex() == row["sessionKey"]
    secret = SessionSecret(key)
    assert secret.hint == row["hint"]
    assert secret.stream_base(row["connectionId"], row["streamId"]).hex() == row["baseKey"]
    assert secret.signal_base(row["connectionId"]).hex() == row["signalBaseKey"]
    assert secret.verification_code() == row["verificationCode"]


@pytest.mark.parametrize("row", OURS["kids"], ids=[row["kid"] for row in OURS["kids"]])
def test_a_key_id_is_made_of_sender_context_and_hint(row) -> None:
    kid = key_id(row["sender"], row["context"], row["hint"])
    assert f"{kid:016x}" == row["kid"]
    assert (sender_of(kid), context_of(kid), hint_of(kid)) == (
        row["sender"],
        row["context"],
        row["hint"],
    )


def first_secret() -> SessionSecret:
    return SessionSecret(unhex(OURS["kdf"][0]["sessionKey"]))


def first_context() -> KeyContext:
    base_key = first_secret().stream_base("conn-1", "stream-1")
    return key_context(base_key, int(OURS["key"]["kid"], 16))


def test_a_key_id_gives_the_key_of_the_vectors() -> None:
    base_key = first_secret().stream_base("conn-1", "stream-1")
    key, salt = derive_key(SUITES[6], base_key, int(OURS["key"]["kid"], 16))
    assert (key.hex(), salt.hex()) == (OURS["key"]["sframeKey"], OURS["key"]["sframeSalt"])


def test_the_vectors_hold_every_codec_at_every_length_of_the_counter() -> None:
    rows = {(row["codec"], row["ctr"]) for row in OURS["frames"]}
    counters = {0, 7, 8, 255, 256, 65_535, 65_536, 2**24, 2**32 - 1}
    assert rows == {(c, n) for c in ("opus", "vp8", "vp9", "h264", "av1") for n in counters}


@pytest.mark.parametrize("row", OURS["frames"], ids=range(len(OURS["frames"])))
def test_a_frame_is_encrypted_and_opened_as_in_the_vectors(row) -> None:
    codec = CODECS[row["codec"]]
    context = first_context()
    wire = frames.encrypt(
        codec, unhex(row["plain"]), lambda meta, part: context.encrypt(row["ctr"], meta, part)
    )
    assert wire.hex() == row["wire"]
    assert frames.split(codec, wire).clear.hex() == row["clear"]
    decrypted = decryptor("conn-1", "stream-1").decrypt(codec, wire, 0.0)
    assert (decrypted.outcome, decrypted.frame.hex()) == ("ok", row["decrypted"])


def first_ring() -> SecretRing:
    ring = SecretRing()
    ring.add(first_secret(), 0.0)
    return ring


def decryptor(connection_id: str, stream_id: str) -> Decryptor:
    windows = Windows(StreamHistory("video"), "video")
    return Decryptor(first_ring(), windows, lambda held: held.stream_base(connection_id, stream_id))


@pytest.mark.parametrize("row", OURS["bad"], ids=[row["name"] for row in OURS["bad"]])
def test_a_bad_frame_is_refused_for_the_reason_of_the_vectors(row) -> None:
    receiver = decryptor(row["connectionId"], row["streamId"])
    decrypted = receiver.decrypt(CODECS[row["codec"]], unhex(row["wire"]), 0.0)
    assert (decrypted.outcome, decrypted.frame) == (row["expected"], b"")


def signal_decryptor(sender: str) -> SignalDecryptor:
    return SignalDecryptor(first_ring(), sender, StreamHistory("signal"))


@pytest.mark.parametrize("row", OURS["signals"], ids=[row["ctr"] for row in OURS["signals"]])
def test_a_signal_opens_as_in_the_vectors(row) -> None:
    wire = unhex(row["wire"])
    content = signal_decryptor(row["connectionId"]).decrypt(wire, row["to"], 0.0)
    assert content == SignalContent(row["to"], row["type"], row["data"])
    context = key_context(
        first_secret().signal_base(row["connectionId"]), int(OURS["key"]["kid"], 16)
    )
    plaintext = b"".join(map(length_prefixed, (row["to"], row["type"]))) + row["data"].encode()
    assert context.encrypt(row["ctr"], frames.metadata(CodecId.SIGNAL), plaintext) == wire


@pytest.mark.parametrize("row", OURS["badSignals"], ids=[r["name"] for r in OURS["badSignals"]])
def test_a_bad_signal_is_not_delivered(row) -> None:
    decrypted = signal_decryptor(row["from"]).decrypt(unhex(row["wire"]), row["receiver"], 0.0)
    assert decrypted == row["expected"]


def test_the_files_are_what_their_maker_writes() -> None:
    assert make.main(["--check"]) == 0

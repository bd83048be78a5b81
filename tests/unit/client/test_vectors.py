"""The published SFrame vectors and the e2ee/1 vectors, byte for byte."""

import json
from pathlib import Path

import pytest
from sealroute_client.e2ee import frames
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.keys import Opener, SecretRing
from sealroute_client.e2ee.secret import SessionSecret, key_context, session_key
from sealroute_client.e2ee.sframe import (
    SUITES,
    KeyContext,
    aead_open,
    aead_seal,
    decode_header,
    derive_key,
    encode_header,
    hkdf_extract,
)

ROOT = Path(__file__).parents[3]
OURS = json.loads((ROOT / "tests/vectors/e2ee-v1-vectors.json").read_text())
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
def test_every_published_aead_seals_and_opens(group: str) -> None:
    for row in published("sframe-test-vectors.json")[group]:
        suite = SUITES[row["cipher_suite"]]
        key, nonce, aad = unhex(row["key"]), unhex(row["nonce"]), unhex(row["aad"])
        assert aead_seal(suite, key, nonce, aad, unhex(row["pt"])) == unhex(row["ct"])
        assert aead_open(suite, key, nonce, aad, unhex(row["ct"])) == unhex(row["pt"])


@pytest.mark.parametrize(
    ("name", "group", "suites"),
    [
        ("sframe-test-vectors.json", "sframe", {1, 2, 3, 4, 5}),
        ("sframe-test-vectors-aes256.json", "sframe_aes_256_ctr_hmac", {6, 7, 8}),
    ],
)
def test_every_published_suite_derives_seals_and_opens(name, group, suites) -> None:
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
        sealed = unhex(row["ct"])
        assert context.seal(row["ctr"], unhex(row["metadata"]), unhex(row["pt"])) == sealed
        opened = context.open(decode_header(sealed), unhex(row["metadata"]), sealed)
        assert opened == unhex(row["pt"])


@pytest.mark.parametrize("row", OURS["kdf"], ids=range(len(OURS["kdf"])))
def test_a_secret_gives_the_key_hint_and_stream_key_of_the_vectors(row) -> None:
    key = session_key(row["secret"], row["sessionId"], row["iterations"])
    assert key.hex() == row["sessionKey"]
    secret = SessionSecret(key)
    assert secret.hint == row["hint"]
    assert secret.stream_base(row["streamId"]).hex() == row["baseKey"]


def first_secret() -> SessionSecret:
    return SessionSecret(unhex(OURS["kdf"][0]["sessionKey"]))


def test_a_key_id_gives_the_key_of_the_vectors() -> None:
    base_key = first_secret().stream_base("stream-1")
    key, salt = derive_key(SUITES[6], base_key, int(OURS["key"]["kid"], 16))
    assert (key.hex(), salt.hex()) == (OURS["key"]["sframeKey"], OURS["key"]["sframeSalt"])


@pytest.mark.parametrize("row", OURS["frames"], ids=range(len(OURS["frames"])))
def test_a_frame_is_sealed_and_opened_as_in_the_vectors(row) -> None:
    codec = CODECS[row["codec"]]
    secret = first_secret()
    context = key_context(secret.stream_base("stream-1"), int(OURS["key"]["kid"], 16))
    wire = frames.seal(
        codec, unhex(row["plain"]), lambda meta, part: context.seal(row["ctr"], meta, part)
    )
    assert wire.hex() == row["wire"]
    assert frames.split(codec, wire).clear.hex() == row["clear"]
    opened = opener(secret, "stream-1").open(codec, wire, 0.0)
    assert (opened.outcome, opened.frame.hex()) == ("ok", row["decrypted"])


def opener(secret: SessionSecret, stream_id: str) -> Opener:
    ring = SecretRing()
    ring.add(secret, 0.0)
    return Opener(ring, lambda held: held.stream_base(stream_id))


@pytest.mark.parametrize("row", OURS["bad"], ids=[row["name"] for row in OURS["bad"]])
def test_a_bad_frame_is_refused_for_the_reason_of_the_vectors(row) -> None:
    receiver = opener(first_secret(), row["streamId"])
    opened = receiver.open(CODECS[row["codec"]], unhex(row["wire"]), 0.0)
    assert (opened.outcome, opened.frame) == (row["expected"], b"")

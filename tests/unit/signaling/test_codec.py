"""Bytes to messages and back: every message survives, nothing else gets in."""

import json
import random
import time
import tracemalloc
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.domain.errors import ErrorCode, PeerProtocolError
from signaling.protocol import messages as m
from signaling.protocol.codec import (
    MAX_ARRAY_ITEMS,
    MAX_DEPTH,
    MAX_MAP_MEMBERS,
    MAX_MESSAGE_BYTES,
    Encoding,
    decode,
    decode_server_message,
    encode,
)
from signaling.protocol.counting import TooManyError, check_json, check_msgpack
from signaling.protocol.shapes import CLIENT_MESSAGES, SERVER_MESSAGES, struct_of
from tests.machine_speed import within
from tests.message_strategies import messages

BOTH = pytest.mark.parametrize("encoding", list(Encoding))


def wire(raw: object, encoding: Encoding) -> bytes:
    if encoding is Encoding.JSON:
        return json.dumps(raw).encode()
    packed: bytes = msgpack.packb(raw)
    return packed


def refusal(data: bytes | str, encoding: Encoding) -> PeerProtocolError:
    with pytest.raises(PeerProtocolError) as caught:
        decode(data, encoding)
    return caught.value


@BOTH
@pytest.mark.parametrize("cls", CLIENT_MESSAGES, ids=lambda cls: cls.__name__)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
def test_every_message_of_a_client_survives_the_wire(
    cls: type[m.Message], encoding: Encoding, data: st.DataObject
) -> None:
    message = data.draw(messages(cls))
    assert decode(encode(message, encoding), encoding) == message


@BOTH
@pytest.mark.parametrize("cls", SERVER_MESSAGES, ids=lambda cls: cls.__name__)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
def test_every_message_of_the_server_survives_the_wire(
    cls: type[m.Message], encoding: Encoding, data: st.DataObject
) -> None:
    message = data.draw(messages(cls))
    assert decode_server_message(encode(message, encoding), encoding) == message


@BOTH
@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.binary(max_size=300))
def test_random_bytes_are_refused_by_the_protocol_alone(data: bytes, encoding: Encoding) -> None:
    with pytest.raises(PeerProtocolError):
        decode(data, encoding)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["ping", "publish", "subscribe", "signal", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
TAGS = st.sampled_from([struct_of(cls).tag for cls in CLIENT_MESSAGES])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(tag=TAGS, rest=st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4))
def test_any_json_is_a_message_or_refused(tag: str, rest: dict[str, Any]) -> None:
    text = json.dumps({"t": tag, "id": 1, **rest})
    try:
        message = decode(text, Encoding.JSON)
    except PeerProtocolError:
        return
    for encoding in Encoding:
        assert decode(encode(message, encoding), encoding) == message


@BOTH
@pytest.mark.parametrize("cls", CLIENT_MESSAGES, ids=lambda cls: cls.__name__)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_damaged_message_is_a_message_or_refused(
    cls: type[m.Message], encoding: Encoding, data: st.DataObject
) -> None:
    damaged = bytearray(encode(data.draw(messages(cls)), encoding))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = decode(bytes(damaged), encoding)
    except PeerProtocolError:
        return
    assert decode(encode(message, encoding), encoding) == message


@BOTH
@pytest.mark.parametrize("cls", CLIENT_MESSAGES, ids=lambda cls: cls.__name__)
class TestBadInputOfEachMessage:
    def example(self, cls: type[m.Message], encoding: Encoding) -> dict[str, Any]:
        struct = struct_of(cls)
        members = {f.encode_name: _sample(f.type, encoding) for f in struct.fields if f.required}
        return {"t": struct.tag, **members}

    def test_the_example_itself_is_read(self, cls: type[m.Message], encoding: Encoding) -> None:
        assert isinstance(decode(wire(self.example(cls, encoding), encoding), encoding), cls)

    def test_a_missing_member_is_refused(self, cls: type[m.Message], encoding: Encoding) -> None:
        whole = self.example(cls, encoding)
        for name in whole:
            left = {key: value for key, value in whole.items() if key != name}
            assert refusal(wire(left, encoding), encoding).code is ErrorCode.INVALID_MESSAGE

    def test_a_member_of_a_wrong_type_is_refused_with_its_path(
        self, cls: type[m.Message], encoding: Encoding
    ) -> None:
        whole = self.example(cls, encoding)
        for field in struct_of(cls).fields:
            bad = {**whole, field.encode_name: {"unexpected-content": [[]]}}
            refused = refusal(wire(bad, encoding), encoding)
            assert refused.code is ErrorCode.INVALID_MESSAGE
            assert f"$.{field.encode_name}" in refused.message
            assert "unexpected-content" not in refused.message

    def test_an_unknown_member_is_refused(self, cls: type[m.Message], encoding: Encoding) -> None:
        bad = {**self.example(cls, encoding), "surprise": 1}
        assert refusal(wire(bad, encoding), encoding).code is ErrorCode.INVALID_MESSAGE

    def test_a_secret_in_it_is_refused_as_a_secret(
        self, cls: type[m.Message], encoding: Encoding
    ) -> None:
        bad = {**self.example(cls, encoding), "encryptionSecret": "correct horse"}
        refused = refusal(wire(bad, encoding), encoding)
        assert refused.code is ErrorCode.SECRET_REFUSED
        assert "horse" not in str(refused)


_SAMPLES: dict[str, Any] = {
    "BoolType": True,
    "IntType": 1,
    "StrType": "a",
    "FloatType": 1.5,
}


def _sample(type_: Any, encoding: Encoding) -> Any:
    name = type(type_).__name__
    if name == "LiteralType":
        return type_.values[0]
    if name == "BytesType":
        return "AAAAAAAAAAA=" if encoding is Encoding.JSON else bytes(8)
    if name == "VarTupleType":
        return [_sample(type_.item_type, encoding)]
    if name == "StructType":
        return {f.encode_name: _sample(f.type, encoding) for f in type_.fields if f.required}
    return _SAMPLES[name]


@BOTH
def test_a_message_of_the_server_is_no_message_of_a_client(encoding: Encoding) -> None:
    assert refusal(wire({"t": "ok", "re": 1}, encoding), encoding).code is ErrorCode.INVALID_MESSAGE


@BOTH
@pytest.mark.parametrize("raw", [None, 1, "ping", [], {}, {"t": 1}, {"t": None, "id": 1}])
def test_what_is_no_tagged_map_is_refused(raw: object, encoding: Encoding) -> None:
    assert refusal(wire(raw, encoding), encoding).code is ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "SECRET",
        "encryptionSecret",
        "encryption_secret",
        "Encryption-Secret",
        "passphrase",
        "password",
        "secretKey",
        "encryption_key",
    ],
)
@BOTH
def test_a_member_named_like_a_secret_is_refused_at_any_depth(
    name: str, encoding: Encoding
) -> None:
    for raw in ({name: 1}, [{name: 1}], {"t": "ping", "id": 1, "x": [[{"y": {name: 1}}]]}):
        assert refusal(wire(raw, encoding), encoding).code is ErrorCode.SECRET_REFUSED


@BOTH
def test_a_message_over_the_size_is_refused_before_it_is_read(encoding: Encoding) -> None:
    assert refusal(b"\xc1" * (MAX_MESSAGE_BYTES + 1), encoding).code is ErrorCode.MESSAGE_TOO_LARGE


@BOTH
def test_deep_nesting_is_refused(encoding: Encoding) -> None:
    raw: object = 1
    for _ in range(MAX_DEPTH):
        raw = [raw]
    assert "depth" in refusal(wire(raw, encoding), encoding).message
    bomb = b"[" * 100_000 if encoding is Encoding.JSON else b"\x91" * 100_000
    assert refusal(bomb, encoding).code is ErrorCode.INVALID_MESSAGE


@BOTH
def test_long_arrays_and_maps_are_refused(encoding: Encoding) -> None:
    for raw in ([0] * (MAX_ARRAY_ITEMS + 1), {str(n): 0 for n in range(MAX_MAP_MEMBERS + 1)}):
        assert refusal(wire(raw, encoding), encoding).code is ErrorCode.INVALID_MESSAGE


def test_an_array_that_claims_more_than_it_has_costs_nothing() -> None:
    assert refusal(b"\xdd\xff\xff\xff\xff", Encoding.MSGPACK).code is ErrorCode.INVALID_MESSAGE
    assert refusal(b"\xdf\xff\xff\xff\xff", Encoding.MSGPACK).code is ErrorCode.INVALID_MESSAGE


def test_a_member_that_stands_twice_is_refused() -> None:
    assert refusal('{"t":"ping","id":1,"id":2}', Encoding.JSON).code is ErrorCode.INVALID_MESSAGE
    twice = b"\x83\xa1t\xa4ping\xa2id\x01\xa2id\x02"
    assert refusal(twice, Encoding.MSGPACK).code is ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize("data", [b"\xc7\x00\x05", b"\xd4\x05\x00", b"\xd6\xff\x00\x00\x00\x00"])
def test_extension_types_are_refused(data: bytes) -> None:
    in_a_message = b"\x83\xa1t\xa4ping\xa2id\x01\xa1x" + data
    assert refusal(in_a_message, Encoding.MSGPACK).code is ErrorCode.INVALID_MESSAGE


def test_member_names_that_are_no_text_are_refused() -> None:
    for key in (1, b"t", None):
        assert refusal(msgpack.packb({key: 1}), Encoding.MSGPACK).code is ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_numbers_that_not_every_reader_knows_are_refused(text: str) -> None:
    data = f'{{"t":"subscribe","id":1,"streamId":"s","preferredFrameRate":{text}}}'
    assert refusal(data, Encoding.JSON).code is ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize("text", ["1e999", "9007199254740992", "-9007199254740992"])
def test_such_numbers_are_refused_where_members_are_ignored_too(text: str) -> None:
    size = f'{{"width":1,"height":1,"later":{text}}}'
    data = f'{{"t":"subscribe","id":1,"streamId":"s","preferredResolution":{size}}}'
    assert "number" in refusal(data, Encoding.JSON).message
    fine = data.replace(text, "9007199254740991")
    assert isinstance(decode(fine, Encoding.JSON), m.Subscribe)


@BOTH
@pytest.mark.parametrize(
    "raw",
    [
        {"t": "leaked-content", "id": 1},
        {"t": "e2eeState", "id": 1, "subscriberId": "s", "state": "leaked-content"},
        {"t": "ping", "id": 1, "leaked-content": 1},
        {"t": "ping", "id": "leaked-content"},
    ],
)
def test_a_refusal_says_where_and_never_repeats_what(raw: object, encoding: Encoding) -> None:
    refused = refusal(wire(raw, encoding), encoding)
    assert "leaked" not in str(refused)
    assert refused.__cause__ is None


def test_not_a_number_in_msgpack_is_refused() -> None:
    for value in (float("nan"), float("inf"), 2**63):
        raw = {"t": "subscribe", "id": 1, "streamId": "s", "preferredFrameRate": value}
        assert refusal(msgpack.packb(raw), Encoding.MSGPACK).code is ErrorCode.INVALID_MESSAGE


def test_half_a_surrogate_pair_is_refused() -> None:
    data = '{"t":"signal","id":1,"data":"\\ud800"}'
    assert refusal(data, Encoding.JSON).code is ErrorCode.INVALID_MESSAGE


def test_bytes_after_the_message_are_refused() -> None:
    for encoding in Encoding:
        data = encode(m.Ping(id=1), encoding) + b"\x00"
        assert refusal(data, encoding).code is ErrorCode.INVALID_MESSAGE


def test_a_text_frame_is_no_msgpack() -> None:
    assert refusal("ping", Encoding.MSGPACK).code is ErrorCode.INVALID_MESSAGE


def test_an_integer_is_a_rate_too() -> None:
    for encoding in Encoding:
        raw = {"t": "subscribe", "id": 1, "streamId": "s", "preferredFrameRate": 15}
        message = decode(wire(raw, encoding), encoding)
        assert isinstance(message, m.Subscribe)
        assert message.preferred_frame_rate == 15.0


def test_bytes_are_base64_in_json_only() -> None:
    message = m.Signal(id=1, encrypted=b"\x00\xff")
    assert json.loads(encode(message, Encoding.JSON))["encrypted"] == "AP8="
    assert msgpack.unpackb(encode(message, Encoding.MSGPACK))["encrypted"] == b"\x00\xff"


def test_a_missing_member_of_an_update_differs_from_null() -> None:
    for encoding in Encoding:
        kept = decode(
            wire({"t": "updateSubscriber", "id": 1, "subscriberId": "s"}, encoding), encoding
        )
        reset = decode(
            wire(
                {
                    "t": "updateSubscriber",
                    "id": 1,
                    "subscriberId": "s",
                    "preferredResolution": None,
                },
                encoding,
            ),
            encoding,
        )
        assert isinstance(kept, m.UpdateSubscriber)
        assert isinstance(reset, m.UpdateSubscriber)
        assert kept.preferred_resolution is msgspec.UNSET
        assert reset.preferred_resolution is None


def test_mutated_messages_never_raise_anything_else() -> None:
    rng = random.Random(7)
    seeds = [
        encode(m.Publish(id=1, offer="v=0", tracks=(m.TrackOffer(mid="0", kind="audio"),)), e)
        for e in Encoding
    ]
    for encoding, seed in zip(Encoding, seeds, strict=True):
        for _ in range(3_000):
            data = bytearray(seed)
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            del data[rng.randrange(1, len(data) + 1) :]
            try:
                decode(bytes(data), encoding)
            except PeerProtocolError:
                continue


# --- the cost of a message before its sender is known ---------------------------------------


def _array(items: int, item: bytes) -> bytes:
    return b"\xdc" + items.to_bytes(2) + item * items


COSTLY = {
    "arrays that claim much, each in the other": b"\xdc\x10\x00" * 500,
    "arrays of nothing": _array(63, _array(4_095, b"\xc0")),
    "maps of nothing": _array(60, _array(4_000, b"\x80")),
    "maps that claim much": b"\xdf\x00\xff\xff\xff" * 900,
    "a few thousand maps": _array(4_000, b"\x80"),
    "texts": _array(4_000, b"\xa3abc"),
    "numbers": _array(4_000, b"\xca\0\0\0\0"),
    "arrays of one": b"\x91" * MAX_MESSAGE_BYTES,
    "one text": b"\xdb\x00\x03\xff\x00" + b"x" * 261_888,
    "JSON arrays": b"[" + b"[]," * 80_000 + b"0]",
    "JSON maps": b"[" + b"{}," * 80_000 + b"0]",
    "JSON numbers": b"[" + b"0," * 130_000 + b"0]",
    "JSON names": b"{" + b",".join(b'"%d":0' % n for n in range(20_000)) + b"}",
    "JSON depth": b"[" * MAX_MESSAGE_BYTES,
    "JSON escapes": b'"' + b"\\u0000" * 43_000 + b'"',
    "JSON digits": b"9" * MAX_MESSAGE_BYTES,
    "JSON texts without end": b'"' + b',\\"' * 87_000,
    "JSON texts": b'["",""' + b'""' * 120_000 + b"," * 5_000,
    "JSON text without end": b'"' + b'\\"' * 130_000,
}


@pytest.mark.parametrize("name", COSTLY)
def test_no_message_costs_more_than_its_bytes_allow(name: str) -> None:
    data = COSTLY[name]
    encoding = Encoding.JSON if name.startswith("JSON") else Encoding.MSGPACK
    took = []
    for _ in range(5):
        begin = time.thread_time()
        refusal(data, encoding)
        took.append(time.thread_time() - begin)
    assert within(min(took), min(0.020, 0.001 + len(data) * 1e-6))
    tracemalloc.start()
    try:
        refusal(data, encoding)
        assert tracemalloc.get_traced_memory()[1] < 65_536 + 16 * len(data)
    finally:
        tracemalloc.stop()


@BOTH
def test_the_largest_message_of_the_table_has_room(encoding: Encoding) -> None:
    streams = tuple(f"stream-{n}" for n in range(3_000))
    largest = m.ForceMuteAll(id=1, active=True, excluded_stream_ids=streams)
    assert decode(encode(largest, encoding), encoding) == largest


def test_commas_in_a_text_are_no_values() -> None:
    text = m.Signal(id=1, data=",{[:" * 2_000)
    assert decode(encode(text, Encoding.JSON), Encoding.JSON) == text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(raw=JSON_VALUES)
def test_both_counts_are_at_least_the_number_of_values(raw: object) -> None:
    def count(value: object) -> int:
        if isinstance(value, dict):
            return 1 + sum(1 + count(member) for member in value.values())
        return 1 + sum(map(count, value)) if isinstance(value, list) else 1

    most = count(raw) - 1
    text = json.dumps(raw).encode()
    if most:
        with pytest.raises(TooManyError):
            check_json(text, most)
    try:
        packed = msgpack.packb(raw)
    except (OverflowError, UnicodeEncodeError):
        return
    if most:
        with pytest.raises(TooManyError):
            check_msgpack(packed, most, 64)
    check_msgpack(packed, 5 * (most + 1), 64)

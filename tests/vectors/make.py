"""Writes the e2ee/2 vectors and the traces of its state machines (docs/e2ee.md).

    .venv/bin/python -m tests.vectors.make            writes both files
    .venv/bin/python -m tests.vectors.make --check    fails when a file would change

Deterministic: no randomness, no clock. Keys are derived here with the `cryptography` package's own
PBKDF2 and HKDF, not with the SDK; the layout of each codec is the SDK's. What a trace expects was
worked out by hand from the document, not recorded from an implementation.
"""

import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from sealroute_client.e2ee import frames
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.sframe import SUITES, KeyContext, derive_key

from tests.vectors.traces import TRACES

HERE = Path(__file__).parent
SECRET, SESSION, CONNECTION, STREAM = "correct horse battery", "sess-1", "conn-1", "stream-1"
SENDER, CONTEXT = 0x01234567, 0x89AB
COUNTERS = (0, 7, 8, 255, 256, 65_535, 65_536, 2**24, 2**32 - 1)
CODECS = ("opus", "vp8", "vp9", "h264", "av1")


def string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def session_key(secret: str, session: str, iterations: int) -> bytes:
    salt = b"e2ee/2 pbkdf2" + string(session)
    secret_bytes = unicodedata.normalize("NFC", secret).encode()
    return PBKDF2HMAC(SHA512(), 64, salt, iterations).derive(secret_bytes)


def expand(key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA512(), length, b"", info).derive(key)


def stream_base(key: bytes, connection: str, stream: str) -> bytes:
    return expand(key, b"e2ee/2 stream " + string(connection) + string(stream), 64)


def signal_base(key: bytes, connection: str) -> bytes:
    return expand(key, b"e2ee/2 signal " + string(connection), 64)


def hint(key: bytes) -> int:
    return int.from_bytes(expand(key, b"e2ee/2 hint", 2), "big")


def verification_code(key: bytes) -> str:
    code = expand(key, b"e2ee/2 verify " + string("routed"), 30)
    return " ".join(
        f"{int.from_bytes(code[5 * i : 5 * i + 5], 'big') % 100_000:05}" for i in range(6)
    )


def kid(sender: int, context: int, key_part: int) -> int:
    return 1 << 63 | sender << 32 | context << 16 | key_part


K = session_key(SECRET, SESSION, 1_000)
KID = kid(SENDER, CONTEXT, hint(K))


def kdf_case(secret: str, session: str, iterations: int, connection: str, stream: str) -> Any:
    key = session_key(secret, session, iterations)
    return {
        "secret": secret,
        "sessionId": session,
        "iterations": iterations,
        "sessionKey": key.hex(),
        "hint": hint(key),
        "connectionId": connection,
        "streamId": stream,
        "baseKey": stream_base(key, connection, stream).hex(),
        "signalBaseKey": signal_base(key, connection).hex(),
        "verificationCode": verification_code(key),
    }


KDF = [
    kdf_case(SECRET, SESSION, 1_000, CONNECTION, STREAM),
    kdf_case(SECRET, "sess-2", 1_000, CONNECTION, STREAM),
    kdf_case(SECRET, SESSION, 1_000, "conn-2", STREAM),
    kdf_case(SECRET, SESSION, 1_000, CONNECTION, "stream-2"),
    # Lengths are part of the key: these ids differ only in where one ends and the next begins.
    kdf_case(SECRET, SESSION, 1_000, "conn-1s", "tream-1"),
    kdf_case("12345678", SESSION, 600_000, CONNECTION, STREAM),
    # One text in two spellings (NFC and NFD).
    kdf_case("p\u00e4ssw\u00f6rd-\N{KEY}", SESSION, 1_000, CONNECTION, STREAM),
    kdf_case("pa\u0308sswo\u0308rd-\N{KEY}", SESSION, 1_000, CONNECTION, STREAM),
    kdf_case("x" * 256, "s", 1_000, "c", "s"),
    kdf_case("\N{KEY}" * 8, "\u00fc", 1_000, "\N{KEY}", "\u00e9"),
]


def noise(length: int, start: int = 11) -> bytes:
    return bytes((start + 37 * index) & 0xFF for index in range(length))


def unit(header: int, body: bytes, start_code: bytes = b"\x00\x00\x00\x01") -> bytes:
    return start_code + bytes([header]) + body


SPS, PPS = unit(0x67, bytes.fromhex("42c01fd900a03da1")), unit(0x68, bytes.fromhex("cb8cb2"))
SEQUENCE_HEADER = bytes.fromhex("0a0a00000024c4ffdf006802")
PLAIN = {
    "opus": [bytes.fromhex("780be4c136"), noise(80), b"\xf8\xff\xfe"],
    "vp8": [
        bytes.fromhex("706b009d012a8002e001") + noise(60),
        bytes.fromhex("51b90000") + noise(40),
        b"\x11",
    ],
    "vp9": [bytes.fromhex("824983420013f00ef4") + noise(50), b"\x86" + noise(30)],
    "h264": [
        SPS
        + PPS
        + unit(0x06, b"\x05\xff\x11\x00")
        + unit(0x65, b"\x88\x84\x3a" + noise(33) + b"\x00\x00\x00\x03\x03", b"\x00\x00\x01"),
        unit(0x41, b"\x9a\x0a" + noise(35)),
        unit(0x06, b"\x05\x11\x22")
        + unit(0x41, b"\xe2" + noise(24))
        + unit(0x41, b"\xe4" + noise(24)),
    ],
    "av1": [
        b"\x12\x00" + SEQUENCE_HEADER + b"\x32\x08" + noise(8),
        b"\x12\x00\x32\x10" + noise(16),
    ],
}


def encrypt(codec: str, ctr: int, plain: bytes, *, base: bytes | None = None, key_id: int = KID):
    base = stream_base(K, CONNECTION, STREAM) if base is None else base
    context = KeyContext(SUITES[6], base, key_id)
    return frames.encrypt(
        CodecId[codec.upper()], plain, lambda meta, part: context.encrypt(ctr, meta, part)
    )


def frame_case(codec: str, ctr: int, plain: bytes) -> Any:
    wire = encrypt(codec, ctr, plain)
    parts = frames.split(CodecId[codec.upper()], wire)
    decrypted = plain
    if codec == "h264":
        # Canonical: four-byte start codes, no trailing zero bytes.
        units = plain.split(b"\x00\x00\x01")[1:]
        decrypted = b"".join(b"\x00\x00\x00\x01" + one.rstrip(b"\x00") for one in units)
    return {
        "codec": codec,
        "ctr": ctr,
        "plain": plain.hex(),
        "decrypted": decrypted.hex(),
        "clear": parts.clear.hex(),
        "wire": wire.hex(),
    }


def flip(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def bad_cases() -> list[Any]:
    vp8, opus = PLAIN["vp8"][0], PLAIN["opus"][0]
    encrypted_vp8, encrypted_opus = encrypt("vp8", 255, vp8), encrypt("opus", 7, opus)
    other = session_key("another secret", SESSION, 1_000)
    other_base = stream_base(other, CONNECTION, STREAM)
    old_metadata = KeyContext(SUITES[6], stream_base(K, CONNECTION, STREAM), KID)
    rows: list[tuple[str, str, str, str, bytes, str]] = []

    def bad(name: str, codec: str, wire: bytes, expected: str, *of: str) -> None:
        connection, stream = of or (CONNECTION, STREAM)
        rows.append((name, codec, connection, stream, wire, expected))

    bad("tag bit", "vp8", flip(encrypted_vp8, len(encrypted_vp8) - 1), "auth")
    bad("clear byte", "vp8", flip(encrypted_vp8, 6), "auth")
    bad("ciphertext bit", "vp8", flip(encrypted_vp8, 30), "auth")
    bad("counter", "opus", flip(encrypted_opus, 0), "auth")
    bad("context", "opus", flip(encrypted_opus, 6), "auth")
    bad("sender", "opus", flip(encrypted_opus, 3), "auth")
    bad("hint", "opus", flip(encrypted_opus, 8), "secret")
    bad(
        "other secret under its own hint",
        "opus",
        encrypt("opus", 0, opus, base=other_base, key_id=kid(SENDER, CONTEXT, hint(other))),
        "secret",
    )
    bad("other secret under our hint", "opus", encrypt("opus", 0, opus, base=other_base), "auth")
    bad("other codec", "vp9", encrypted_opus, "auth")
    bad("other stream", "opus", encrypted_opus, "auth", CONNECTION, "stream-2")
    bad("other connection", "opus", encrypted_opus, "auth", "conn-2", STREAM)
    bad("metadata of e2ee/" + "1", "opus", old_metadata.encrypt(0, b"\x01\x00", opus), "auth")
    bad("a signal", "opus", old_metadata.encrypt(0, b"\x02\x10", opus), "auth")
    bad("tag cut", "opus", encrypted_opus[:-1], "auth")
    bad("header alone", "opus", encrypted_opus[:9], "auth")
    bad("clear Opus", "opus", bytes.fromhex("780be4c136ecc58d8c49469904c5aaed92e7634a"), "format")
    bad(
        "clear Opus that begins as a header does", "opus", bytes.fromhex("fc") + noise(40), "format"
    )
    bad("clear VP8", "vp8", vp8, "format")
    bad("clear VP9", "vp9", PLAIN["vp9"][0], "format")
    bad("clear H.264", "h264", PLAIN["h264"][0], "format")
    bad("clear AV1", "av1", PLAIN["av1"][0], "format")
    bad("empty", "opus", b"", "format")
    bad("one byte", "opus", b"\xf0", "format")
    bad("key id of 7 bytes", "opus", bytes.fromhex("e0") + noise(40), "format")
    bad(
        "key id of 8 bytes without the top bit", "opus", bytes.fromhex("f071") + noise(40), "format"
    )
    long_counter = KeyContext(SUITES[6], stream_base(K, CONNECTION, STREAM), KID)
    bad("counter of 2^32", "opus", long_counter.encrypt(2**32, b"\x02\x00", opus), "format")
    not_minimal = bytes.fromhex("f9") + KID.to_bytes(8, "big") + b"\x00\x07" + noise(20)
    bad("counter not in its shortest form", "opus", not_minimal, "format")
    bad("VP8 key frame cut short", "vp8", vp8[:9], "format")
    wrapped = encrypt("h264", 8, PLAIN["h264"][1])
    bad("H.264 without its last 0x80", "h264", wrapped[:-1] + b"\x81", "format")
    bad("AV1 without a frame OBU", "av1", b"\x12\x00" + SEQUENCE_HEADER, "format")
    names = ("name", "codec", "connectionId", "streamId")
    return [
        {**dict(zip(names, row, strict=False)), "wire": row[4].hex(), "expected": row[5]}
        for row in rows
    ]


def signal_wire(connection: str, ctr: int, plaintext: bytes, key_id: int = KID) -> bytes:
    context = KeyContext(SUITES[6], signal_base(K, connection), key_id)
    return context.encrypt(ctr, b"\x02\x10", plaintext)


def signal_case(ctr: int, to: str, kind: str, data: str) -> Any:
    wire = signal_wire(CONNECTION, ctr, string(to) + string(kind) + data.encode())
    return {
        "connectionId": CONNECTION,
        "ctr": ctr,
        "to": to,
        "type": kind,
        "data": data,
        "wire": wire.hex(),
    }


def bad_signals() -> list[Any]:
    """The receiver is the connection "conn-9"; `from` is what the server says of the sender."""
    good = signal_wire(CONNECTION, 1, string("") + string("chat") + b"hello")
    rows = [
        ("named another sender", "conn-2", good, "auth"),
        (
            "for somebody else",
            CONNECTION,
            signal_wire(CONNECTION, 2, string("conn-8") + string("chat") + b"hello"),
            "addressee",
        ),
        ("a frame of media", CONNECTION, encrypt("opus", 3, b"\x00\x00\x00\x00hi"), "auth"),
        ("tag bit", CONNECTION, flip(good, len(good) - 1), "auth"),
        (
            "type longer than the rest",
            CONNECTION,
            signal_wire(CONNECTION, 4, string("") + b"\xff\xffchat"),
            "format",
        ),
        (
            "not UTF-8",
            CONNECTION,
            signal_wire(CONNECTION, 5, string("") + string("chat") + b"\xff"),
            "format",
        ),
        ("nothing inside", CONNECTION, signal_wire(CONNECTION, 6, b""), "format"),
    ]
    return [
        {"name": name, "from": sender, "receiver": "conn-9", "wire": wire.hex(), "expected": why}
        for name, sender, wire, why in rows
    ]


def vectors() -> Any:
    key, salt = derive_key(SUITES[6], stream_base(K, CONNECTION, STREAM), KID)
    kids = [(SENDER, CONTEXT, hint(K)), (0, 0, 0), (0x7FFFFFFF, 0xFFFF, 0xFFFF), (1, 2, 3)]
    counted = [(codec, PLAIN[codec], COUNTERS) for codec in CODECS]
    return {
        "format": "e2ee/2",
        "suite": 6,
        "about": [
            "Written by tests/vectors/make.py. Bytes are hexadecimal.",
            "frames, bad, signals and badSignals use the secret, session, connection and stream",
            "of kdf[0] and the key id `key` unless they say otherwise. `expected` is the result of",
            "a fresh receiver; `addressee` and `format` of a signal: it is not delivered.",
        ],
        "kdf": KDF,
        "kids": [
            {"sender": s, "context": c, "hint": h, "kid": f"{kid(s, c, h):016x}"}
            for s, c, h in kids
        ],
        "key": {
            "sender": SENDER,
            "context": CONTEXT,
            "hint": hint(K),
            "kid": f"{KID:016x}",
            "sframeKey": key.hex(),
            "sframeSalt": salt.hex(),
        },
        "frames": [
            frame_case(codec, ctr, plains[index % len(plains)])
            for codec, plains, counters in counted
            for index, ctr in enumerate(counters)
        ],
        "bad": bad_cases(),
        "signals": [
            signal_case(0, "", "", ""),
            signal_case(1, "", "chat", "hello"),
            signal_case(7, "conn-9", "chat", "for one only"),
            signal_case(8, "", "t\u00ff", "\u00fcber \N{KEY}\u0000 end"),
            signal_case(256, "", "x" * 128, "y" * 8_000),
        ],
        "badSignals": bad_signals(),
    }


FILES = {"e2ee-v2-vectors.json": vectors, "e2ee-v2-traces.json": lambda: TRACES}


def main(words: list[str]) -> int:
    stale = []
    for name, make in FILES.items():
        text = json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        if words == ["--check"]:
            if (HERE / name).read_text() != text:
                stale.append(name)
        else:
            (HERE / name).write_text(text)
    for name in stale:
        sys.stderr.write(f"{name} is not what tests/vectors/make.py writes: run it\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

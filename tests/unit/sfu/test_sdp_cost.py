"""No description costs more than its bytes allow, whatever attribute it repeats.

A generator builds the largest description of each attribute that a reader knows, in each way that
could multiply: many lines, many m-lines, long lists, many payload types.
"""

import time
import tracemalloc

import pytest

from sfu.sdp import parse as reader
from sfu.sdp.build import LocalTransport, Origin
from sfu.sdp.errors import SdpError
from sfu.sdp.negotiate import build_uplink_answer, read_uplink_offer
from sfu.sdp.parse import Fingerprint, parse
from tests.machine_speed import within

INPUT_CPU_S = 0.020
MEMORY_PER_BYTE, MEMORY_AT_ALL = 16, 131_072
REPEATS = 5
"""The fastest counts: what else the machine does makes a run slower, never faster."""
LOCAL = LocalTransport(
    "abcdefgh", "p" * 32, Fingerprint("sha-256", bytes(32)), ("192.0.2.7",), 10_000
)
FINGERPRINT = "fingerprint:sha-256 " + ":".join(["AB"] * 32)
HEAD = f"v=0\na=ice-ufrag:abcd\na=ice-pwd:{'p' * 22}\na={FINGERPRINT}\na=setup:actpass\n"


def _words(count, start=0):
    return [f"{n:x}" for n in range(start, start + count)]


# Each makes line number `n` of one attribute. Values differ, so that nothing is stored only once.
LINES = {
    "rtcp-fb": [
        lambda n: f"rtcp-fb:* {n:x}",
        lambda n: f"rtcp-fb:{n % 128} {n:x}",
    ],
    "fmtp": [
        lambda n: f"fmtp:{n % 128} {n:x}",
        lambda n: f"fmtp:{n % 128} " + ";".join(_words(400, 0x100 + n * 400)),
        lambda n: f"fmtp:{n % 128} {n:x}={n:x}",
    ],
    "rtpmap": [lambda n: f"rtpmap:{n % 128} {n:x}/1"],
    "extmap": [lambda n: f"extmap:{n % 4_096} {n:x}", lambda n: f"extmap:1/sendonly u{n:x}"],
    "ssrc": [lambda n: f"ssrc:{n + 1_000}", lambda n: f"ssrc:{n + 1_000} cname:{n:x}"],
    "ssrc-group": [
        lambda n: f"ssrc-group:FID {n + 1_000} {n + 500_000}",
        lambda n: "ssrc-group:SIM " + " ".join(str(n * 16 + k + 1_000) for k in range(16)),
    ],
    "rid": [lambda n: f"rid:{n:x} send", lambda n: f"rid:{n:x} recv " + ";" * 1_000],
    "simulcast": [
        lambda n: "simulcast:send " + ";".join(_words(400, n * 400)),
        lambda n: "simulcast:send " + ",".join(_words(400, n * 400)),
        lambda n: "simulcast:" + " ".join(["send a"] * 250),
    ],
    "group": [
        lambda n: "group:BUNDLE " + " ".join(_words(400)) if n == 0 else f"group:LS {n:x}",
        lambda n: "group:LS " + " ".join(_words(400, n * 400)),
    ],
    "mid": [lambda n: f"mid:{n:x}"],
    "fingerprint": [
        lambda _: FINGERPRINT,
        lambda _: "fingerprint:sha-1 " + "A" * 2_000,
    ],
    "candidate": [lambda n: f"candidate:{n} 1 udp 1 192.0.2.1 {n % 60_000} typ host"],
    "ice-ufrag": [lambda n: f"ice-ufrag:{n:08x}"],
    "ice-pwd": [lambda n: f"ice-pwd:{n:030x}"],
    "setup": [lambda n: f"setup:{n:x}"],
    "rtcp-mux": [lambda _: "rtcp-mux"],
    "bundle-only": [lambda _: "bundle-only"],
    "extmap-allow-mixed": [lambda _: "extmap-allow-mixed"],
    "sendonly": [lambda _: "sendonly"],
    "sendrecv": [lambda _: "sendrecv"],
    "recvonly": [lambda _: "recvonly"],
    "inactive": [lambda _: "inactive"],
    "unknown": [
        lambda n: f"x{n:x}",
        lambda n: f"x:{'y' * 2_000}{n:x}",
        lambda n: "x:😀" + "y" * 99,
    ],
}
CASES = [(name, way) for name, ways in sorted(LINES.items()) for way in range(len(ways))]


def _largest(line, sections, formats, most_lines=None):
    """As many lines as one description may have, over so many m-lines; the last is left out, so
    that the reader gets to its end before it can refuse."""
    most_lines = reader.MAX_LINES - 8 if most_lines is None else most_lines
    mids = " ".join(str(n) for n in range(sections))
    payload_types = " ".join(str(n) for n in range(formats))
    heads = [
        f"m=video 9 UDP/TLS/RTP/SAVPF {payload_types}\n"
        f"a=mid:{n}\na=rtcp-mux\na=rtpmap:96 VP8/90000\n"
        for n in range(sections)
    ]
    text = HEAD + f"a=group:BUNDLE {mids}\n"
    room = reader.MAX_BYTES - len(text) - sum(map(len, heads))
    per_section = min(
        reader.MAX_ATTRIBUTES_PER_MEDIA - 8, (most_lines - 8 - 4 * sections) // sections
    )
    parts, number = [text], 0
    for head in heads:
        parts.append(head)
        for _ in range(per_section):
            made = f"a={line(number)}\n"
            if len(made.encode()) > room // 2:
                break
            room -= len(made.encode())
            number += 1
            parts.append(made)
    return "".join(parts)


def _use(text):
    """All that an offer goes through, as far as it gets."""
    try:
        offer = read_uplink_offer(parse(text))
        build_uplink_answer(offer, offer.candidates, LOCAL, Origin(1, 1))
    except SdpError as refused:
        return refused.code
    return None


def _cpu_s(text):
    took = []
    for _ in range(REPEATS):
        begin = time.thread_time()
        _use(text)
        took.append(time.thread_time() - begin)
        if took[-1] < INPUT_CPU_S / 2:
            break
    return min(took)


def _peak_bytes(text):
    tracemalloc.start()
    try:
        _use(text)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_every_attribute_that_is_read_has_its_largest_description():
    known = {*reader._TRANSPORT_READERS, *reader._SESSION_READERS, *reader._MEDIA_READERS}
    assert known | reader.DIRECTIONS | {"candidate", "unknown"} == set(LINES)


@pytest.mark.parametrize(("name", "way"), CASES)
@pytest.mark.parametrize(
    ("sections", "formats"),
    [
        (1, 128),
        pytest.param(8, 128, marks=pytest.mark.long),
        pytest.param(64, 1, marks=pytest.mark.long),
        (64, 128),
    ],
)
def test_no_attribute_costs_more_than_its_bytes_allow(name, way, sections, formats):
    for most_lines in (None, 2_500):
        text = _largest(LINES[name][way], sections, formats, most_lines)
        size = len(text.encode())
        assert within(_cpu_s(text), INPUT_CPU_S)
        assert _peak_bytes(text) < MEMORY_PER_BYTE * size + MEMORY_AT_ALL


def test_feedback_for_all_payload_types_holds_for_each_and_is_kept_once():
    text = HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96 97\na=rtcp-fb:* nack\na=rtcp-fb:97 nack pli\n"
    (media,) = parse(text).media
    assert media.feedback_of(96) == {"nack"}
    assert media.feedback_of(97) == {"nack", "nack pli"}
    assert set(media.descriptions) == {97}

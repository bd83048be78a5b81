"""What is fuzzed: each takes any bytes, and may refuse them by its own errors alone."""

import contextlib
from collections.abc import Callable

from sealroute_client.e2ee import bitstream, frames, sframe, signals
from sealroute_client.e2ee.bitstream import FormatError
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.sframe import HeaderError

from sfu.sdp.errors import SdpError
from sfu.sdp.negotiate import remote_transport
from sfu.sdp.parse import parse
from signaling.domain.errors import DomainError, PeerProtocolError
from signaling.domain.projects import Project
from signaling.domain.tokens import verify_client_token
from signaling.protocol import codec
from signaling.protocol.codec import Encoding
from signaling.rest.bodies import form_or_json_fields, json_fields

_PROJECT = Project("100", "a secret of the project that is long enough", "app")
_ROLES = frozenset({"active", "passive", "actpass"})


def sdp(data: bytes) -> None:
    with contextlib.suppress(SdpError):
        remote_transport(parse(data.decode("utf-8", "replace")), _ROLES)


def messages(data: bytes) -> None:
    """One byte chooses the encoding and the side. What is read is written and read again."""
    if not data:
        return
    encoding = Encoding.JSON if data[0] & 1 else Encoding.MSGPACK
    read = codec.decode_server_message if data[0] & 2 else codec.decode
    body = data[1:].decode("utf-8", "replace") if encoding is Encoding.JSON else data[1:]
    try:
        message = read(body, encoding)
    except PeerProtocolError:
        return
    assert read(codec.encode(message, encoding), encoding) == message


def bodies(data: bytes) -> None:
    for read in (json_fields, form_or_json_fields):
        with contextlib.suppress(DomainError):
            read(data)


def tokens(data: bytes) -> None:
    with contextlib.suppress(DomainError):
        verify_client_token(data.decode("utf-8", "replace"), _PROJECT, "1_session", 1e9)
        raise AssertionError("nobody can guess a token")


def client_frames(data: bytes) -> None:
    """What a publisher that is not what it says can send to subscribers."""
    if not data:
        return
    kind = list(CodecId)[data[0] % len(CodecId)]
    with contextlib.suppress(FormatError, HeaderError):
        parts = frames.split(kind, data[1:])
        header = sframe.decode_header(parts.sframe)
        assert header.length <= len(parts.sframe)


def bitstreams(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        bitstream.split_annexb(data)
        list(bitstream.walk_obus(data))
    with contextlib.suppress(FormatError):
        bitstream.slice_pps_id(data)
    escaped = bitstream.add_emulation_prevention(data)
    assert bitstream.remove_emulation_prevention(escaped) == data or b"\0\0\3" in data


def client_signals(data: bytes) -> None:
    signals.parse_content(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (sdp, messages, bodies, tokens, client_frames, bitstreams, client_signals)
}

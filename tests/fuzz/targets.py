"""What is fuzzed: each takes any bytes, and may refuse them by its own errors alone."""

import contextlib
import json
from collections.abc import Callable
from functools import cache

from sealroute_client.e2ee import bitstream, frames, sframe, signals
from sealroute_client.e2ee.bitstream import FormatError
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.sframe import HeaderError

from sfu.dtls import MTU_BYTES, DtlsAssociation, DtlsIdentity
from sfu.dtls_state import DtlsState
from sfu.egress import forks
from sfu.egress.blocking_reload import MAX_TARGET_S, Wanted, answer, position_of
from sfu.egress.child_reports import AHEAD_MS, ChildReports, recorded_ms
from sfu.egress.control import (
    MAX_NUMBER,
    NOT_JSON,
    DoneLine,
    FailedLine,
    LineError,
    ProgressLine,
    UpReader,
)
from sfu.egress.live_outputs import HlsTarget, LiveOutputs, RtmpTarget
from sfu.sdp.errors import SdpError
from sfu.sdp.negotiate import remote_transport
from sfu.sdp.parse import parse
from signaling.domain.errors import DomainError, PeerProtocolError
from signaling.domain.projects import Project
from signaling.domain.rest_credentials import read_credential, verify_credential
from signaling.domain.tokens import verify_client_token
from signaling.http.client_networks import client_networks, networks_of
from signaling.http.stranger_frames import StrangerFrames
from signaling.protocol import codec
from signaling.protocol.codec import Encoding
from signaling.protocol.counting import check_json
from signaling.rest import whip_requests
from signaling.rest.bodies import form_or_json_fields, json_fields
from tests.fuzz.clients import layered_packets, server_descriptions, server_messages_python
from tests.fuzz.peers import (
    connector_messages,
    connector_sockets,
    devtools_messages,
    rtmp_answers,
)
from tests.fuzz.processes import (
    caption_lines,
    connector_lines,
    down_lines,
    frame_records,
    link_messages,
    member_orders,
    member_reports,
    sip_lines,
)
from tests.fuzz.recordings import recorded_frames, recorder_files
from tests.fuzz.renders import proxy_requests, render_lines
from tests.fuzz.rest import (
    addresses,
    admin_bodies,
    ids_and_links,
    rest_bodies,
    rest_queries,
    room_bodies,
    viewer_paths,
)
from tests.fuzz.styles import style_answers
from tests.fuzz.telephones import sip_descriptions, sip_messages, sip_packets, sip_reports

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


def credentials(data: bytes) -> None:
    """The two headers of a REST request, by turns."""
    text = data.decode("latin-1")
    for headers in ((text, None), (None, text), (None, f"Bearer {text}")):
        with contextlib.suppress(DomainError):
            verify_credential(read_credential(*headers), _PROJECT, 1e9)
            raise AssertionError("nobody can guess a credential")


def whip_offers(data: bytes) -> None:
    """An offer of WHIP and of WHEP, whose credentials of ICE are those of its lines."""
    text = data.decode("utf-8", "replace")
    roles: tuple[whip_requests.Role, ...] = ("whip", "whep")
    for role in roles:
        with contextlib.suppress(DomainError):
            offer = whip_requests.offered(text, role)
            assert 1 <= len(offer.flowing) <= 2
            whip_requests.tracks_of(offer, {})


def whip_fragments(data: bytes) -> None:
    """What trickles in behind an offer (RFC 8840)."""
    with contextlib.suppress(DomainError):
        text = data.decode("utf-8", "replace")
        found = whip_requests.ice_of(text)
        assert found is None or all(f":{one}" in text for one in found)


def whip_headers(data: bytes) -> None:
    text = data.decode("latin-1")
    bearer = whip_requests.bearer_of({"Authorization": text})
    assert bearer is None or bearer in text
    assert len(whip_requests.formats_of({whip_requests.E2EE_HEADER: text})) <= 8
    with contextlib.suppress(DomainError):
        kids = whip_requests.kids_of({whip_requests.KIDS_HEADER: text})
        assert sum(map(len, kids.values())) <= 16
        assert all(len(kid) == 8 for some in kids.values() for kid in some)


def forwarded(data: bytes) -> None:
    """`X-Forwarded-For`, as far as our proxies wrote it."""
    text = data.decode("latin-1")
    networks = client_networks("10.0.0.1", text, networks_of("10.0.0.0/8 fd00::/8"))
    lengths = [network.rpartition("/")[2] for network in networks]
    assert lengths in (["24", "32"], ["48", "56", "64"])
    assert "192.0.2.0/24" in client_networks("192.0.2.9", text, networks_of("10.0.0.0/8"))


def values(data: bytes) -> None:
    """JSON of a stranger, counted before it is decoded."""
    with contextlib.suppress(ValueError, RecursionError):
        check_json(data, 64)
        json.loads(data)


def stranger_frames(data: bytes) -> None:
    """Heads of WebSocket frames, cut anywhere: the same as in one piece."""
    whole, parts = StrangerFrames(4_096), StrangerFrames(4_096)
    cut = data[0] % len(data) if data else 0
    taken = parts.takes(data[:cut]) and parts.takes(data[cut:])
    assert whole.takes(data) == taken


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


@cache
def _identity() -> DtlsIdentity:
    return DtlsIdentity()


def dtls_handshakes(data: bytes) -> None:
    """Datagrams, each behind its length in two bytes, of somebody without keys: no handshake ends,
    well or badly. The first byte chooses our role."""
    if not data:
        return
    ours = DtlsAssociation(_identity(), as_client=bool(data[0] & 1))
    ours.expect([("sha-256", bytes(32))])
    ours.begin(0.0)
    rest = data[1:]
    while rest:
        length = int.from_bytes(rest[:2])
        ours.handle_datagram(rest[2 : 2 + length], 0.0)
        ours.handle_timeout(ours.poll_timeout() or 0.0)
        rest = rest[2 + length :]
        assert all(len(datagram) <= MTU_BYTES for datagram in ours.poll_datagrams())
    assert ours.state is DtlsState.HANDSHAKING
    assert ours.keys is None


def child_lines(data: bytes) -> None:
    """Control lines of a process that somebody has taken over: each is one that it may send now,
    within the bounds of what can be true, or the connection ends."""
    reader, live = UpReader(), LiveOutputs(HlsTarget(2_000), (RtmpTarget("one", "r", "name"),))
    reports = ChildReports(live if data[:1] == b"{" else None)
    with contextlib.suppress(LineError):
        for line in data.removeprefix(b"\n").split(b"\n"):
            said = reader.decode(line)
            reports.check(said)
            if isinstance(said, ProgressLine | DoneLine):
                assert 0 <= recorded_ms(said.recorded_ms, 1_000) <= 1_000 + AHEAD_MS
                assert 0 <= said.recorded_ms <= MAX_NUMBER
            assert not isinstance(said, FailedLine) or said.text.isprintable() or not said.text


def zygote_answers(data: bytes) -> None:
    with contextlib.suppress(*NOT_JSON):
        forks.read_answer(data)


def playlists(data: bytes) -> None:
    """What that process wrote for viewers: nobody waits without end for what is in it."""
    position = position_of(data.decode("ascii", "replace"))
    assert 0 <= position.target_s <= MAX_TARGET_S
    assert 0 <= position.advance_parts <= 300
    for wanted in (None, Wanted(position.segment + 1), Wanted(position.segment, position.parts)):
        answer(position, wanted)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(sdp, messages, bodies, values, tokens, credentials, forwarded, stranger_frames),
        *(whip_offers, whip_fragments, whip_headers),
        *(client_frames, bitstreams, client_signals),
        *(child_lines, zygote_answers, playlists),
        *(sip_messages, sip_descriptions, sip_packets, sip_reports),
        *(proxy_requests, render_lines, style_answers),
        *(connector_lines, caption_lines, sip_lines, down_lines, frame_records),
        *(member_reports, member_orders, link_messages, recorded_frames, recorder_files),
        *(connector_messages, connector_sockets, rtmp_answers, devtools_messages),
        *(room_bodies, admin_bodies, rest_bodies, rest_queries),
        *(addresses, ids_and_links, viewer_paths),
        *(server_messages_python, server_descriptions, layered_packets),
        dtls_handshakes,
    )
}

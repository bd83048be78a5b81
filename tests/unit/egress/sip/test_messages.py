"""SIP as text: what real peers send is read, and nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.egress.sip import messages, sdp
from sfu.egress.sip.call import Call
from sfu.egress.sip.messages import Address, MessageStream, Request, Response, parse
from sfu.egress.sip_uri import MessageError, Uri, parameters_of, split_outside_quotes
from tests.unit.egress.sip.peer import ANSWER, OFFER, form_of

OK = (
    b"SIP/2.0 200 OK\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKt1;rport\r\n"
    b"From: <sip:a@example.com>;tag=1\r\n"
    b'To: "Doe, John" <sip:b@example.com>;tag=2\r\n'
    b"Call-ID: c\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Content-Length: 3\r\n"
    b"\r\n"
    b"abcdef"
)


@pytest.mark.parametrize(
    ("text", "transport", "port"),
    [
        ("sip:ann@example.com", "udp", 5_060),
        ("sip:+1555;ext=2@pbx01:5080;transport=TCP", "tcp", 5_080),
        ("sips:ann@example.com", "tls", 5_061),
        ("sip:ann@[2001:db8::1];transport=tls", "tls", 5_061),
        ("sip:192.0.2.1", "udp", 5_060),
        ("sip:a@b.example;transport=ws", "ws", 5_060),
    ],
)
def test_uris(text, transport, port):
    uri = Uri.parse(text)
    assert (uri.transport, uri.port_or_default) == (transport, port)
    assert Uri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    ["", "tel:+1555", "sip:", "sip:a@", "sip:a@b:0", "sip:a@b:99999", "sip:a b@c", "sip:a@[::zz]",
     "sip:a@b\r\nX: y", "http://example.com", "sip:a@b;x=\n"],
)  # fmt: skip
def test_what_is_no_uri(text):
    with pytest.raises(MessageError):
        Uri.parse(text)


def test_a_message_is_read_up_to_its_length():
    message = parse(OK)
    assert isinstance(message, Response)
    assert (message.status, message.reason, message.body) == (200, "OK", b"abc")
    assert (message.call_id, message.cseq, message.branch) == ("c", (1, "INVITE"), "z9hG4bKt1")
    assert (message.tag_of("from"), message.tag_of("to")) == ("1", "2")


def test_compact_and_folded_headers_and_lone_line_feeds_are_read():
    text = (
        b"BYE sip:a@b SIP/2.0\nv: SIP/2.0/UDP h\n ;branch=z9hG4bK7\nf: <sip:a@b>;tag=1\n"
        b"t : <sip:c@d>\ni: x\nCSeq:  2   BYE\n\n"
    )
    message = parse(text)
    assert isinstance(message, Request)
    assert (message.method, message.uri, message.branch) == ("BYE", "sip:a@b", "z9hG4bK7")
    assert message.tag_of("to") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"SIP/2.0 200 OK", b"SIP/2.0 20 OK"),
        (b"SIP/2.0 200 OK", b"SIP/3.0 200 OK"),
        (b"SIP/2.0 200 OK", b"hello"),
        (b"Call-ID: c\r\n", b""),
        (b"CSeq: 1 INVITE", b"CSeq: x"),
        (b"branch=z9hG4bKt1;", b""),
        (b"Content-Length: 3", b"Content-Length: 9"),
        (b"Content-Length: 3", b"Content-Length: -3"),
        (b"<sip:b@example.com>", b"<sip:b@example.com"),
        (b"Call-ID: c", b"Call-ID"),
        (b"\r\n\r\n", b"\r\n"),
    ],
)
def test_what_is_no_message(old, new):
    assert old in OK
    with pytest.raises(MessageError):
        parse(OK.replace(old, new))


def test_a_message_reads_as_it_was_written():
    message = parse(OK.replace(b"Content-Length: 3\r\n", b""))
    again = parse(message.encode())
    assert (list(again.headers)[:-1], again.body) == (list(message.headers), message.body)


def test_commas_and_semicolons_in_quotes_are_no_separators():
    assert split_outside_quotes('"a,\\"b" <sip:c,d@e>, f', ",") == ['"a,\\"b" <sip:c,d@e>', "f"]
    assert parameters_of(';a="x;y";b;C=d') == (("a", "x;y"), ("b", None), ("c", "d"))
    assert Address.parse('"a <b>" <sip:c@d;lr>;tag=7').uri.is_loose


def test_a_connection_is_cut_into_messages_wherever_it_is_cut():
    whole = b"\r\n\r\n" + OK[:-3] + OK[:-3]
    for size in (1, 7, 100, len(whole)):
        stream, found = MessageStream(), []
        for at in range(0, len(whole), size):
            found += stream.feed(whole[at : at + size])
        assert found == [OK[:-3]] * 2


@pytest.mark.parametrize(
    "data", [b"x" * 70_000, OK[:-6].replace(b": 3", b": 999999"), b"a: b\r\nno header\r\n\r\n"]
)
def test_a_connection_that_never_completes_a_message_is_of_no_use(data):
    with pytest.raises(MessageError):
        MessageStream().feed(data)


PIECES = st.lists(
    st.sampled_from(
        [b"SIP/2.0 ", b"200", b" OK", b"INVITE sip:a@b SIP/2.0", b"\r\n", b"\n", b" ", b"Via: ",
         b"SIP/2.0/UDP h;branch=z", b"From: ", b"<sip:a@b>", b";tag=1", b"To: ", b"Call-ID: c",
         b"CSeq: 1 INVITE", b"Content-Length: ", b"5", b'"', b"\\", b"<", b">", b",", b"\xff",
         b"Record-Route: <sip:x;lr>", b"Contact: *", b"WWW-Authenticate: Digest ", b"nonce=", b"="]
    ),
    max_size=60,
)  # fmt: skip


@given(st.one_of(st.binary(max_size=600), PIECES.map(b"".join)))
def test_anything_is_a_message_or_an_error(data):
    with contextlib.suppress(MessageError):
        parse(data)
    with contextlib.suppress(MessageError):
        MessageStream().feed(data)


@given(st.binary(max_size=80), st.integers(0, len(OK)), st.sampled_from([0, 5, 40]))
def test_a_call_survives_whatever_comes(noise, at, cut):
    call = Call(form_of(), OFFER, lambda _offer: ANSWER, lambda: "t1", 0)
    (invite,) = [messages.parse(one.data) for one in call.take_outgoing()]
    known = OK.replace(b"Call-ID: c", f"Call-ID: {invite.call_id}".encode())
    call.handle(known[:at] + noise + known[at + cut :], ("192.0.2.9", 5_060), 1)
    call.handle_time(1)
    for one in call.take_outgoing():
        messages.parse(one.data)


LINES = st.lists(
    st.sampled_from(
        ["v=0", "c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0", "m=audio 4000 RTP/AVP 0 8 101",
         "m=audio 0 RTP/AVP 0", "m=video 5 RTP/AVP 0", "a=rtpmap:101 telephone-event/8000", "a=",
         "a=sendonly", "a=inactive", "m=audio 1 RTP/SAVP 0",
         "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40, "a=rtpmap:999 x/1", "m=audio "]
    ),
    max_size=20,
)  # fmt: skip


@given(st.one_of(st.binary(max_size=400), LINES.map(lambda lines: "\n".join(lines).encode())))
def test_any_description_is_read_or_refused(body):
    for secure in (False, True):
        try:
            remote = sdp.read(body, secure=secure)
        except sdp.SdpError:
            continue
        assert 0 < remote.port < 65_536
        assert (remote.key is not None) == secure

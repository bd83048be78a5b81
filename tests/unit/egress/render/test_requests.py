"""What a browser asks of its proxy, and what of it goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sfu.egress.render.requests import (
    Request,
    RequestError,
    origin_head,
    read_request,
    without_origin,
)


def head(*lines):
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def test_a_tunnel_names_a_host_and_a_port():
    found = read_request(head("CONNECT a.test:443 HTTP/1.1", "Host: a.test:443"))
    assert (found.tunnel, found.host, found.port) == (True, "a.test", 443)
    found = read_request(head("CONNECT [2001:db8::1]:80 HTTP/1.1"))
    assert (found.host, found.port) == ("2001:db8::1", 80)


def test_a_request_goes_on_in_the_form_of_the_server_alone_on_its_connection():
    found = read_request(
        head(
            "POST http://A.test:81/p/?q=1#f HTTP/1.1",
            "Host: other.test",
            "Content-Length: 3",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive",
            "Cookie: a=b",
        )
    )
    assert (found.host, found.port, found.path, found.body_bytes) == ("a.test", 81, "/p/?q=1", 3)
    assert origin_head(found) == head(
        "POST /p/?q=1 HTTP/1.1",
        "Host: a.test:81",
        "Content-Length: 3",
        "Cookie: a=b",
        "Connection: close",
    )


@pytest.mark.parametrize(
    "lines",
    [
        ("GET / HTTP/1.1",),
        ("GET file:///etc/passwd HTTP/1.1",),
        ("GET https://a.test/ HTTP/1.1",),
        ("GET http://./ HTTP/1.1",),
        ("CONNECT ..:443 HTTP/1.1",),
        ("GET ftp://a.test/ HTTP/1.1",),
        ("CONNECT a.test HTTP/1.1",),
        ("CONNECT a.test:0 HTTP/1.1",),
        ("CONNECT a.test:x HTTP/1.1",),
        ("CONNECT u@a.test:80 HTTP/1.1",),
        ("GET http://u:p@a.test/ HTTP/1.1",),
        ("GET http://a.test/ SPDY",),
        ("GET  http://a.test/ HTTP/1.1",),
        ("G\x00T http://a.test/ HTTP/1.1",),
        ("GET http://a.test/ HTTP/1.1", "no header"),
        ("GET http://a.test/ HTTP/1.1", " folded: x"),
        ("GET http://a.test/ HTTP/1.1", "Name : x"),
        ("GET http://a.test/ HTTP/1.1", "Name: a\nOther: b"),
        ("POST http://a.test/ HTTP/1.1", "Transfer-Encoding: chunked"),
        ("POST http://a.test/ HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
        ("POST http://a.test/ HTTP/1.1", "Content-Length: -1"),
    ],
)
def test_what_is_no_request(lines):
    with pytest.raises(RequestError):
        read_request(head(*lines))


def test_the_websocket_goes_on_without_the_origin_of_its_page_and_nothing_else_does():
    upgrade = ("GET /v1/signal HTTP/1.1", "Host: publisher.localhost")
    asked = head(*upgrade, "Origin: http://publisher.localhost", "Upgrade: websocket")
    assert without_origin(asked, "/v1/signal") == head(*upgrade, "Upgrade: websocket")
    for other in ("GET /v1/signals HTTP/1.1", "POST /v1/signal HTTP/1.1", "GET /v2 HTTP/1.1"):
        with pytest.raises(RequestError):
            without_origin(head(other), "/v1/signal")


@given(some.binary(max_size=200))
def test_any_bytes_are_a_request_or_none(data):
    for tail in (b"", b"\r\n\r\n"):
        for first in (b"", b"GET http://a.test/ HTTP/1.1\r\n", b"CONNECT "):
            try:
                found = read_request(first + data + tail)
            except RequestError:
                continue
            assert isinstance(found, Request)
            # What goes on is one head, whatever came.
            assert found.tunnel or origin_head(found).count(b"\r\n\r\n") == 1

"""Commands that ask a server have credentials with them, and the server may be anybody's."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from signaling.cli import asking, call_setup
from signaling.cli.doctor_server import fetched
from signaling.domain.errors import DomainError
from signaling.domain.projects import Project

PROJECT = Project("1", "a" * 40, "")
DEEP = b"[" * 200_000


class Liar(BaseHTTPRequestHandler):
    def answer(self):
        self.server.asked.append(dict(self.headers))
        self.send_response(self.server.status)
        self.send_header("Location", self.server.elsewhere)
        self.end_headers()
        self.wfile.write(DEEP if self.server.status == 200 else b"")

    do_GET = do_POST = answer  # noqa: N815 - names of the library

    def log_message(self, *_):
        """Nothing is printed."""


@pytest.fixture
def servers():
    """One that a command asks, and one that the first names."""
    made = [ThreadingHTTPServer(("127.0.0.1", 0), Liar) for _ in range(2)]
    for one in made:
        one.asked, one.status = [], 200
        one.url = f"http://127.0.0.1:{one.server_port}"
        one.thread = threading.Thread(target=one.serve_forever, args=(0.02,))
        one.thread.start()
    made[0].elsewhere = made[1].elsewhere = made[1].url
    yield made
    for one in made:
        one.shutdown()
        one.thread.join()
        one.server_close()


def ask_about_sessions(url):
    with pytest.raises(DomainError) as failure:
        asking.ask(PROJECT, url)
    return str(failure.value)


def create_a_session(url):
    with pytest.raises(call_setup.SetupError) as failure:
        call_setup._session_by_rest(PROJECT, url, 1_800_000_000)
    return str(failure.value)


@pytest.mark.parametrize("command", [ask_about_sessions, create_a_session])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_credentials_elsewhere(servers, command, status):
    first, second = servers
    first.status = status
    command(first.url)
    assert [("X-Opentok-Auth" in one or "X-OPENTOK-AUTH" in one) for one in first.asked] == [True]
    assert second.asked == []


@pytest.mark.parametrize("status", [302, 307])
def test_the_doctor_judges_the_server_that_it_was_named(servers, status):
    first, second = servers
    first.status = status
    assert fetched(first.url).status == status
    assert second.asked == []


@pytest.mark.parametrize("command", [ask_about_sessions, create_a_session])
def test_an_answer_that_is_nested_too_deeply_is_none(servers, command):
    assert command(servers[0].url)

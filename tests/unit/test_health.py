"""`sealroute health` asks where the server of the same settings listens."""

import contextlib
import datetime as dt
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.load import ConfigurationError
from config.settings import HttpSettings
from signaling.cli.command_line import main as sealroute
from signaling.cli.health import READY, health_of, main


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({"/healthz": 200, "/readyz": 503}[self.path])
        self.end_headers()

    def log_message(self, *_words):
        pass


class ServerOnVersion6(HTTPServer):
    address_family = socket.AF_INET6


@contextlib.contextmanager
def listening(host, certificate=None):
    kind = ServerOnVersion6 if ":" in host else HTTPServer
    with kind((host, 0), Answers) as server:
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for another name, which nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "calls.example")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize(
    ("bound", "configured"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "::"),
        ("::1", "::1"),
    ],
)
def test_it_asks_the_configured_address_and_port(bound, configured):
    with listening(bound) as port:
        settings = HttpSettings(host=configured, port=port)
        assert health_of(settings).good
        assert (health_of(settings, READY).good, "503" in health_of(settings, READY).detail) == (
            False,
            True,
        )


def test_it_speaks_tls_where_the_server_does(certificate):
    with listening("127.0.0.1", certificate) as port:
        assert health_of(HttpSettings(port=port, tls_certificate=str(certificate))).good
        assert not health_of(HttpSettings(port=port)).good


def test_a_server_that_is_not_there_is_not_healthy_and_where_is_reported():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        health = health_of(HttpSettings(port=port))
    assert (health.good, f"127.0.0.1:{port}/healthz" in health.detail) == (False, True)


def test_any_port_is_no_port_to_ask():
    with pytest.raises(ConfigurationError, match="port 0"):
        health_of(HttpSettings(port=0))


@pytest.mark.parametrize(("port", "code"), [(None, 0), ("0", 1)])
@pytest.mark.parametrize("command", [main, lambda: sealroute(["health"])])
def test_both_commands_read_the_environment_and_answer_by_their_code(
    monkeypatch, command, port, code
):
    with listening("127.0.0.1") as free:
        monkeypatch.setenv("SEALROUTE_PORT", port or str(free))
        assert command() == code

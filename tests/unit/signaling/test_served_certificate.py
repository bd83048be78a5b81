"""The certificate of the HTTP server: which client gets which, and the effect of a bad renewal."""

import ssl

import pytest
from cryptography import x509

from config.load import ConfigurationError
from config.settings import HttpSettings
from signaling.http.served_certificate import ServedCertificate
from signaling.metrics import Metrics
from tests.certificates import write_certificate


class Handshake:
    """A client and the served context, wired together in memory."""

    def __init__(self, served: ServedCertificate, name: str | None) -> None:
        self.to_server, self.to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.client = context.wrap_bio(self.to_client, self.to_server, server_hostname=name)
        self.server = served.listening.wrap_bio(self.to_server, self.to_client, server_side=True)
        for _ in range(3):
            for end in (self.client, self.server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue

    @property
    def serial(self) -> int:
        return x509.load_der_x509_certificate(
            self.client.getpeercert(binary_form=True)
        ).serial_number

    def says(self, text: bytes) -> bytes:
        self.server.write(text)
        return self.client.read(100)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(dict)


@pytest.fixture
def served(tmp_path, metrics):
    write_certificate(tmp_path)
    files = {
        "tls_certificate": str(tmp_path / "certificate.pem"),
        "tls_key": str(tmp_path / "key.pem"),
    }
    return ServedCertificate.of(HttpSettings(**files), metrics)


def reloads(metrics: Metrics, result: str) -> float:
    return metrics.registry.get_sample_value("sealroute_tls_reloads_total", {"result": result}) or 0


@pytest.mark.parametrize("name", ["media.example.test", None])
def test_a_renewed_certificate_is_served_and_who_is_connected_stays(tmp_path, served, name) -> None:
    before = Handshake(served, name)
    renewed = write_certificate(tmp_path)
    served.check()
    after = Handshake(served, name)
    assert before.serial < renewed == after.serial
    assert before.says(b"still here") == b"still here"


def test_files_that_are_as_they_were_are_not_read_again(served, metrics) -> None:
    served.check()
    assert reloads(metrics, "ok") == reloads(metrics, "failed") == 0


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("certificate.pem", ""),
        ("certificate.pem", "-----BEGIN CERTIFICATE-----\nMIIB"),
        ("key.pem", "nonsense"),
        ("key.pem", None),
    ],
)
def test_what_does_not_load_changes_nothing_and_is_said_once(
    tmp_path, served, metrics, capsys, file, content
) -> None:
    kept = Handshake(served, None).serial
    path = tmp_path / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    for _ in range(3):
        served.check()
    assert Handshake(served, None).serial == kept
    assert reloads(metrics, "failed") == 1
    assert capsys.readouterr().out.count("tls certificate not renewed") == 1
    renewed = write_certificate(tmp_path)
    served.check()
    assert Handshake(served, None).serial == renewed


def test_the_key_of_another_certificate_is_not_served(tmp_path, served, metrics) -> None:
    kept = Handshake(served, None).serial
    other = tmp_path / "other"
    other.mkdir()
    write_certificate(other)
    (other / "key.pem").rename(tmp_path / "key.pem")
    served.reload()
    assert Handshake(served, None).serial == kept
    assert reloads(metrics, "failed") == 1


def test_when_the_certificate_ends_is_a_metric(served, metrics) -> None:
    name = "sealroute_tls_certificate_expiry_timestamp_seconds"
    assert metrics.registry.get_sample_value(name) > 1_700_000_000


def test_a_start_without_a_certificate_that_loads_says_which_and_why(tmp_path, metrics) -> None:
    settings = HttpSettings(tls_certificate=str(tmp_path / "none.pem"), tls_key="")
    with pytest.raises(ConfigurationError, match=r"none\.pem .*No such file"):
        ServedCertificate.of(settings, metrics)

"""`sealroute health`, and the health check of a container engine, which runs every few seconds
(`python -m signaling.cli.health` loads nothing else of the server)."""

import http.client
import os
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from config.load import PREFIX, ConfigurationError, load_settings
from config.settings import HttpSettings

TIMEOUT_S = 2.0
ALIVE, READY = "/healthz", "/readyz"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - looked up


@dataclass(frozen=True, slots=True)
class Health:
    """`detail` has the address and the answer."""

    good: bool
    detail: str


def health_of(settings: HttpSettings, path: str = ALIVE) -> Health:
    """Requests the health from the configured address. Errors: `ConfigurationError` if the port is
    not fixed."""
    if settings.port == 0:
        raise ConfigurationError("[http] port 0 is any free port: set a port to check its health")
    host = EVERYWHERE.get(settings.host, settings.host)
    where = f"{f'[{host}]' if ':' in host else host}:{settings.port}{path}"
    try:
        status = _status(settings, host, path)
    except (OSError, http.client.HTTPException) as failure:
        return Health(good=False, detail=f"{where}: {failure or type(failure).__name__}")
    return Health(good=status == http.client.OK, detail=f"{where}: status {status}")


def local_url(settings: HttpSettings) -> str:
    """The server with these settings, as this machine reaches it. Errors: `ConfigurationError` if
    the port is not fixed."""
    if settings.port == 0:
        raise ConfigurationError("[http] port 0 is any free port: give the server's --url")
    host = EVERYWHERE.get(settings.host, settings.host)
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _status(settings: HttpSettings, host: str, path: str) -> int:
    connection: http.client.HTTPConnection
    if settings.tls_certificate:
        # The certificate is for the public host name, and the request contains no secret.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, settings.port, timeout=TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, settings.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def main() -> int:
    """Exit codes: 0 healthy, 1 not."""
    file = os.environ.get(f"{PREFIX}CONFIG")
    try:
        settings = load_settings(Path(file) if file else None, os.environ)
        health = health_of(settings.http)
    except ConfigurationError as failure:
        sys.stderr.write(f"sealroute: {failure}\n")
        return 1
    sys.stdout.write(f"{health.detail}\n")
    return 0 if health.good else 1


if __name__ == "__main__":
    sys.exit(main())

"""A session, the address of its server, and what admits to it."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from sealroute_client.errors import InvalidParameter

PATH: Final = "/v1/signal"
SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    url: str
    api_key: str
    session_id: str
    token: str

    @property
    def socket_url(self) -> str:
        """Errors: InvalidParameter."""
        try:
            parts = urlsplit(self.url)
            host = parts.hostname
        except ValueError:
            raise InvalidParameter("The URL of the server is not a URL") from None
        scheme = SCHEMES.get(parts.scheme)
        if scheme is None or not host:
            raise InvalidParameter(
                "The URL of the server begins with http:// or https://, as in http://host:8080"
            )
        return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + PATH, "", ""))

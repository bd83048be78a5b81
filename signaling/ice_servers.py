"""The STUN and TURN servers for a client, with its own credentials.

TURN credentials are the time-limited ones of the TURN REST API memo
(draft-uberti-behave-turn-rest-00), `use-auth-secret` in coturn: the user name contains the expiry
time and the connection; the password is its HMAC-SHA1 under the secret that both servers share.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from config.load import ConfigurationError
from config.secret import Secret
from config.settings import IceSettings
from signaling.protocol.messages import IceServer

STUN_SCHEMES = ("stun:", "stuns:")
TURN_SCHEMES = ("turn:", "turns:")


@dataclass(frozen=True, slots=True)
class IceServers:
    """The ICE servers for all clients of this node."""

    stun_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: Secret[str] | None = None
    turn_lifetime_s: int = 86_400

    def for_client(self, connection: str, now_unix_s: int) -> tuple[IceServer, ...]:
        """The servers for one Connection; its credentials expire after `turn_lifetime_s`."""
        stun = (IceServer(urls=self.stun_urls),) if self.stun_urls else ()
        if not self.turn_urls or self.turn_secret is None:
            return stun
        username = f"{now_unix_s + self.turn_lifetime_s}:{connection}"
        # RFC 5389 fixes the hash; the key is the operator's, not derived from the message.
        digest = hmac.new(self.turn_secret.reveal().encode(), username.encode(), hashlib.sha1)
        credential = base64.b64encode(digest.digest()).decode()
        turn = IceServer(urls=self.turn_urls, username=username, credential=credential)
        return (*stun, turn)


def ice_servers_of(settings: IceSettings) -> IceServers:
    """Errors: `ConfigurationError` for a URL with another scheme, and for TURN without a secret."""
    stun = _urls(settings.stun_urls, STUN_SCHEMES, "stun_urls")
    turn = _urls(settings.turn_urls, TURN_SCHEMES, "turn_urls")
    has_secret = bool(settings.turn_secret.reveal())
    if turn and not has_secret:
        raise ConfigurationError("[ice] turn_urls needs turn_secret, which the TURN servers share")
    return IceServers(
        stun, turn, settings.turn_secret if has_secret else None, settings.turn_lifetime_s
    )


def _urls(text: str, schemes: tuple[str, ...], knob: str) -> tuple[str, ...]:
    urls = tuple(text.split())
    for url in urls:
        scheme, colon, host = url.partition(":")
        if scheme + colon not in schemes or not host or host.startswith("/"):
            raise ConfigurationError(f"[ice] {knob} must begin with {' or '.join(schemes)}")
    return urls

"""Where this server is for a browser that has no way out but through it."""

import ipaddress
from collections.abc import Mapping, Sequence

from config.settings import Settings
from sfu.egress.render_jobs import Address, NodeAddresses
from signaling.addresses import public_addresses


class OwnNode:
    """`http_port`: set when the server listens. `media_ports`: of the workers."""

    def __init__(self, settings: Settings, media_ports: Sequence[int]) -> None:
        self.http_port = 0
        self._http = settings.http
        self._media = _media(settings, media_ports)

    def addresses(self) -> NodeAddresses:
        return NodeAddresses(
            http=(_reachable(self._http.host), self.http_port),
            secure=bool(self._http.tls_certificate),
            media=self._media,
        )


def _media(settings: Settings, ports: Sequence[int]) -> Mapping[Address, Address]:
    """What clients are told may be the address of a NAT, which this machine cannot reach."""
    media = settings.media
    if not media.tcp:
        return {}
    local = _reachable(media.host)
    told = public_addresses(media.public_ips, media.host)
    return {(address, port): (local, port) for address in told for port in ports}


def _reachable(host: str) -> str:
    """An address of this machine for one to listen on."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "127.0.0.1"
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"

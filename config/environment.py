"""Distinguishes the server's environment variables from those that a container engine sets.

Kubernetes gives each pod the addresses of the Services in its namespace, under their names: a
Service called `sealroute` adds SEALROUTE_PORT=tcp://… and SEALROUTE_SERVICE_HOST=… to the settings.
"""

import ipaddress
import re
from collections.abc import Mapping

_HOST = "_SERVICE_HOST"
_PORT = "_SERVICE_PORT"
_REST = re.compile(
    r"_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_LINK = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


def without_services(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The variables with the prefix that do not belong to a Service. A Service is recognized by its
    address and port together, so that a mistyped setting is still found."""
    ours = {name: text for name, text in environment.items() if name.startswith(prefix)}
    services = [
        name.removesuffix(_HOST)
        for name, text in ours.items()
        if name.endswith(_HOST)
        and _is_address(text)
        and ours.get(name.removesuffix(_HOST) + _PORT, "").isdecimal()
    ]
    return {
        name: text
        for name, text in ours.items()
        if not any(_belongs(name, text, service) for service in services)
    }


def _belongs(name: str, text: str, service: str) -> bool:
    if not name.startswith(service):
        return False
    rest = name.removeprefix(service)
    if rest == "_PORT":
        # Also the name of a setting, whose value is a number.
        return _LINK.fullmatch(text) is not None
    return _REST.fullmatch(rest) is not None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

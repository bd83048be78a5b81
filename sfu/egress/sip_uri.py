"""SIP URIs, and what else of SIP is text with quotes (RFC 3261 sections 19 and 25.1); pure."""

import re
from dataclasses import dataclass
from ipaddress import ip_address

_URI = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[^@\s<>\"]{1,255})@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>\d{1,5}))?"
    r"(?P<parameters>(?:;[^;?\s<>\"]{1,255}){0,20})(?:\?[^\s<>\"]{0,1024})?",
    re.IGNORECASE,
)


class MessageError(ValueError):
    """What came is no SIP message, or no SIP URI."""


@dataclass(frozen=True, slots=True)
class Uri:
    """`host`: a name, or an address without brackets. `parameters` have lower-case names."""

    scheme: str
    host: str
    user: str | None = None
    port: int | None = None
    parameters: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Uri":
        """Errors: `MessageError`."""
        found = _URI.fullmatch(text)
        if found is None:
            raise MessageError("not a SIP URI")
        port = int(found["port"]) if found["port"] else None
        if port is not None and not 0 < port < 65_536:
            raise MessageError("no such port")
        host = found["host"]
        if host.startswith("["):
            host = host[1:-1]
            if address_of(host) is None:
                raise MessageError("not an IPv6 address")
        parameters = parameters_of(found["parameters"])
        return cls(found["scheme"].lower(), host, found["user"], port, parameters)

    def parameter(self, name: str) -> str | None:
        return dict(self.parameters).get(name)

    @property
    def is_loose(self) -> bool:
        """Whether a proxy routes as RFC 3261 does (section 16.12)."""
        return any(name == "lr" for name, _ in self.parameters)

    @property
    def transport(self) -> str:
        """udp, tcp or tls; another one as it is named."""
        named = (self.parameter("transport") or "").lower()
        if self.scheme == "sips":
            return "tls"
        return named or "udp"

    @property
    def port_or_default(self) -> int:
        return self.port or (5_061 if self.transport == "tls" else 5_060)

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user is not None else ""
        port = f":{self.port}" if self.port is not None else ""
        rest = "".join(
            f";{name}" if value is None else f";{name}={value}" for name, value in self.parameters
        )
        return f"{self.scheme}:{user}{bracketed(self.host)}{port}{rest}"


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def address_of(host: str) -> str | None:
    """The host if it is an address and no name."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def parameters_of(text: str) -> tuple[tuple[str, str | None], ...]:
    """Of `;name=value;flag`. Quotes are taken off."""
    found = []
    for part in split_outside_quotes(text, ";"):
        name, separator, value = part.partition("=")
        if name.strip():
            found.append((name.strip().lower(), unquoted(value) if separator else None))
    return tuple(found)


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Parts without those that are empty. Quoted strings and what is in `<>` are not split."""
    parts: list[str] = []
    begin, is_quoted, is_escaped, depth = 0, False, False, 0
    for at, letter in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif is_quoted and letter == "\\":
            is_escaped = True
        elif letter == '"':
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif letter in "<>":
            depth = 1 if letter == "<" else 0
        elif letter == separator and not depth:
            parts.append(text[begin:at])
            begin = at + 1
    parts.append(text[begin:])
    return [part.strip() for part in parts if part.strip()]


def unquoted(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text.startswith('"') and text.endswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text

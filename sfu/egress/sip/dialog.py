"""What two ends of a call know of each other, and the requests made of it (RFC 3261 section 12);
pure."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field

from sfu.egress.sip.digest import (
    ANSWER_OF,
    Challenge,
    Login,
    authorization,
    challenge_of,
)
from sfu.egress.sip.messages import Address, Headers, Request, Response
from sfu.egress.sip_uri import MessageError, Uri, bracketed

ALLOW = "INVITE, ACK, BYE, CANCEL, INFO, OPTIONS, UPDATE"
USER_AGENT = "Sealroute"
MAX_CHALLENGES = 3
"""Of one request: a server that finds every answer wrong would ask for ever."""
Place = tuple[str, int]
"""Host and port. The host may be a name."""


@dataclass(frozen=True, slots=True)
class CallForm:
    """One outgoing call. `host`, `port`: this end, as peers reach it. `headers` are the caller's,
    sent with the first request as they are."""

    target: Uri
    caller: str
    transport: str
    host: str
    port: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    login: Login | None = None


class Dialog:
    def __init__(self, form: CallForm, token: Callable[[], str]) -> None:
        self._form = form
        self._token = token
        self.call_id = f"{token()}@{bracketed(form.host)}"
        self.own_tag = token()
        self.peer_tag: str | None = None
        self._to = f"<{form.target}>"
        self._target = form.target
        self._routes: list[Uri] = []
        self._cseq = 0
        self._peer_cseq = -1
        self._challenges: dict[int, Challenge] = {}
        self._nonce_uses: dict[str, int] = {}
        self.challenged = 0

    def twin(self) -> "Dialog":
        """With another one who took the same call."""
        return copy(self)

    # --- what the other end says ------------------------------------------------------------

    def establish(self, response: Response) -> None:
        """A 2xx to the INVITE. Errors: `MessageError`."""
        lines = response.headers.items("record-route")
        routes = [Address.parse(item).uri for item in reversed(lines)]
        self.peer_tag = response.tag_of("to")
        self._to = response.headers.get("to") or self._to
        self._target = response.contact() or self._target
        self._routes = routes

    def is_of(self, request: Request) -> bool:
        """Whether a request belongs to this call."""
        if request.call_id != self.call_id or self.peer_tag is None:
            return request.call_id == self.call_id and request.tag_of("to") == self.own_tag
        return request.tag_of("to") == self.own_tag and request.tag_of("from") == self.peer_tag

    def is_next(self, request: Request) -> bool:
        """Whether it is newer than those before; it counts as the last one then."""
        number = request.cseq[0]
        if number <= self._peer_cseq:
            return False
        self._peer_cseq = number
        return True

    def retarget(self, message: Request) -> None:
        """The other end may have moved."""
        self._target = message.contact() or self._target

    def learn_challenge(self, response: Response) -> bool:
        """False: there is nothing to answer it with, or the answer was wrong."""
        where, _ = ANSWER_OF[response.status]
        challenge = challenge_of(response.headers, where)
        self.challenged += 1
        if challenge is None or self._form.login is None or self.challenged > MAX_CHALLENGES:
            return False
        before = self._challenges.get(response.status)
        if before is not None and before.realm == challenge.realm and not challenge.is_stale:
            return False
        self._challenges[response.status] = challenge
        return True

    # --- requests ---------------------------------------------------------------------------

    def branch(self) -> str:
        return f"z9hG4bK{self._token()}"

    @property
    def hop(self) -> Place | None:
        """Where requests of an established call go; None: where the first one went."""
        if self.peer_tag is None:
            return None
        first = self._routes[0] if self._routes else self._target
        return first.host, first.port_or_default

    def request(
        self,
        method: str,
        branch: str,
        *,
        number: int | None = None,
        content: tuple[str, bytes] | None = None,
    ) -> Request:
        """`number`: of the INVITE that an ACK or CANCEL is about; None: the next one."""
        if number is None:
            self._cseq += 1
            number = self._cseq
        uri, routes = self._way()
        pairs = [
            ("Via", self._via(branch)),
            ("Max-Forwards", "70"),
            *(("Route", f"<{route}>") for route in routes),
            ("From", f"<{self._form.caller}>;tag={self.own_tag}"),
            ("To", self._to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
        ]
        if method in ("INVITE", "UPDATE"):
            pairs += [("Contact", self.contact()), ("Allow", ALLOW)]
        if method == "INVITE":
            pairs += self._form.headers
        pairs += self._authorizations(method, str(uri))
        pairs.append(("User-Agent", USER_AGENT))
        body = b""
        if content is not None:
            pairs.append(("Content-Type", content[0]))
            body = content[1]
        return Request(Headers(pairs), body, method=method, uri=str(uri))

    @property
    def last_number(self) -> int:
        return self._cseq

    def contact(self) -> str:
        form = self._form
        scheme = "sips" if form.target.scheme == "sips" else "sip"
        transport = "" if form.transport == "udp" else f";transport={form.transport}"
        return f"<{scheme}:sealroute@{bracketed(form.host)}:{form.port}{transport}>"

    def response(self, request: Request, status: int, reason: str) -> "Answer":
        return Answer(self, request, status, reason)

    def _via(self, branch: str) -> str:
        form = self._form
        sent_by = f"{bracketed(form.host)}:{form.port}"
        return f"SIP/2.0/{form.transport.upper()} {sent_by};branch={branch};rport"

    def _way(self) -> tuple[Uri, list[Uri]]:
        """The URI of a request, and its Route (section 12.2.1.1)."""
        if not self._routes or self._routes[0].is_loose:
            return self._target, self._routes
        return self._routes[0], [*self._routes[1:], self._target]

    def _authorizations(self, method: str, uri: str) -> list[tuple[str, str]]:
        login = self._form.login
        if login is None or method in ("ACK", "CANCEL"):
            return []
        found = []
        for status, challenge in self._challenges.items():
            count = self._nonce_uses.get(challenge.nonce, 0) + 1
            self._nonce_uses[challenge.nonce] = count
            value = authorization(login, challenge, method, uri, count, self._token())
            found.append((ANSWER_OF[status][1], value))
        return found


@dataclass(slots=True)
class Answer:
    """A response to a request of the telephone (section 8.2.6)."""

    dialog: Dialog
    request: Request
    status: int
    reason: str
    more: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def encode(self) -> bytes:
        headers = self.request.headers
        pairs = [("Via", line) for line in headers.lines("via")]
        pairs += [("Record-Route", line) for line in headers.lines("record-route")]
        to = headers.get("to") or ""
        try:
            has_tag = self.request.tag_of("to") is not None
        except MessageError:
            has_tag = True
        pairs += [
            ("From", headers.get("from") or ""),
            ("To", to if has_tag else f"{to};tag={self.dialog.own_tag}"),
            ("Call-ID", self.request.call_id),
            ("CSeq", headers.get("cseq") or ""),
            *self.more,
        ]
        return Response(Headers(pairs), self.body, status=self.status, reason=self.reason).encode()

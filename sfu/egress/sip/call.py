"""The user agent of one outgoing call (RFC 3261 sections 13 to 15); pure.

`Call` is told what came and what time it is; it says what to send and what happened. Its owner
negotiates the media.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sfu.egress.sip import messages
from sfu.egress.sip.dialog import ALLOW, Answer, CallForm, Dialog, Place
from sfu.egress.sip.messages import Request, Response
from sfu.egress.sip.transactions import (
    GIVE_UP_US,
    NEVER,
    ClientTransaction,
    ServerTransaction,
)
from sfu.egress.sip_uri import MessageError, Uri

FIRST_RESPONSE_US = 6_000_000
"""A server that is there says `100 Trying` at once."""
RINGING_US = 180_000_000
MAX_TRANSACTIONS = 32
SDP = "application/sdp"
_BAD_EXTENSION = 420

Negotiate = Callable[[bytes], bytes | None]
"""The answer to an offer; to an empty one an offer. None: it does not suit."""


@dataclass(frozen=True, slots=True)
class Ringing:
    """A provisional answer other than `100 Trying`."""

    status: int


@dataclass(frozen=True, slots=True)
class Early:
    """The other end says where its audio is before it answers: an announcement, or its ringing."""

    sdp: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The other end's answer to our offer."""

    sdp: bytes
    is_first: bool


@dataclass(frozen=True, slots=True)
class Redirected:
    """The telephone is elsewhere: another address has to be called."""

    uri: Uri


@dataclass(frozen=True, slots=True)
class Info:
    """What was sent in the call beside its media: digits, of old telephones."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """`refused` with the status of the answer; `closed` by either end; `lost`: it went away."""

    how: Literal["refused", "closed", "lost"]
    status: int = 0
    reason: str = ""


Event = Ringing | Early | Answered | Redirected | Info | Ended


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`to`: None for where the first request goes."""

    data: bytes
    to: Place | None = None


class Call:
    """The media's owner gives the offer, and answers those of the other end by `negotiate`."""

    def __init__(
        self,
        form: CallForm,
        offer: bytes,
        negotiate: Negotiate,
        token: Callable[[], str],
        now_us: int,
    ) -> None:
        self.state: Literal["calling", "up", "leaving", "over"] = "calling"
        self.ignored = 0
        self._dialog = Dialog(form, token)
        self._offer = offer
        self._negotiate = negotiate
        self._is_reliable = form.transport != "udp"
        self._outgoing: list[Outgoing] = []
        self._events: list[Event] = []
        self._sent: dict[str, ClientTransaction] = {}
        self._answered: dict[tuple[str, str], ServerTransaction] = {}
        self._places: dict[str, Place | None] = {}
        self._requests: dict[str, Request] = {}
        self._acks: dict[str | None, Outgoing] = {}
        self._invite = self._bye = ""
        self._is_cancelled = False
        self._wants_answer = False
        self._deadline_us = now_us + FIRST_RESPONSE_US
        self._end: Ended | None = None
        self._send_invite(now_us)

    # --- the owner's side -------------------------------------------------------------------

    @property
    def due_us(self) -> int:
        dues = [one.due_us for one in self._sent.values()]
        dues += [one.due_us for one in self._answered.values()]
        return min([self._deadline_us, *dues])

    def take_outgoing(self) -> list[Outgoing]:
        found, self._outgoing = self._outgoing, []
        return found

    def take_events(self) -> list[Event]:
        found, self._events = self._events, []
        return found

    def hang_up(self, now_us: int, end: Ended | None = None) -> None:
        """`end`: why, if the other end did not ask for it. Idempotent."""
        if self.state == "up":
            self._end = end or Ended("closed")
            self.state = "leaving"
            self._deadline_us = now_us + GIVE_UP_US
            self._bye = self._ask("BYE", now_us)
        elif self.state == "calling" and not self._is_cancelled:
            self._end = end or Ended("closed")
            self._is_cancelled = True
            self._deadline_us = now_us + GIVE_UP_US
            invite = self._sent.get(self._invite)
            if invite is not None and invite.has_response:
                self._send_cancel(now_us)

    def send_info(self, content_type: str, body: bytes, now_us: int) -> None:
        if self.state == "up" and len(self._sent) < MAX_TRANSACTIONS:
            self._ask("INFO", now_us, (content_type, body))

    def lose(self) -> None:
        """The connection is gone."""
        how: Literal["refused", "lost"] = "refused" if self.state == "calling" else "lost"
        self._finish(self._end or Ended(how, 503, "Service Unavailable"))

    def handle(self, data: bytes, source: Place | None, now_us: int) -> None:
        """What came; what is no message of this call is counted. `source`: where answers go."""
        try:
            message = messages.parse(data)
            if self.state == "over" and isinstance(message, Response):
                return
            if isinstance(message, Response):
                self._handle_response(message, now_us)
            else:
                self._handle_request(message, source, now_us)
        except MessageError:
            self.ignored += 1

    def handle_time(self, now_us: int) -> None:
        for branch, sent in list(self._sent.items()):
            step = sent.step(now_us)
            if step.again is not None:
                self._send(step.again, self._places.get(branch))
            if step.is_over:
                self._forget(branch)
                self._handle_silence(branch)
        for key, answered in list(self._answered.items()):
            again = answered.step(now_us)
            if again.again is not None:
                self._send(again.again, self._places.get(answered.branch))
            if again.is_over:
                self._answered.pop(key, None)
                self._places.pop(answered.branch, None)
                if answered.needs_ack:
                    self.hang_up(now_us, Ended("lost", 408, "Request Timeout"))
        if now_us >= self._deadline_us:
            self._deadline_us = NEVER
            self._handle_deadline(now_us)

    # --- requests to the telephone ----------------------------------------------------------

    def _send_invite(self, now_us: int) -> None:
        self._invite = self._ask("INVITE", now_us, (SDP, self._offer))

    def _ask(self, method: str, now_us: int, content: tuple[str, bytes] | None = None) -> str:
        branch = self._dialog.branch()
        request = self._dialog.request(method, branch, content=content)
        self._start(request, branch, self._dialog.hop, now_us)
        return branch

    def _start(self, request: Request, branch: str, place: Place | None, now_us: int) -> None:
        data = request.encode()
        sent = ClientTransaction(
            data, request.method, branch, now_us, is_reliable=self._is_reliable
        )
        # A CANCEL has the branch of what it cancels.
        key = branch if request.method != "CANCEL" else f"{branch}/cancel"
        self._sent[key] = sent
        self._places[key] = place
        self._requests[key] = request
        self._send(data, place)

    def _send_cancel(self, now_us: int) -> None:
        branch = self._invite
        if f"{branch}/cancel" not in self._sent:
            number = self._requests[branch].cseq[0]
            cancel = self._dialog.request("CANCEL", branch, number=number)
            self._start(cancel, branch, None, now_us)

    def _send(self, data: bytes, place: Place | None) -> None:
        self._outgoing.append(Outgoing(data, place))

    def _forget(self, branch: str) -> None:
        self._sent.pop(branch, None)
        self._places.pop(branch, None)
        self._requests.pop(branch, None)

    # --- answers to them --------------------------------------------------------------------

    def _handle_response(self, response: Response, now_us: int) -> None:
        if response.call_id != self._dialog.call_id:
            raise MessageError("of another call")
        method = response.cseq[1]
        if method == "INVITE" and 200 <= response.status < 300:
            self._handle_success(response, now_us)
            return
        key = response.branch if method != "CANCEL" else f"{response.branch}/cancel"
        sent = self._sent.get(key)
        if sent is None or not sent.matches(response):
            self._acknowledge_again(response)
            return
        request = self._requests[key]
        sent.handle(response, now_us)
        if response.status < 200:
            self._handle_provisional(response, method, now_us)
            return
        self._forget(key)
        if method == "INVITE":
            self._acknowledge_failure(response, request)
            self._handle_failure(response, now_us)
        elif response.status in (401, 407) and self._dialog.learn_challenge(response):
            content = (request.headers.get("content-type") or "", request.body)
            again = self._ask(method, now_us, content if request.body else None)
            self._bye = again if key == self._bye else self._bye
        elif key == self._bye:
            self._finish(self._end or Ended("closed"))

    def _handle_provisional(self, response: Response, method: str, now_us: int) -> None:
        if method != "INVITE":
            return
        if self._is_cancelled:
            self._send_cancel(now_us)
            return
        if self._deadline_us != NEVER:
            self._deadline_us = now_us + RINGING_US
        if response.status > 100:
            self._events.append(Ringing(response.status))
            if response.body and _is_sdp(response):
                self._events.append(Early(response.body))

    def _handle_success(self, response: Response, now_us: int) -> None:
        """A 2xx to the INVITE, perhaps again, perhaps of a second one who took the call."""
        tag = response.tag_of("to")
        if tag in self._acks:
            again = self._acks[tag]
            self._send(again.data, again.to)
            return
        if self.state != "calling" or response.branch != self._invite:
            self._refuse_fork(response, now_us)
            return
        self._dialog.establish(response)
        self._forget(self._invite)
        self._acknowledge_success(response, tag)
        self.state = "up"
        self._deadline_us = NEVER
        if self._is_cancelled:
            self.hang_up(now_us, self._end)
        else:
            self._events.append(Answered(response.body, is_first=True))

    def _acknowledge_success(self, response: Response, tag: str | None) -> None:
        number = response.cseq[0]
        ack = self._dialog.request("ACK", self._dialog.branch(), number=number)
        outgoing = Outgoing(ack.encode(), self._dialog.hop)
        self._acks[tag] = outgoing
        self._outgoing.append(outgoing)

    def _refuse_fork(self, response: Response, now_us: int) -> None:
        """Two telephones answered: the second one is told that the call is over."""
        if len(self._acks) >= MAX_TRANSACTIONS or not self._acks:
            raise MessageError("an answer to nothing")
        own = self._dialog
        self._dialog = own.twin()
        try:
            self._dialog.establish(response)
            self._acknowledge_success(response, response.tag_of("to"))
            bye = self._dialog.request("BYE", branch := self._dialog.branch())
            self._start(bye, branch, self._dialog.hop, now_us)
        finally:
            self._dialog = own

    def _acknowledge_failure(self, response: Response, request: Request) -> None:
        """In the INVITE's own transaction (section 17.1.1.3)."""
        self._acks[response.branch] = Outgoing(_ack_of(request, response).encode())
        self._outgoing.append(self._acks[response.branch])

    def _acknowledge_again(self, response: Response) -> None:
        ack = self._acks.get(response.branch)
        if ack is None or response.cseq[1] != "INVITE" or response.status < 300:
            self.ignored += 1
        else:
            self._send(ack.data, ack.to)

    def _handle_failure(self, response: Response, now_us: int) -> None:
        if self._is_cancelled:
            self._finish(self._end or Ended("closed"))
        elif response.status in (401, 407) and self._dialog.learn_challenge(response):
            self._deadline_us = now_us + FIRST_RESPONSE_US
            self._send_invite(now_us)
        elif 300 <= response.status < 400 and (uri := response.contact()) is not None:
            self._events.append(Redirected(uri))
            self.state = "over"
        else:
            self._finish(Ended("refused", response.status, response.reason))

    def _handle_silence(self, branch: str) -> None:
        """Nobody answered a request."""
        if branch == self._invite:
            self._finish(self._end or Ended("refused", 408, "Request Timeout"))
        elif branch == self._bye:
            self._finish(self._end or Ended("closed"))

    def _handle_deadline(self, now_us: int) -> None:
        invite = self._sent.get(self._invite)
        if self.state == "calling" and not self._is_cancelled:
            timeout = Ended("refused", 408, "Request Timeout")
            if invite is not None and invite.has_response:
                self.hang_up(now_us, timeout)
            else:
                self._finish(timeout)
        else:
            self._finish(self._end or Ended("closed"))

    def _finish(self, end: Ended) -> None:
        if self.state != "over":
            self.state = "over"
            self._deadline_us = NEVER
            self._sent.clear()
            self._events.append(end)

    # --- requests of the other end ----------------------------------------------------------

    def _handle_request(self, request: Request, source: Place | None, now_us: int) -> None:
        key = (request.branch, "INVITE" if request.method == "ACK" else request.method)
        if request.method == "ACK":
            self._handle_ack(request)
            return
        known = self._answered.get(key)
        if known is not None:
            self._send(known.answer, source)
            return
        if len(self._answered) >= MAX_TRANSACTIONS:
            raise MessageError("too many requests")
        answer = self._answer_to(request)
        needs_ack = request.method == "INVITE"
        self._places[request.branch] = source
        self._answered[key] = ServerTransaction(
            request.branch, answer.encode(), now_us, needs_ack=needs_ack
        )
        self._send(self._answered[key].answer, source)

    def _answer_to(self, request: Request) -> Answer:
        dialog = self._dialog
        if not dialog.is_of(request) or request.method == "CANCEL":
            return dialog.response(request, 481, "Call/Transaction Does Not Exist")
        if not dialog.is_next(request):
            return dialog.response(request, 500, "Server Internal Error")
        if required := request.headers.items("require"):
            answer = dialog.response(request, _BAD_EXTENSION, "Bad Extension")
            answer.more = [("Unsupported", ", ".join(required))]
            return answer
        match request.method:
            case "BYE":
                self._finish(self._end or Ended("closed"))
            case "INVITE" | "UPDATE":
                return self._answer_offer(request)
            case "INFO":
                content_type = (request.headers.get("content-type") or "").lower()
                self._events.append(Info(content_type, request.body))
            case "OPTIONS":
                pass
            case _:
                answer = dialog.response(request, 405, "Method Not Allowed")
                answer.more = [("Allow", ALLOW)]
                return answer
        answer = dialog.response(request, 200, "OK")
        if request.method == "OPTIONS":
            answer.more = [("Allow", ALLOW)]
        return answer

    def _answer_offer(self, request: Request) -> Answer:
        dialog = self._dialog
        if self.state != "up" or any(one.needs_ack for one in self._answered.values()):
            return dialog.response(request, 491, "Request Pending")
        dialog.retarget(request)
        answer = dialog.response(request, 200, "OK")
        answer.more = [("Contact", dialog.contact()), ("Allow", ALLOW)]
        if request.method == "UPDATE" and not request.body:
            return answer  # it says that the call is still there
        sdp = self._negotiate(request.body)
        if sdp is None:
            return dialog.response(request, 488, "Not Acceptable Here")
        self._wants_answer = not request.body
        answer.more.append(("Content-Type", SDP))
        answer.body = sdp
        return answer

    def _handle_ack(self, request: Request) -> None:
        """The ACK of a 2xx has a branch of its own."""
        if not self._dialog.is_of(request):
            raise MessageError("of another call")
        for answered in self._answered.values():
            answered.acknowledge()
        if self._wants_answer:
            self._wants_answer = False
            self._events.append(Answered(request.body, is_first=False))


def _is_sdp(response: Response) -> bool:
    content_type = response.headers.get("content-type") or ""
    return content_type.partition(";")[0].strip().lower() == SDP


def _ack_of(request: Request, response: Response) -> Request:
    pairs = [(name, value) for name, value in request.headers if name in ("Via", "From", "Route")]
    pairs += [
        ("Max-Forwards", "70"),
        ("To", response.headers.get("to") or ""),
        ("Call-ID", request.call_id),
        ("CSeq", f"{request.cseq[0]} ACK"),
    ]
    return Request(messages.Headers(pairs), method="ACK", uri=request.uri)

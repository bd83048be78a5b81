"""The other end of a call in virtual time: it answers what a `Call` sends as a test says."""

from itertools import count

from sfu.egress.sip import messages
from sfu.egress.sip.call import Answered, Call
from sfu.egress.sip.dialog import CallForm
from sfu.egress.sip.digest import Login
from sfu.egress.sip.messages import Headers, Request, Response
from sfu.egress.sip_uri import Uri

OFFER, ANSWER, REOFFER = b"v=0 offer", b"v=0 answer", b"v=0 another offer"
MS = 1_000
HOST = "192.0.2.1"


def form_of(
    target: str = "sip:ann@192.0.2.9", transport: str = "udp", login: bool = False, headers=()
) -> CallForm:
    return CallForm(
        target=Uri.parse(target),
        caller="sip:+15550100@example.com",
        transport=transport,
        host=HOST,
        port=5_070,
        headers=headers,
        login=Login("bob", "secret") if login else None,
    )


class Line:
    """A call and its clock. `sent`: what it sent since it was asked last."""

    def __init__(self, form: CallForm | None = None, negotiated: bytes | None = ANSWER) -> None:
        numbers = count()
        self.now_us = 0
        self.offers: list[bytes] = []
        self.negotiated = negotiated
        self.call = Call(
            form or form_of(), OFFER, self.negotiate, lambda: f"t{next(numbers)}", self.now_us
        )
        self.places: list = []

    def negotiate(self, offer: bytes) -> bytes | None:
        self.offers.append(offer)
        return self.negotiated

    def sent(self) -> list[Request | Response]:
        out = self.call.take_outgoing()
        self.places = [one.to for one in out]
        return [messages.parse(one.data) for one in out]

    def one(self) -> Request | Response:
        (only,) = self.sent()
        return only

    def events(self) -> list:
        return self.call.take_events()

    def wait(self, ms: float) -> list[Request | Response]:
        """What is sent meanwhile, each at its time."""
        end_us = self.now_us + int(ms * MS)
        found = []
        while self.call.due_us <= end_us:
            self.now_us = max(self.now_us, self.call.due_us)
            self.call.handle_time(self.now_us)
            found += self.sent()
        self.now_us = end_us
        return found

    def say(self, message: Request | Response, source=("192.0.2.9", 5_060)) -> None:
        self.call.handle(message.encode(), source, self.now_us)

    def answer(self, request: Request, status: int, reason: str = "", body: bytes = b"", **more):
        self.say(answer_to(request, status, reason, body, **more))

    def up(self, **more) -> "Line":
        """Called and answered; nothing is left to be read."""
        invite = self.one()
        self.answer(invite, 200, "OK", ANSWER, **more)
        assert [one.method for one in self.sent()] == ["ACK"]
        assert self.events() == [Answered(ANSWER, is_first=True)]
        self.invite = invite
        return self

    def ask(self, method: str, number: int, body: bytes = b"", branch: str = "", extra=()) -> None:
        """A request of the other end."""
        invite = self.invite.headers
        pairs = [
            ("Via", f"SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK{branch or f'{method}{number}'}"),
            ("From", f"{invite.get('to')};tag=them"),
            ("To", invite.get("from")),
            ("Call-ID", invite.get("call-id")),
            ("CSeq", f"{number} {method}"),
            *extra,
        ]
        self.say(Request(Headers(pairs), body, method=method, uri="sip:sealroute@192.0.2.1:5070"))


def answer_to(
    request: Request, status: int, reason: str = "", body: bytes = b"", tag: str = "them", extra=()
) -> Response:
    headers = request.headers
    to = headers.get("to")
    pairs = [
        ("Via", headers.get("via")),
        ("From", headers.get("from")),
        ("To", to if ";tag=" in to or not tag else f"{to};tag={tag}"),
        ("Call-ID", headers.get("call-id")),
        ("CSeq", headers.get("cseq")),
        *extra,
    ]
    return Response(Headers(pairs), body, status=status, reason=reason)

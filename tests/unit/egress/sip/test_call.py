"""One outgoing call by the rules of RFC 3261, in virtual time."""

import pytest

from sfu.egress.sip.call import Answered, Ended, Info, Redirected, Ringing
from sfu.egress.sip_uri import Uri
from tests.unit.egress.sip.peer import ANSWER, OFFER, REOFFER, Line, form_of

CONTACT = (("Contact", "<sip:ann@192.0.2.77:5099>"),)


def methods(sent) -> list:
    return [getattr(one, "method", getattr(one, "status", None)) for one in sent]


def test_the_invite_says_who_calls_and_with_what_media():
    line = Line(form_of(headers=(("X-Room", "7"),)))
    invite = line.one()
    assert (invite.method, invite.uri, invite.body) == ("INVITE", "sip:ann@192.0.2.9", OFFER)
    assert invite.headers.get("from") == "<sip:+15550100@example.com>;tag=t1"
    assert invite.headers.get("to") == "<sip:ann@192.0.2.9>"
    assert invite.headers.get("contact") == "<sip:sealroute@192.0.2.1:5070>"
    assert invite.headers.get("via").startswith("SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK")
    assert invite.headers.get("content-type") == "application/sdp"
    assert invite.headers.get("x-room") == "7"
    assert invite.headers.get("max-forwards") == "70"


def test_an_invite_is_repeated_over_datagrams_twice_as_late_each_time():  # 17.1.1.2, timer A
    line = Line()
    line.sent()
    assert methods(line.wait(499)) == []
    assert methods(line.wait(1)) == ["INVITE"]
    assert methods(line.wait(999)) == []
    assert methods(line.wait(1)) == ["INVITE"]
    assert methods(line.wait(2_000)) == ["INVITE"]


def test_an_invite_is_not_repeated_over_a_connection():
    line = Line(form_of("sip:ann@192.0.2.9;transport=tcp", "tcp"))
    invite = line.one()
    assert invite.headers.get("contact") == "<sip:sealroute@192.0.2.1:5070;transport=tcp>"
    assert line.wait(5_900) == []


def test_a_server_that_is_silent_ends_the_call_after_six_seconds():
    line = Line()
    line.wait(5_999)
    assert line.events() == []
    line.wait(1)
    assert line.events() == [Ended("refused", 408, "Request Timeout")]
    assert line.call.state == "over"


def test_a_telephone_rings_and_nothing_is_repeated_meanwhile():
    line = Line()
    invite = line.one()
    line.answer(invite, 100, "Trying")
    line.answer(invite, 180, "Ringing")
    assert line.events() == [Ringing(180)]
    assert line.wait(60_000) == []


def test_a_telephone_that_nobody_answers_is_no_longer_called_after_three_minutes():
    line = Line()
    invite = line.one()
    line.answer(invite, 180, "Ringing")
    sent = line.wait(180_000)
    assert methods(sent) == ["CANCEL"]
    assert sent[0].branch == invite.branch
    assert sent[0].headers.get("cseq") == "1 CANCEL"
    line.answer(invite, 487, "Request Terminated")
    assert methods(line.sent()) == ["ACK"]
    assert line.events()[-1] == Ended("refused", 408, "Request Timeout")


def test_an_answer_is_acknowledged_where_the_contact_is():  # 13.2.2.4
    line = Line()
    invite = line.one()
    line.answer(invite, 200, "OK", ANSWER, extra=CONTACT)
    ack = line.one()
    assert (ack.method, ack.uri) == ("ACK", "sip:ann@192.0.2.77:5099")
    assert ack.headers.get("cseq") == "1 ACK"
    assert ack.branch != invite.branch
    assert line.places == [("192.0.2.77", 5_099)]
    assert line.events() == [Answered(ANSWER, is_first=True)]


def test_a_repeated_answer_is_acknowledged_again():
    line = Line().up()
    line.answer(line.invite, 200, "OK", ANSWER)
    assert methods(line.sent()) == ["ACK"]
    assert line.events() == []


@pytest.mark.parametrize("status", [404, 486, 503, 603])
def test_a_refusal_is_acknowledged_in_the_invites_transaction(status):  # 17.1.1.3
    line = Line()
    invite = line.one()
    line.answer(invite, status, "Busy Here")
    ack = line.one()
    assert (ack.method, ack.branch, ack.uri) == ("ACK", invite.branch, invite.uri)
    assert ack.headers.get("to").endswith(";tag=them")
    assert line.events() == [Ended("refused", status, "Busy Here")]


def test_proxies_are_passed_in_the_order_they_asked_for():  # 12.1.2
    routes = (("Record-Route", "<sip:p2.example.com;lr>, <sip:p1.example.com:5090;lr>"),)
    line = Line().up(extra=routes + CONTACT)
    line.call.hang_up(line.now_us)
    bye = line.one()
    assert bye.uri == "sip:ann@192.0.2.77:5099"
    assert bye.headers.lines("route") == ["<sip:p1.example.com:5090;lr>", "<sip:p2.example.com;lr>"]
    assert line.places == [("p1.example.com", 5_090)]


def test_a_strict_proxy_gets_itself_as_the_uri():  # 12.2.1.1
    line = Line().up(extra=(("Record-Route", "<sip:p1.example.com>"), *CONTACT))
    line.call.hang_up(line.now_us)
    bye = line.one()
    assert bye.uri == "sip:p1.example.com"
    assert bye.headers.lines("route") == ["<sip:ann@192.0.2.77:5099>"]


def test_hanging_up_says_bye_until_it_is_answered():
    line = Line().up()
    line.call.hang_up(line.now_us)
    bye = line.one()
    assert (bye.method, bye.headers.get("cseq")) == ("BYE", "2 BYE")
    assert methods(line.wait(500)) == ["BYE"]
    line.answer(bye, 200, "OK")
    assert line.events() == [Ended("closed")]
    assert line.wait(60_000) == []


def test_hanging_up_without_an_answer_ends_after_all():
    line = Line().up()
    line.call.hang_up(line.now_us)
    line.wait(32_000)
    assert line.events() == [Ended("closed")]


def test_the_other_end_hangs_up():
    line = Line().up()
    line.ask("BYE", 1)
    assert methods(line.sent()) == [200]
    assert line.places == [("192.0.2.9", 5_060)]
    assert line.events() == [Ended("closed")]
    line.ask("BYE", 1)
    assert methods(line.sent()) == [200]


def test_a_call_is_cancelled_while_it_rings():  # 9.1
    line = Line()
    invite = line.one()
    line.answer(invite, 180, "Ringing")
    line.call.hang_up(line.now_us)
    assert methods(line.sent()) == ["CANCEL"]
    line.answer(invite, 487, "Request Terminated")
    assert methods(line.sent()) == ["ACK"]
    assert line.events()[-1] == Ended("closed")


def test_a_cancel_waits_for_the_first_sign_of_the_server():  # 9.1
    line = Line()
    invite = line.one()
    line.call.hang_up(line.now_us)
    assert line.sent() == []
    line.answer(invite, 100, "Trying")
    assert methods(line.sent()) == ["CANCEL"]


def test_a_call_that_is_answered_while_it_is_cancelled_ends_with_bye():
    line = Line()
    invite = line.one()
    line.answer(invite, 180, "Ringing")
    line.call.hang_up(line.now_us)
    line.sent()
    line.answer(invite, 200, "OK", ANSWER)
    assert methods(line.sent()) == ["ACK", "BYE"]
    assert Answered(ANSWER, is_first=True) not in line.events()


def test_a_second_telephone_that_answers_is_told_bye():  # 13.2.2.4
    line = Line().up(tag="first")
    line.answer(line.invite, 200, "OK", ANSWER, tag="second")
    ack, bye = line.sent()
    assert (ack.method, bye.method) == ("ACK", "BYE")
    assert ack.headers.get("to").endswith("tag=second")
    assert bye.headers.get("to").endswith("tag=second")
    assert line.call.state == "up"
    line.answer(bye, 200, "OK")
    assert line.call.state == "up"


CHALLENGE = 'Digest realm="example.com", nonce="n1", qop="auth,auth-int", algorithm=MD5'


@pytest.mark.parametrize(
    ("status", "asks", "answers"),
    [
        (401, "WWW-Authenticate", "authorization"),
        (407, "Proxy-Authenticate", "proxy-authorization"),
    ],
)
def test_a_challenge_is_answered_once(status, asks, answers):
    line = Line(form_of(login=True))
    line.answer(line.one(), status, extra=((asks, CHALLENGE),))
    ack, invite = line.sent()
    assert (ack.method, invite.method) == ("ACK", "INVITE")
    assert invite.headers.get("cseq") == "2 INVITE"
    assert 'username="bob"' in invite.headers.get(answers)
    assert "nc=00000001" in invite.headers.get(answers)
    line.answer(invite, status, "No", extra=((asks, CHALLENGE),))
    assert line.events() == [Ended("refused", status, "No")]


def test_a_stale_nonce_is_replaced():
    line = Line(form_of(login=True))
    line.answer(line.one(), 401, extra=(("WWW-Authenticate", CHALLENGE),))
    _, invite = line.sent()
    stale = CHALLENGE.replace("n1", "n2") + ", stale=true"
    line.answer(invite, 401, extra=(("WWW-Authenticate", stale),))
    assert 'nonce="n2"' in line.sent()[1].headers.get("authorization")


def test_a_server_and_its_proxy_both_ask_for_a_password():
    line = Line(form_of(login=True))
    line.answer(line.one(), 407, extra=(("Proxy-Authenticate", CHALLENGE),))
    _, invite = line.sent()
    line.answer(invite, 401, extra=(("WWW-Authenticate", CHALLENGE),))
    _, invite = line.sent()
    assert invite.headers.get("authorization")
    assert invite.headers.get("proxy-authorization")


def test_without_a_password_a_challenge_is_a_refusal():
    line = Line()
    line.answer(line.one(), 401, "Unauthorized", extra=(("WWW-Authenticate", CHALLENGE),))
    assert line.events() == [Ended("refused", 401, "Unauthorized")]


def test_later_requests_have_the_answer_to_the_challenge():
    line = Line(form_of(login=True))
    line.answer(line.one(), 401, extra=(("WWW-Authenticate", CHALLENGE),))
    _, invite = line.sent()
    line.answer(invite, 200, "OK", ANSWER)
    line.sent()
    line.call.hang_up(line.now_us)
    assert "nc=00000002" in line.one().headers.get("authorization")


def test_a_redirection_says_whom_to_call():
    line = Line()
    line.answer(line.one(), 302, extra=(("Contact", "<sip:bo@192.0.2.3>;q=0.5"),))
    assert methods(line.sent()) == ["ACK"]
    assert line.events() == [Redirected(Uri.parse("sip:bo@192.0.2.3"))]
    assert line.call.state == "over"


def test_the_other_end_changes_the_media():
    line = Line().up()
    line.ask("INVITE", 5, REOFFER, extra=(("Contact", "<sip:ann@192.0.2.88>"),))
    answer = line.one()
    assert (answer.status, answer.body) == (200, ANSWER)
    assert line.offers == [REOFFER]
    assert methods(line.wait(500)) == [200]
    line.ask("ACK", 5)
    assert line.wait(60_000) == []
    line.call.hang_up(line.now_us)
    assert line.one().uri == "sip:ann@192.0.2.88"


def test_an_offer_that_does_not_suit_leaves_the_call_as_it_is():
    line = Line(negotiated=None).up()
    line.ask("INVITE", 5, REOFFER)
    assert methods(line.sent()) == [488]
    line.ask("ACK", 5, branch="INVITE5")
    assert line.call.state == "up"


def test_an_invite_without_an_offer_gets_ours_and_its_answer_comes_with_the_ack():
    line = Line(negotiated=OFFER).up()
    line.ask("INVITE", 5)
    assert line.one().body == OFFER
    line.ask("ACK", 5, ANSWER)
    assert line.events() == [Answered(ANSWER, is_first=False)]


def test_a_change_that_is_never_acknowledged_ends_the_call():  # 14.2
    line = Line().up()
    line.ask("INVITE", 5, REOFFER)
    sent = methods(line.wait(32_000))
    assert sent[-1] == "BYE" or "BYE" in sent
    line.wait(32_000)
    assert line.events() == [Ended("lost", 408, "Request Timeout")]


def test_a_request_that_comes_twice_is_answered_twice_and_counts_once():
    line = Line().up()
    line.ask("INVITE", 5, REOFFER)
    line.ask("INVITE", 5, REOFFER)
    assert methods(line.sent()) == [200, 200]
    assert line.offers == [REOFFER]


def test_a_second_change_waits_for_the_first():
    line = Line().up()
    line.ask("INVITE", 5, REOFFER)
    line.ask("INVITE", 6, REOFFER)
    assert methods(line.sent()) == [200, 491]


def test_an_old_request_is_out_of_order():  # 12.2.2
    line = Line().up()
    line.ask("OPTIONS", 5)
    line.ask("OPTIONS", 4)
    assert methods(line.sent()) == [200, 500]


@pytest.mark.parametrize(
    ("method", "status"), [("OPTIONS", 200), ("INFO", 200), ("REFER", 405), ("UPDATE", 200)]
)
def test_requests_in_a_call(method, status):
    line = Line().up()
    line.ask(method, 5, b"x" if method == "INFO" else b"")
    assert methods(line.sent()) == [status]
    expected = [Info("", b"x")] if method == "INFO" else []
    assert line.events() == expected


def test_an_extension_that_is_required_is_refused_by_name():  # 8.2.2.3
    line = Line().up()
    line.ask("INVITE", 5, REOFFER, extra=(("Require", "100rel, foo"),))
    answer = line.one()
    assert (answer.status, answer.headers.get("unsupported")) == (420, "100rel, foo")


def test_a_request_of_another_call_has_no_place_here():
    line = Line().up()
    line.invite.headers._pairs = [
        (name, "other" if name == "Call-ID" else value) for name, value in line.invite.headers
    ]
    line.ask("BYE", 5)
    assert methods(line.sent()) == [481]
    assert line.call.state == "up"


def test_a_lost_connection_ends_the_call():
    line = Line().up()
    line.call.lose()
    assert [one.how for one in line.events()] == ["lost"]


def test_an_answer_with_a_route_that_is_none_is_no_answer():
    line = Line()
    invite = line.one()
    line.answer(invite, 200, "OK", ANSWER, extra=(("Record-Route", "<tel:1>"),))
    assert line.sent() == []
    assert (line.call.ignored, line.call.state) == (1, "calling")
    line.answer(invite, 200, "OK", ANSWER)
    assert methods(line.sent()) == ["ACK"]


def test_a_connection_that_is_lost_before_an_answer_is_a_refusal():
    line = Line()
    line.call.lose()
    assert line.events() == [Ended("refused", 503, "Service Unavailable")]


def test_info_is_sent_in_a_call():
    line = Line().up()
    line.call.send_info("application/dtmf-relay", b"Signal=5", line.now_us)
    info = line.one()
    assert (info.method, info.body) == ("INFO", b"Signal=5")
    line.answer(info, 200, "OK")
    assert line.wait(60_000) == []

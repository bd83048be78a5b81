"""What the media refuses of a request, and what a gate refuses of a client, leaves nothing behind:
neither in the Session, nor at the clients' slots, nor in the media, nor in the directory."""

import pytest

from sfu.core_api import Codec, MediaKind
from sfu.media_plane import MediaError
from signaling.domain.errors import DomainError
from signaling.domain.roles import Role
from signaling.protocol import messages as m
from tests.conversation import KID, OTHER_KID, House, settle
from tests.fakes.descriptions import offer_for
from tests.fakes.media_plane import FakeClientMedia, FakeSessionMedia
from tests.whole_state import all_of


class Call:
    """Ann publishes, Ben takes it; his next offer waits for an answer, and Dan has nothing yet."""

    def __init__(self, house, ann, ben, dan, cam) -> None:
        self.house, self.ann, self.ben, self.dan, self.cam = house, ann, ben, dan, cam


@pytest.fixture
async def call():
    house = House(e2ee=True)
    ann, ben, dan = [await house.joined() for _ in range(3)]
    cam = await ann.publish()
    subscriber = await ben.subscribe(cam)
    ben.ask(m.E2eeState, subscriber_id=subscriber, state="mismatch")
    screen = await ann.publish()
    ben.answers = False
    ben.ask(m.Subscribe, stream_id=screen)
    await settle()
    return Call(house, ann, ben, dan, cam)


def waiting_number(call: Call) -> int:
    return call.ben.media.outstanding_offer.number


ANSWER = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:nobody\r\n"
TRACK = m.TrackOffer(mid="9", kind="audio", kids=(KID,))
OFFER = offer_for([("8", MediaKind.AUDIO, Codec.OPUS)])
# Client, request, and the answer of the media plane.
REFUSED = {
    "publish, no such m-line": (
        lambda c: (c.dan, m.Publish, {"offer": OFFER, "tracks": (TRACK,)}),
        "track_unknown",
    ),
    "publish, no SDP": (
        lambda c: (c.dan, m.Publish, {"offer": "x", "tracks": (TRACK,)}),
        "sdp_invalid",
    ),
    "publish, without the earlier m-lines": (
        lambda c: (c.ann, m.Publish, {"offer": OFFER, "tracks": (TRACK,)}),
        "sdp_invalid",
    ),
    "answer, another number": (
        lambda c: (c.ben, m.DownlinkAnswer, {"offer_id": 77, "sdp": ANSWER}),
        "answer_unexpected",
    ),
    "answer, without the offer's m-lines": (
        lambda c: (c.ben, m.DownlinkAnswer, {"offer_id": waiting_number(c), "sdp": ANSWER}),
        "sdp_invalid",
    ),
    "answer, no SDP": (
        lambda c: (c.ben, m.DownlinkAnswer, {"offer_id": waiting_number(c), "sdp": "x"}),
        "sdp_invalid",
    ),
    "restart, no uplink": (
        lambda c: (c.dan, m.RestartIce, {"direction": "uplink", "offer": OFFER}),
        "transport_closed",
    ),
    "restart, no downlink": (
        lambda c: (c.dan, m.RestartIce, {"direction": "downlink"}),
        "transport_closed",
    ),
    "restart, without the earlier m-lines": (
        lambda c: (c.ann, m.RestartIce, {"direction": "uplink", "offer": OFFER}),
        "sdp_invalid",
    ),
}


async def asked(who, kind: type[m.Request], members: dict) -> m.Message:
    if kind is m.Publish:
        members = {"e2ee_format": "e2ee/2", **members}
    request = kind(id=900, **members)
    who.send(request)
    await settle()
    return who.answer_to(900)


@pytest.mark.parametrize("name", REFUSED)
async def test_what_the_media_refuses_leaves_nothing_behind(call, name):
    make, code = REFUSED[name]
    before = all_of(call.house)
    answer = await asked(*make(call))
    assert isinstance(answer, m.Error)
    assert answer.code == code
    assert all_of(call.house) == before


MEDIA = {
    "publish": lambda c: (c.dan, m.Publish, {"offer": OFFER, "tracks": (TRACK,)}),
    "subscribe": lambda c: (c.dan, m.Subscribe, {"stream_id": c.cam}),
    "declare_kids": lambda c: (
        c.ann,
        m.DeclareKids,
        {"stream_id": c.cam, "mid": "1", "kids": (OTHER_KID,)},
    ),
    "answer_downlink": lambda c: (
        c.ben,
        m.DownlinkAnswer,
        {"offer_id": waiting_number(c), "sdp": "v=0"},
    ),
    "restart_uplink": lambda c: (c.ann, m.RestartIce, {"direction": "uplink", "offer": OFFER}),
    "restart_downlink": lambda c: (c.ben, m.RestartIce, {"direction": "downlink"}),
}
"""All that a client waits for the media to do."""


@pytest.mark.parametrize("name", MEDIA)
async def test_whatever_the_media_refuses_everything_is_as_before(call, name, monkeypatch):
    def refuse(*_arguments, **_options):
        raise MediaError("transport_closed", "no")

    async def refuse_later(*_arguments, **_options):
        refuse()

    before = all_of(call.house)
    later = name == "publish"
    monkeypatch.setattr(FakeClientMedia, name, refuse_later if later else refuse)
    answer = await asked(*MEDIA[name](call))
    assert isinstance(answer, m.Error)
    assert answer.code == "transport_closed"
    assert all_of(call.house) == before
    # It is no broken client: what the media takes afterwards goes as it always does.
    monkeypatch.undo()
    if name == "declare_kids":
        assert isinstance(await asked(*MEDIA[name](call)), m.Ok)
        assert all_of(call.house) != before


async def test_an_offer_whose_answer_was_refused_comes_again_with_the_next_websocket(call):
    number = waiting_number(call)
    await asked(call.ben, m.DownlinkAnswer, {"offer_id": number, "sdp": ANSWER})
    call.ben.lose_socket()
    assert call.ben.resume()
    offers = call.ben.seen(m.DownlinkOffer)
    assert [offer.offer_id for offer in offers] == [number]


async def test_a_player_that_is_refused_leaves_nothing_behind(call, monkeypatch):
    """As WHEP asks; the client that asked is told by an error and by a message."""
    before = all_of(call.house)
    with pytest.raises(DomainError):
        call.dan.actor.play(call.dan.connection, "nothing", OFFER)
    assert all_of(call.house) == before
    with pytest.raises(DomainError):
        call.dan.actor.play(call.dan.connection, call.cam, "v=0")
    assert all_of(call.house) == before


async def test_a_resume_with_another_token_leaves_the_client_where_it_is(call):
    before = all_of(call.house)
    hello = call.ben.hello(f"{call.ben.connection}.guessed")
    assert call.ben.actor.resume(hello, call.dan.socket) is None
    assert all_of(call.house) == before


@pytest.mark.parametrize("full", [False, True])
async def test_a_client_that_is_not_let_in_leaves_nothing_behind(full, monkeypatch):
    """Neither where others are, nor where it would have been the first."""
    house = House(e2ee=True)
    if full:
        await house.joined()
    before = all_of(house)
    old = house.client()
    old.formats = ()
    with pytest.raises(DomainError, match="e2ee_unsupported"):
        old.join()

    def refuse(*_arguments):
        raise MediaError("transport_closed", "no")

    monkeypatch.setattr(FakeSessionMedia, "open_client", refuse)
    with pytest.raises(MediaError):
        house.client().join()
    house.time.advance(60)
    assert all_of(house) == before
    if not full:
        assert (house.directory._actors, house.plane.sessions) == ({}, {})


async def test_what_a_role_may_not_do_is_refused_before_anything_happens():
    house = House()
    eve = await house.joined(Role.SUBSCRIBER)
    before = all_of(house)
    for request in (
        m.Publish(id=900, offer=OFFER, tracks=(TRACK,)),
        m.Signal(id=901, data="x"),
        m.ForceMuteAll(id=902, active=True),
    ):
        with pytest.raises(DomainError, match="permission_denied"):
            eve.send(request)
    assert all_of(house) == before

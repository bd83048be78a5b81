"""A command to a client's media that is refused leaves everything as it was."""

import random
import re

import pytest

from sfu import core_api
from sfu.core_api import Codec, MediaKind, PreferredLayers
from sfu.downlink_offers import OFFER_INTERVAL_S
from sfu.media_plane import MediaError, TrackOffer

ALL, CODECS = frozenset(MediaKind), frozenset(Codec)


class Call:
    """Ann publishes `st`; Ben has answered one offer, and a second one waits for his answer."""

    def __init__(self, peers):
        self.peers, self.clock = peers, peers.VirtualScheduler()
        self.bench = peers.NativeBench(self.clock)
        self.router = self.bench.router
        session = self.bench.plane.open_session("S", e2ee=True)
        self.up, self.down = peers.PeerConnection(), peers.PeerConnection()
        self.seen = peers.Listener()
        self.ann = session.open_client("ann", peers.Listener())
        self.ben = session.open_client("ben", self.seen)
        self.eve = session.open_client("eve", peers.Listener())

    async def begin(self):
        await self.ann.publish("st", self.up.offer(), self.peers.TRACKS)
        for turn in ("su", "again"):
            self.ben.subscribe(turn, "st", ALL, CODECS)
            self.clock.advance(OFFER_INTERVAL_S + 0.01)
            if turn == "su":
                self.ben.answer_downlink(1, self.answer())
        return self

    def answer(self):
        return self.down.answer(self.seen.offers[-1])

    def state(self):
        """All that the plane and its core keep of the three."""
        members = (self.ann, self.ben, self.eve)
        ways = [
            way for one in members for way in (one.uplink.transport, one.downlink.transport) if way
        ]
        return (
            [(repr(one.dump()), repr(vars(one.downlink._slots))) for one in members],
            [repr(one.downlink._offers.outstanding) for one in members],
            [(way.handle, repr(way.remote), repr(way.local)) for way in ways],
            [
                repr((s.preferred, s.held_back, s.down_tracks))
                for s in self.ben.downlink.subscriptions.values()
            ],
            len(self.router.sent(core_api.DeclareKids)),
            sorted(self.router.transports),
        )


@pytest.fixture
async def call(peers):
    return await Call(peers).begin()


def other_certificate(text):
    return re.sub(r"(a=fingerprint:\S+ )..", r"\g<1>EE", text)


def spoilt(text, draw):
    """The answer of somebody else, with lines left out, repeated, swapped or rejected."""
    lines = other_certificate(text).split("\r\n")
    for _ in range(draw.randrange(4)):
        at, to = draw.randrange(len(lines) - 1), draw.randrange(len(lines) - 1)
        change = draw.randrange(4)
        if change == 0:
            del lines[at]
        elif change == 1:
            lines.insert(to, lines[at])
        elif change == 2:
            lines[at], lines[to] = lines[to], lines[at]
        else:
            lines[at] = lines[at][: draw.randrange(len(lines[at]) + 1)]
    text = "\r\n".join(lines)
    rejected = draw.choice(["m=video", "m=audio", "none"])
    return re.sub(rf"{rejected} \d+", f"{rejected} 0", text, count=draw.randrange(1, 3))


async def test_a_refused_answer_leaves_the_downlink_as_it_was(call):
    draw, before = random.Random(7), call.state()
    codes = set()
    for _ in range(400):
        with pytest.raises(MediaError) as refused:
            call.ben.answer_downlink(2, spoilt(call.answer(), draw))
        codes.add(refused.value.code)
        assert call.state() == before
    assert {"setup_invalid", "sdp_invalid"} <= codes
    call.ben.answer_downlink(2, call.answer())
    assert all(len(one.down_tracks) == 2 for one in call.ben.downlink.subscriptions.values())


BAD_OFFERS = {
    "empty": lambda text: "",
    "cut off": lambda text: text[: len(text) // 2],
    "other certificate": other_certificate,
    "no certificate": lambda text: text.replace("a=fingerprint", "a=x"),
    "no bundle": lambda text: text.replace("a=group", "a=x"),
    "no codecs": lambda text: text.replace("a=rtpmap", "a=x"),
}
TRACK = TrackOffer("7", MediaKind.AUDIO, ())
REFUSED = {
    "publish, the m-line is taken": lambda c: c.ann.publish("b", c.up.offer(), c.peers.TRACKS),
    "publish, no tracks": lambda c: c.ann.publish("b", c.up.offer(), ()),
    "publish, no such m-line": lambda c: c.ann.publish("b", c.up.offer(), (TRACK,)),
    "publish, the stream exists": lambda c: c.eve.publish("st", c.up.offer(), c.peers.TRACKS),
    "publish, no such m-line at first": lambda c: c.eve.publish("b", c.up.offer(), (TRACK,)),
    "declare, no such m-line": lambda c: c.ann.declare_kids("st", "7", [c.peers.KID]),
    "declare, none": lambda c: c.ann.declare_kids("st", "0", []),
    "declare, too short": lambda c: c.ann.declare_kids("st", "0", [b"1"]),
    "declare, another's": lambda c: c.ben.declare_kids("st", "0", [c.peers.KID]),
    "mute, another's": lambda c: c.ben.set_stream_forwarding("st", MediaKind.AUDIO, False),
    "subscribe, no such stream": lambda c: c.eve.subscribe("x", "y", ALL, CODECS),
    "subscribe, twice": lambda c: c.ben.subscribe("su", "st", ALL, CODECS),
    "subscribe, no codec": lambda c: c.eve.subscribe("x", "st", ALL, frozenset()),
    "answer, another number": lambda c: c.ben.answer_downlink(1, c.answer()),
    "answer, no downlink": lambda c: c.eve.answer_downlink(1, c.answer()),
    "play, no such stream": lambda c: c.eve.play("x", "y", c.up.offer()),
    "play, beside a downlink": lambda c: c.ben.play("x", "st", c.up.offer()),
    "forwarding, nobody": lambda c: c.ben.set_subscriber_forwarding("x", MediaKind.AUDIO, False),
    "layers, nobody": lambda c: c.ben.set_preferred_layers("x", PreferredLayers()),
    "restart, no uplink": lambda c: c.eve.restart_uplink(c.up.offer()),
    "restart, no downlink": lambda c: c.eve.restart_downlink(),
}
for _name, _spoil in BAD_OFFERS.items():
    # A restart keeps the codecs of the streams, whatever is offered.
    if _name != "no codecs":
        REFUSED[f"restart, {_name}"] = lambda c, spoil=_spoil: c.ann.restart_uplink(
            spoil(c.up.offer())
        )
    if _name != "other certificate":
        REFUSED |= {
            f"publish, {_name}": lambda c, spoil=_spoil: c.eve.publish(
                "b", spoil(c.up.offer()), c.peers.TRACKS
            ),
            f"play, {_name}": lambda c, spoil=_spoil: c.eve.play("x", "st", spoil(c.up.offer())),
        }


async def run(act, call):
    made = act(call)
    if hasattr(made, "__await__"):
        await made


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_command_leaves_everything_as_it_was(call, name):
    before = call.state()
    with pytest.raises(MediaError):
        await run(REFUSED[name], call)
    assert call.state() == before


NOT_TAKEN = {
    "publish": (core_api.Publish, lambda c: c.eve.publish("b", c.up.offer(), c.peers.TRACKS)),
    "publish, transport": (
        core_api.OpenTransport,
        lambda c: c.eve.publish("b", c.up.offer(), c.peers.TRACKS),
    ),
    "subscribe": (core_api.OpenTransport, lambda c: c.eve.subscribe("x", "st", ALL, CODECS)),
    "declare": (
        core_api.DeclareKids,
        lambda c: c.ann.declare_kids("st", "0", [bytes(8)]),
    ),
    "play": (core_api.SetPeerCredentials, lambda c: c.eve.play("x", "st", c.up.offer())),
    "restart": (core_api.RestartIce, lambda c: c.ann.restart_uplink(c.up.offer())),
    "layers": (
        core_api.SetPreferredLayers,
        lambda c: c.ben.set_preferred_layers("su", PreferredLayers()),
    ),
    "forwarding": (
        core_api.SetDownTrackForwarding,
        lambda c: c.ben.set_subscriber_forwarding("su", MediaKind.AUDIO, False),
    ),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
async def test_what_the_core_does_not_take_leaves_everything_as_it_was(call, name, monkeypatch):
    kind, act = NOT_TAKEN[name]
    for subscription in call.ben.downlink.subscriptions.values():
        subscription.started = True
    before, take = call.state(), call.router.submit

    def submit(command):
        if not isinstance(command, kind):
            return take(command)
        raise RuntimeError("the core has ended")

    monkeypatch.setattr(call.router, "submit", submit)
    with pytest.raises(RuntimeError):
        await run(act, call)
    after = call.state()
    # A slot that nobody has is as good as one that was never made.
    if name == "subscribe":
        before, after = before[1:], after[1:]
    assert after == before

"""One run: a publisher, the core, subscribers with preferences, until enough switches."""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sealroute_client.e2ee.decryption import Decryptor
from sealroute_client.e2ee.identity import StreamHistory, Windows
from sealroute_client.e2ee.keys import Encryptor, PendingContext, SecretRing
from sealroute_client.e2ee.secret import KeyIds, SessionSecret

from bench.switches.core import FIRST_SUBSCRIBER, UPLINK, Setup, Side, VirtualCore
from bench.switches.library import FORMATS, FRAME_RATE, SIZES, Library
from bench.switches.plan import Plan
from bench.switches.publisher import MID_ID, REPAIRED_RID_ID, RID_ID, RIDS, Publisher
from bench.switches.receiver import Receiver, Seen

_STREAM = "stream"
_CONNECTION = "publisher"
_DOWNLINK_MID_ID = 9
_FRAME_US = 1_000_000 // FRAME_RATE
_CLIPS, _CLIP_FRAMES = 4, 45
_SETTLE_FRAMES = 90
_FRAMES_PER_SWITCH = 60
"""A run that needs more of them for each switch and subscriber has failed."""


@dataclass(slots=True)
class Result:
    plan: Plan
    images: int = 0
    key_frames: int = 0
    frames: int = 0
    decoded: int = 0
    switches: int = 0
    layer_changes: int = 0
    cut: int = 0
    empty: int = 0
    jumps: int = 0
    gaps: int = 0
    skipped: int = 0
    longest_wait_s: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    drops: dict[str, int] = field(default_factory=dict)

    def add(self, seen: Seen) -> None:
        for name in (
            "frames",
            "decoded",
            "switches",
            "layer_changes",
            "cut",
            "jumps",
            "gaps",
            "skipped",
        ):
            setattr(self, name, getattr(self, name) + getattr(seen, name))
        self.longest_wait_s = max(self.longest_wait_s, seen.longest_wait_s)
        self.kinds += seen.kinds
        self.faults += seen.faults

    @property
    def passed(self) -> bool:
        """All that was forwarded was decoded, and there were as many changes as planned."""
        whole = bool(self.plan.loss) or not (self.gaps or self.jumps or self.skipped)
        enough = self.switches + self.layer_changes >= self.plan.switches
        return enough and whole and not self.kinds and self.decoded == self.frames > 0


class Call:
    """Owner of all parts of a run."""

    def __init__(self, plan: Plan, core: VirtualCore, library: Library) -> None:
        self._plan = plan
        self._core = core
        self._random = random.Random(plan.seed)
        secret = SessionSecret(self._random.randbytes(64))
        pending = PendingContext(secret, KeyIds())
        encryptor = Encryptor()
        encryptor.use(pending.context(secret.stream_base(_CONNECTION, _STREAM)))
        self.publisher = Publisher(library, encryptor, self._random, rtx=plan.rtx)
        self.receivers = [
            Receiver(number, library, _decryptor(secret), plan)
            for number in range(plan.subscribers)
        ]
        self._next_preference = [self._random.randrange(90) for _ in self.receivers]
        self._now = 0.0
        core.set_up(_setup(plan, library, pending.kid_bytes))

    def image(self, *, preferences: bool) -> None:
        """One frame interval."""
        for packet in self.publisher.step():
            self._up(packet)
        for number, receiver in enumerate(self.receivers):
            if preferences:
                self._prefer(number)
            for compound in receiver.ask(self._now):
                self._core.rtcp(FIRST_SUBSCRIBER + number, compound)
        self._pass()

    def _pass(self) -> None:
        sent = self._core.step(_FRAME_US)
        for packet in sent:
            if packet.to == UPLINK:
                for again in self.publisher.take_rtcp(packet.data) if packet.is_rtcp else ():
                    self._up(again)
            elif not packet.is_rtcp and self._random.random() >= self._plan.loss:
                self.receivers[packet.to - FIRST_SUBSCRIBER].take(self._now, packet.data)
        self._now += _FRAME_US / 1e6

    def _up(self, packet: bytes) -> None:
        if self._random.random() >= self._plan.loss:
            self._core.rtp(packet)

    def _prefer(self, number: int) -> None:
        """Now and then another preference, another allocation, or a silent encoding."""
        self._next_preference[number] -= 1
        if self._next_preference[number] > 0:
            return
        random = self._random
        self._next_preference[number] = random.randint(6, 24)
        subscriber = FIRST_SUBSCRIBER + number
        choice = random.random()
        if choice < 0.25:
            limits: dict[str, float] = {}
            if random.random() < 0.3:
                limits["width_px"] = random.choice(SIZES).width
            if random.random() < 0.4:
                limits["frame_rate"] = random.choice((7.5, 15, 30))
            self._core.prefer(subscriber, **limits)
        elif choice < 0.98:
            layer = (random.randrange(self._plan.encodings), 0, random.randrange(3))
            self._core.allocate(subscriber, None if choice > 0.96 else layer)
        elif self._plan.silences:
            self.publisher.silence(random.randrange(self._plan.encodings), random.randint(20, 60))


def _decryptor(secret: SessionSecret) -> Decryptor:
    ring = SecretRing()
    ring.add(secret, 0.0)
    windows = Windows(StreamHistory("video"), "video")
    return Decryptor(ring, windows, lambda held: held.stream_base(_CONNECTION, _STREAM))


def _setup(plan: Plan, library: Library, kid: bytes) -> Setup:
    return Setup(
        codec=library.form.codec,
        kids=(kid.hex(),),
        rids=RIDS[: plan.encodings],
        subscribers=plan.subscribers,
        uplink=Side(plan.nack, plan.rtx, {
            "mid": MID_ID, "rid": RID_ID, "repaired_rid": REPAIRED_RID_ID,
        }),
        downlink=Side(plan.nack, plan.rtx, {"mid": _DOWNLINK_MID_ID}),
    )  # fmt: skip


def run(plan: Plan, binary: Path) -> Result:
    """Errors: CoreError. What is wrong with the media is in the result."""
    library = Library.encode(FORMATS[plan.form], plan.encodings, _CLIPS, _CLIP_FRAMES, plan.seed)
    result = Result(plan)
    limit = plan.switches * _FRAMES_PER_SWITCH // plan.subscribers + 1_000
    with VirtualCore(binary) as core:
        call = Call(plan, core, library)
        while result.images < limit:
            result.images += 1
            call.image(preferences=True)
            seen = [receiver.seen for receiver in call.receivers]
            if sum(one.switches + one.layer_changes for one in seen) >= plan.switches:
                break
        for _ in range(_SETTLE_FRAMES):
            call.image(preferences=False)
        result.drops = core.counters()
        for receiver in call.receivers:
            result.add(receiver.seen)
    result.key_frames = call.publisher.key_frames
    return result

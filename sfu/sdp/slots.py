"""The downlink: the m-lines ("slots") that the server offers to one client.

A slot keeps its mid, format and SSRCs for life. When its subscriber leaves, it turns inactive
and is reused by the next subscriber of the same format, so the description does not grow under
churn. A slot that the client rejected stays rejected.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sfu.core_api import Codec, Extension, MediaKind
from sfu.ids import StreamId, SubscriberId
from sfu.rtp_parameters import (
    CODEC_RULES,
    DOWNLINK_EXTENSION_IDS,
    EXTENSION_OF_URI,
    AcceptedDownTrack,
    NegotiatedCodec,
    StreamFormat,
)
from sfu.sdp.build import LocalTransport, MediaLines, Origin, build
from sfu.sdp.errors import SdpError, invalid
from sfu.sdp.negotiate import RECEIVING, RemoteTransport, remote_transport
from sfu.sdp.parse import MediaSection, parse

PROTOCOL = "UDP/TLS/RTP/SAVPF"
PAYLOAD_TYPES = (*range(96, 128), *range(35, 64))
"""The dynamic payload types of RFC 5761, 96 and up first. A payload type has one meaning on all
m-lines of a bundle (RFC 8843 section 9.1)."""
FEEDBACK = {
    MediaKind.AUDIO: frozenset({"nack", "transport-cc"}),
    MediaKind.VIDEO: frozenset({"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"}),
}
ANSWERED_SETUPS = frozenset({"active", "passive"})
_Config = tuple[Codec, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class Slot:
    mid: str
    codec: NegotiatedCodec
    kind: MediaKind
    config: _Config
    ssrc: int
    rtx_ssrc: int | None
    extensions: frozenset[Extension] = frozenset({Extension.MID})
    subscriber: SubscriberId | None = None
    stream: StreamId | None = None
    taken_in: int = 0
    """The number of the first offer with the present subscriber; 0: not offered yet."""
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """`down_tracks`: accepted m-lines by mid; `rejected`: mids that the client rejected."""

    remote: RemoteTransport | None
    down_tracks: Mapping[str, AcceptedDownTrack] = field(default_factory=dict)
    rejected: frozenset[str] = frozenset()


class DownlinkSlots:
    """The m-lines of one downlink transport. `new_ssrc` returns random 32-bit numbers."""

    def __init__(self, *, limit: int, new_ssrc: Callable[[], int]) -> None:
        self._limit = limit
        self._new_ssrc = new_ssrc
        self._slots: list[Slot] = []
        self._offered = 0  # the slots in the last offer; later ones wait for the next
        self._payload_types: dict[_Config, tuple[int, int | None]] = {}
        self._ssrcs: set[int] = set()
        self._free_payload_types = list(reversed(PAYLOAD_TYPES))

    def __len__(self) -> int:
        return len(self._slots)

    def taken(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.subscriber is not None]

    def take(self, subscriber: SubscriberId, stream: StreamId, wanted: StreamFormat) -> Slot:
        """A slot for one m-line of a subscriber. Raises `SdpError`: subscriptions_exhausted."""
        config = (wanted.codec, wanted.parameters)
        slot = next(
            (
                s
                for s in self._slots
                if s.subscriber is None and not s.rejected and s.config == config
            ),
            None,
        )
        if slot is None:
            slot = self._new_slot(wanted, config)
        slot.extensions = wanted.extensions
        slot.subscriber, slot.stream, slot.taken_in = subscriber, stream, 0
        return slot

    def take_all(
        self, subscriber: SubscriberId, stream: StreamId, wanted: Sequence[StreamFormat]
    ) -> tuple[Slot, ...]:
        """A slot for each, or none: then no m-line, SSRC or payload type is used up.

        Raises `SdpError`: subscriptions_exhausted.
        """
        slots, formats = len(self._slots), len(self._payload_types)
        try:
            return tuple(self.take(subscriber, stream, one) for one in wanted)
        except SdpError:
            self.release(subscriber)
            self._forget_later_than(slots, formats)
            raise

    def _forget_later_than(self, slots: int, formats: int) -> None:
        for slot in self._slots[slots:]:
            self._ssrcs -= {slot.ssrc, slot.rtx_ssrc}
        del self._slots[slots:]
        while len(self._payload_types) > formats:
            _, (payload_type, rtx) = self._payload_types.popitem()
            self._free_payload_types += [number for number in (rtx, payload_type) if number]

    def release(self, subscriber: SubscriberId) -> None:
        for slot in self._slots:
            if slot.subscriber == subscriber:
                slot.subscriber = slot.stream = None
                slot.extensions = frozenset({Extension.MID})
                slot.taken_in = 0

    def offer(self, number: int, transport: LocalTransport, origin: Origin) -> str:
        """The text of offer `number`: every slot in order of creation."""
        self._offered = len(self._slots)
        for slot in self._slots:
            if slot.subscriber is not None and slot.taken_in == 0:
                slot.taken_in = number
        return build(origin, transport, "actpass", [_offer_lines(slot) for slot in self._slots])

    def read_answer(self, number: int, text: str) -> ReadAnswer:
        """Reads the answer to offer `number`; nothing changes before `settle`.

        Raises `SdpError`: sdp_too_large, sdp_invalid, setup_invalid, fingerprint_unsupported.
        """
        description = parse(text, max_media=max(1, self._offered))
        if len(description.media) != self._offered:
            raise invalid("the answer has not the m-lines of the offer")
        pairs = list(zip(self._slots[: self._offered], description.media, strict=True))
        for slot, media in pairs:
            _check_pair(slot, media)
        live = [media for media in description.media if not media.rejected]
        remote = remote_transport(description, ANSWERED_SETUPS) if live else None
        bundle = frozenset(description.bundle)
        if any(media.mid not in bundle or not media.rtcp_mux for media in live):
            raise invalid("an m-line of the answer is not bundled, or has no rtcp-mux")
        down_tracks = {
            slot.mid: _accepted(slot, media)
            for slot, media in pairs
            if slot.subscriber is not None
            and 0 < slot.taken_in <= number
            and not media.rejected
            and media.direction in RECEIVING
        }
        rejected = frozenset(slot.mid for slot, media in pairs if media.rejected)
        return ReadAnswer(remote, down_tracks, rejected)

    def settle(self, answer: ReadAnswer) -> None:
        """Applies an answer that the transport has accepted."""
        for slot in self._slots:
            slot.rejected = slot.rejected or slot.mid in answer.rejected

    def _new_slot(self, wanted: StreamFormat, config: _Config) -> Slot:
        if len(self._slots) >= self._limit:
            raise SdpError("subscriptions_exhausted", "the client's m-lines are used up")
        payload_type, rtx_payload_type = self._payload_types_of(wanted, config)
        kind = CODEC_RULES[wanted.codec].kind
        slot = Slot(
            mid=str(len(self._slots)),
            kind=kind,
            config=config,
            codec=NegotiatedCodec(
                wanted.codec,
                payload_type,
                rtx_payload_type,
                dict(wanted.parameters),
                FEEDBACK[kind],
            ),
            ssrc=self._fresh_ssrc(),
            rtx_ssrc=self._fresh_ssrc() if wanted.retransmission else None,
        )
        self._slots.append(slot)
        return slot

    def _payload_types_of(self, wanted: StreamFormat, config: _Config) -> tuple[int, int | None]:
        known = self._payload_types.get(config)
        if known is not None:
            return known
        needed = 2 if wanted.retransmission else 1
        if len(self._free_payload_types) < needed:
            raise SdpError("subscriptions_exhausted", "the client's payload types are used up")
        taken = [self._free_payload_types.pop() for _ in range(needed)]
        numbers = (taken[0], taken[1] if wanted.retransmission else None)
        self._payload_types[config] = numbers
        return numbers

    def _fresh_ssrc(self) -> int:
        while (ssrc := self._new_ssrc()) in self._ssrcs or ssrc == 0:
            pass
        self._ssrcs.add(ssrc)
        return ssrc


def _check_pair(slot: Slot, media: MediaSection) -> None:
    if media.kind != slot.kind.value:
        raise invalid("an m-line of the answer has another kind than offered")
    if media.rejected:
        return
    if media.mid != slot.mid:
        raise invalid("an m-line of the answer has another mid than offered")
    if slot.rejected:
        raise invalid("the answer takes up an m-line that was rejected")
    description = media.descriptions.get(slot.codec.payload_type)
    name = CODEC_RULES[slot.codec.codec].encoding_name.lower()
    accepted = str(slot.codec.payload_type) in media.formats
    if not accepted or description is None or description.encoding_name != name:
        raise invalid("an m-line of the answer has not the codec offered")


def _accepted(slot: Slot, media: MediaSection) -> AcceptedDownTrack:
    rtx = slot.codec.rtx_payload_type
    with_rtx = rtx is not None and str(rtx) in media.formats
    answered = {
        EXTENSION_OF_URI[extension.uri]
        for extension in media.extensions
        if extension.uri in EXTENSION_OF_URI
        and DOWNLINK_EXTENSION_IDS.get(EXTENSION_OF_URI[extension.uri]) == extension.id
    }
    return AcceptedDownTrack(
        mid=slot.mid,
        ssrc=slot.ssrc,
        rtx_ssrc=slot.rtx_ssrc,
        payload_type=slot.codec.payload_type,
        rtx_payload_type=rtx if with_rtx else None,
        extensions=frozenset(slot.extensions & answered),
        nack="nack" in media.feedback_of(slot.codec.payload_type),
    )


def _offer_lines(slot: Slot) -> MediaLines:
    if slot.rejected:
        formats = (str(slot.codec.payload_type),)
        return MediaLines(slot.kind.value, PROTOCOL, formats, slot.mid)
    in_use = slot.subscriber is not None
    return MediaLines(
        kind=slot.kind.value,
        protocol=PROTOCOL,
        formats=(),
        mid=slot.mid,
        direction="sendonly" if in_use else "inactive",
        codec=slot.codec,
        extensions=[
            (DOWNLINK_EXTENSION_IDS[extension], None, extension)
            for extension in sorted(slot.extensions, key=DOWNLINK_EXTENSION_IDS.__getitem__)
        ],
        extmap_allow_mixed=True,
        # Of the subscriber: who subscribes to a stream twice must get no two m-lines with one msid.
        msid=f"{slot.subscriber} {slot.subscriber}-{slot.kind.value}" if in_use else None,
        cname=slot.stream if in_use else None,
        ssrc=slot.ssrc,
        rtx_ssrc=slot.rtx_ssrc,
    )

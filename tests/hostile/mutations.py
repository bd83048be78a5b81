"""The checks of the clients, one change that takes each away, and the rows that may find it."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEB, PYTHON = "sdk/web", "sdk/python/src/sealroute_client"


@dataclass(frozen=True, slots=True)
class Mutation:
    """`rows`: those that may find it, and some that should not."""

    name: str
    file: str
    old: str
    new: str
    rows: tuple[str, ...]

    @property
    def is_web(self) -> bool:
        return self.file.startswith(WEB)


REPLAYS = (
    "replay",
    "replay-beside-live",
    "replay-reoffered",
    "replay-stream-again",
    "replay-after-resume",
    "replay-after-rekey",
    "duplicates",
    "signal-replay",
    "late-retired",
    "replay-peer-again",
)
OTHERS = (
    "swap",
    "reflect",
    "stream-of-other",
    "one-id-for-two",
    "one-name-for-two",
    "cross-kinds",
    "signal-of-other",
)
DOORS = (
    "relayed",
    "relayed-clear",
    "session-e2ee-false",
    "session-mode-unknown",
    "other-session",
    "two-welcomes",
)
RESUMES = (
    "resume-e2ee-false",
    "resume-relayed",
    "resume-relayed-clear",
    "resume-other-session",
    "peers-resume-routed",
    "routed-resume-relayed",
    "resume",
)
UPS = ("up-pcmu", "up-other-mids", "up-swapped-mids", "up-no-lines", "up-red", "up-sendrecv")
DOWNS = (
    "down-sendrecv",
    "down-datachannel",
    "down-mids-swapped",
    "replay-second-line",
    "told-as-other",
    "down-mid-given-away",
    "down-extra-line",
    "down-recvonly",
    "down-inactive",
    "down-other-print",
    "down-other-role",
    "down-two-prints",
)
PEERS = (
    "peers",
    "peer-offer-sendrecv",
    "peer-offer-recvonly",
    "peer-offer-one-mid",
    "peer-offer-extra-line",
    "peer-offer-datachannel",
    "peer-answer-sendrecv",
    "peer-answer-sendonly",
    "peer-answer-mids",
    "peer-answer-half",
    "peer-answer-codecs",
    "peer-strangers",
)
TAKEN = (
    *("up-inactive", "up-inactive-one", "up-rejected-one"),
    *("peer-answer-inactive", "peer-answer-inactive-one", "peer-answer-rejected-one"),
)
SENT = ("down-inactive", "down-rejected")
UNDECODABLE = ("down-other-codec", "peer-offer-no-codec", "peer-offer-no-video")
LOST = ("lost", "emptied", "reordered")
EVICTS = ("evict", "evict-e2eeReady-silence", "evict-declareKids-silence", "replay-after-rekey")
SIGNALS = ("signal-clear", "signal-to-other", "signal-of-other", "signal-replay", "signal-changed")
TRUST = f"{WEB}/src/e2ee/trust.ts"
RECEIVER = f"{WEB}/src/e2ee/receiver.ts"
ROOM = f"{WEB}/src/room.ts"
MUTATIONS = (
    Mutation(
        "web: only routed sessions are encrypted",
        TRUST,
        "return mediaMode === 'routed' ? undefined : 'notRouted';",
        "return undefined;",
        DOORS,
    ),
    Mutation(
        "web: no clear session with a secret",
        TRUST,
        "return this.isEncrypted ? 'clear' : undefined;",
        "return undefined;",
        DOORS,
    ),
    Mutation(
        "web: the session that was asked for",
        TRUST,
        "if (!isPlace || !isSense) return 'nonsense';",
        "if (!isSense) return 'nonsense';",
        DOORS,
    ),
    Mutation(
        "web: a resume repeats the first welcome",
        TRUST,
        "if (this.claimed === fingerprint(claims)) return undefined;",
        "if (this.claimed !== '') return undefined;",
        RESUMES,
    ),
    Mutation(
        "web: the replay window",
        f"{WEB}/src/e2ee/replay.ts",
        "if (ctr > this.highest) return false;",
        "if (ctr >= 0) return false;",
        REPLAYS,
    ),
    Mutation(
        "web: the pinned sender",
        RECEIVER,
        "return sender !== undefined && sender !== senderOf(kid);",
        "return sender === -1 && sender !== senderOf(kid);",
        OTHERS,
    ),
    Mutation(
        "web: the rules of offers",
        f"{WEB}/src/rtc/downlink.ts",
        "if (this.encryption) this.refuseLies(offer);",
        "if (!this.encryption) this.refuseLies(offer);",
        DOWNS,
    ),
    Mutation(
        "web: the rules of answers",
        f"{WEB}/src/rtc/uplink.ts",
        "const refusal = this.encryption && answerRefusal(offer, answer, mids);",
        "const refusal = this.encryption ? undefined : answerRefusal(offer, answer, mids);",
        UPS,
    ),
    Mutation(
        "web: retired key ids",
        RECEIVER,
        "if (this.log.isOver(header.kid, now)) return { refused: 'replay' };",
        "",
        REPLAYS,
    ),
    Mutation(
        "web: the addressee of a signal",
        f"{WEB}/src/e2ee/signals.ts",
        "if (content.to !== '' && content.to !== to) return { refused: 'addressee' };",
        "",
        SIGNALS,
    ),
    Mutation(
        "web: the shapes of messages",
        f"{WEB}/src/signaling/codec.ts",
        "  if (!Object.hasOwn(SERVER_SHAPES, message.t)) return undefined;",
        "  if (message.t !== '') return undefined;",
        ("misshapen", "speakers", "hints-misshaped", "down-codec-names", "hello-error"),
    ),
    Mutation(
        "web: the other end keeps its certificate and role",
        f"{WEB}/src/rtc/remote-end.ts",
        "(this.known !== undefined && end !== this.known)",
        "end === ''",
        ("restart-fingerprint", "restart-role", "down-other-print", "down-other-role"),
    ),
    Mutation(
        "web: no clear signals of members",
        f"{WEB}/src/received-signals.ts",
        "if (isEncrypted && from !== '') throw E2EE_ERRORS.clearSignal();",
        "",
        SIGNALS,
    ),
    Mutation(
        "web: the rules of peers' descriptions",
        f"{WEB}/src/rtc/peer-links.ts",
        "  refuseLies(link, received);\n",
        "",
        PEERS,
    ),
    Mutation(
        "web: no peer that nobody asked for",
        f"{WEB}/src/rtc/peer-links.ts",
        "if (known?.stream || !this.listener.isWanted(subscriberId)) return;",
        "if (known?.stream) return;",
        PEERS,
    ),
    Mutation(
        "web: a stream id is one publisher's",
        ROOM,
        "if (reply.t !== 'published' || this.directory.claim(reply.streamId, this.connectionId)) {",
        "if (reply.t !== '') {",
        OTHERS,
    ),
    Mutation(
        "web: `immediate` switches before its promise resolves",
        f"{WEB}/src/e2ee/session-encryption.ts",
        "{ secret, sessionId, immediate });",
        "{ secret, sessionId, immediate: false });",
        EVICTS,
    ),
    Mutation(
        "web: a peer takes all that is sent to it",
        f"{WEB}/src/rtc/answer-rules.ts",
        "return answerRefusal(offer, answer.replace(SOURCES, ''), mids);",
        "return answerRefusal(offer, answer.replace(SOURCES, ''));",
        TAKEN,
    ),
    Mutation(
        "web: a codec that can be decoded",
        f"{WEB}/src/rtc/offer-rules.ts",
        "return codecs.some((name) => this.canDecode(kind, name));",
        "return kind !== '';",
        UNDECODABLE,
    ),
    Mutation(
        "web: an interruption is told",
        f"{WEB}/src/rtc/ice-restart.ts",
        "this.listener.onInterrupted(true);",
        "this.listener.onInterrupted(false);",
        ("ice-consent",),
    ),
    Mutation(
        "web: a WebSocket that ends at once is of no use",
        f"{WEB}/src/signaling/channel.ts",
        "if (wasOfUse) this.attempt = 0;",
        "this.attempt = 0;",
        ("resume", "resume-loop"),
    ),
    Mutation(
        "python: only routed sessions are encrypted",
        f"{PYTHON}/e2ee/trust.py",
        "if e2ee and media_mode != ROUTED:",
        "if e2ee and media_mode == 0:",
        DOORS,
    ),
    Mutation(
        "python: no clear session with a secret",
        f"{PYTHON}/e2ee/trust.py",
        "if self._has_secret and not e2ee:",
        "if self._has_secret and e2ee == 0 and self._first:",
        DOORS,
    ),
    Mutation(
        "python: the session that was asked for",
        f"{PYTHON}/session.py",
        'if described.get("sessionId") != self._credentials.session_id:',
        'if described.get("sessionId") == 0:',
        (*DOORS, *RESUMES),
    ),
    Mutation(
        "python: the replay window",
        f"{PYTHON}/e2ee/identity.py",
        "return behind < 0 or (behind < self._width and not self._seen >> behind & 1)",
        "return behind <= 1 << 40",
        REPLAYS,
    ),
    Mutation(
        "python: the pinned sender",
        f"{PYTHON}/e2ee/identity.py",
        "if self._stream.sender is not None and sender_of(kid) != self._stream.sender:",
        "if self._stream.sender == -1:",
        OTHERS,
    ),
    Mutation(
        "python: a stream id is one publisher's",
        f"{PYTHON}/publishing.py",
        "if is_other or stream_id in self._named:",
        'if is_other and stream_id == "":',
        OTHERS,
    ),
    Mutation(
        "python: retired key ids",
        f"{PYTHON}/e2ee/identity.py",
        "return is_old or kid in self._retired",
        "return is_old and kid == 0",
        REPLAYS,
    ),
    Mutation(
        "python: m-lines of their own Subscriber",
        f"{PYTHON}/subscribing.py",
        'if str(track["streamId"]) != subscriber.stream_id:',
        'if str(track["streamId"]) == "":',
        DOWNS,
    ),
    Mutation(
        "python: one m-line for each Subscriber and kind",
        f"{PYTHON}/subscribing.py",
        'if str(track["mid"]) in wanted or (subscriber, line.kind) in wanted.values():',
        'if str(track["mid"]) == "":',
        DOWNS,
    ),
    Mutation(
        "python: the rules of answers",
        f"{PYTHON}/publishing.py",
        'uplink.check(offer, str(answer["answer"]), tracks)',
        "pass",
        UPS,
    ),
    Mutation(
        "python: the rules of offers",
        f"{PYTHON}/subscribing.py",
        'self.downlink.check(str(message["sdp"]), carrying)',
        "pass",
        DOWNS,
    ),
    Mutation(
        "python: the rules of peers' offers",
        f"{PYTHON}/relay.py",
        "link.offers.check_peer(sdp)",
        "pass",
        PEERS,
    ),
    Mutation(
        "python: the rules of peers' answers",
        f"{PYTHON}/relay.py",
        "link.answers.check_peer(link.peer.localDescription.sdp, sdp)",
        "pass",
        PEERS,
    ),
    Mutation(
        "python: an answer receives what is sent",
        f"{PYTHON}/descriptions.py",
        '(got.direction != "recvonly" or got.port == REJECTED)',
        'got.direction == ""',
        TAKEN,
    ),
    Mutation(
        "python: an offer sends what it is said to",
        f"{PYTHON}/descriptions.py",
        'is_sent = media.direction == "sendonly" and media.port != REJECTED',
        "is_sent = True",
        SENT,
    ),
    Mutation(
        "python: a codec that can be decoded",
        f"{PYTHON}/descriptions.py",
        "if not names(media) & _decodable(media.kind):",
        'if media.kind == "":',
        UNDECODABLE,
    ),
    Mutation(
        "python: a WebSocket that ends at once is of no use",
        f"{PYTHON}/signaling.py",
        "is_useless = loop.time() - self._up_since_s < STAYED_UP_S",
        "is_useless = False",
        ("resume", "resume-loop", "shutdown-loop"),
    ),
    Mutation(
        "python: video after what was lost for good",
        f"{PYTHON}/media/inbound.py",
        "if is_media and self._gap.on_packet(packet.timestamp, self._clock()):",
        "if is_media and packet.timestamp < 0:",
        LOST,
    ),
    Mutation(
        "python: no clear signals of members",
        f"{PYTHON}/received_signals.py",
        'if message.get("from") is not None and not self._session.trust.may_send_clear:',
        'if message.get("from") == "":',
        SIGNALS,
    ),
    Mutation(
        "python: whom a signal is for",
        f"{PYTHON}/e2ee/signals.py",
        'if content.to not in ("", addressee):',
        'if content.to == "-":',
        SIGNALS,
    ),
    Mutation(
        "python: `immediate` switches before its promise resolves",
        f"{PYTHON}/encryption.py",
        "self._switch.set(self.current.hint, now_s, immediate=immediate)",
        "self._switch.set(self.current.hint, now_s, immediate=False)",
        EVICTS,
    ),
)

/** The peer connection that carries what this client subscribes to. The server offers. */
import type { Clock } from '../clock';
import type { SessionEncryption } from '../e2ee/session-encryption';
import type { Kind, StreamOwner } from '../e2ee/protocol';
import { asOTError, otError, type OTError } from '../errors';
import type { Reply, RequestMessage } from '../signaling/channel';
import type { DownlinkOffer, DownlinkTrack } from '../signaling/messages';
import { canDecode } from './codecs';
import { IceKeeper } from './ice-restart';
import { OfferRules } from './offer-rules';
import { makePeerConnection, type PeerSettings } from './peer-connection';
import { JobQueue } from './queue';
import { RemoteEnd } from './remote-end';
import { withOfferedStereo } from './audio';
import { dropStrayCodecLines, withAudioNack } from './sdp';
import { midsWithSources, encryptedOffers } from './sources';
import { watchPauses } from './stall';
import { StatsReader } from './stats-reader';

export interface ReceivedTrack {
  readonly kind: Kind;
  /** The worker's name for the received track. */
  readonly name: string;
  readonly receiver: RTCRtpReceiver;
}

/** Whose frames come over an m-line, by what the server calls it and by what its keys are for. */
interface User extends DownlinkTrack {
  readonly owner: StreamOwner;
}

export interface DownlinkListener {
  /** The stream of that Subscriber; `undefined`: this client has no such Subscriber, or no longer. */
  ownerOf(subscriberId: string): StreamOwner | undefined;
  /** All tracks of a Subscriber, each time an offer names it, and when it loses one. */
  onTracks(subscriberId: string, tracks: readonly ReceivedTrack[]): void;
  onFailure(error: OTError): void;
  /** Media stopped, or the transport is in trouble. */
  onQuiet(): void;
  /** See `IceKeeper`. */
  onInterrupted(isInterrupted: boolean): void;
}

/** Over all peer connections of the page: receivers' tracks never share a name. */
let generations = 0;

export class Downlink {
  private peer: RTCPeerConnection | undefined;
  private keeper: IceKeeper | undefined;
  private queue = new JobQueue();
  private generation = generations++;
  private rules = new OfferRules(canDecode);
  private remoteEnd = new RemoteEnd();
  /** mid → the Subscriber that uses it. */
  private users = new Map<string, User>();
  /** The m-lines that name their SSRCs in what was applied last. */
  private named: ReadonlySet<string> = new Set();

  constructor(
    private readonly settings: PeerSettings,
    private readonly request: (message: RequestMessage) => Promise<Reply>,
    private readonly encryption: SessionEncryption | undefined,
    private readonly listener: DownlinkListener,
    private readonly clock: Clock,
  ) {}

  /** Of the transport that there is. */
  stats: StatsReader | undefined;

  get connection(): RTCPeerConnection | undefined {
    return this.peer;
  }

  get isNegotiating(): boolean {
    return this.queue.isBusy;
  }

  /** All receivers ever made, with the worker's names of their tracks. */
  receivers(): { name: string; kind: Kind; mid: string; receiver: RTCRtpReceiver }[] {
    return (this.peer?.getTransceivers() ?? []).flatMap(({ mid, receiver }) => {
      if (mid === null) return [];
      return [{ name: this.nameOf(mid), kind: receiver.track.kind as Kind, mid, receiver }];
    });
  }

  onOffer(offer: DownlinkOffer): void {
    const { generation } = this;
    this.queue
      .run(async () => {
        if (generation === this.generation) await this.negotiate(offer);
      })
      .catch((error: unknown) => {
        if (generation !== this.generation) return;
        this.listener.onFailure(asOTError(error, 'OT_SET_REMOTE_DESCRIPTION_FAILED'));
      });
  }

  /** See `IceKeeper`. */
  hurry(): void {
    this.keeper?.hurry();
  }

  onResumed(): void {
    this.keeper?.onResumed();
  }

  /** Forgets the transport; the next offer makes another. */
  reset(): void {
    this.peer?.close();
    this.peer = this.keeper = this.stats = undefined;
    for (const mid of this.users.keys()) this.release(this.nameOf(mid));
    this.generation = generations++;
    this.rules = new OfferRules(canDecode);
    this.remoteEnd = new RemoteEnd();
    this.users = new Map();
    this.named = new Set();
    this.queue = new JobQueue();
  }

  /** The Subscriber whose frames the worker gets under that name. */
  userOf(name: string): string | undefined {
    for (const [mid, { subscriberId }] of this.users) {
      if (this.nameOf(mid) === name) return subscriberId;
    }
    return undefined;
  }

  private async negotiate(offer: DownlinkOffer): Promise<void> {
    const { remoteEnd } = this;
    if (this.encryption) this.refuseLies(offer);
    remoteEnd.check(offer.sdp);
    if (this.encryption) this.rules.remember(offer.sdp);
    const peer = (this.peer ??= this.open());
    const tracks = offer.tracks.flatMap((track): User[] => {
      const owner = this.listener.ownerOf(track.subscriberId);
      return owner ? [{ ...track, owner }] : [];
    });
    await this.bind(peer, tracks);
    const offers = this.encryption
      ? encryptedOffers(offer.sdp, this.stillNamed(peer))
      : [offer.sdp];
    for (const sdp of offers) await this.apply(peer, sdp);
    remoteEnd.remember(offer.sdp);
    if (this.encryption) await this.nameCodecs(this.encryption, peer, tracks);
    this.report(peer, tracks);
    await this.request({
      t: 'downlinkAnswer',
      offerId: offer.offerId,
      sdp: dropStrayCodecLines(peer.localDescription?.sdp ?? ''),
    });
  }

  private refuseLies({ sdp, tracks }: DownlinkOffer): void {
    const refusal = this.rules.refusal(
      sdp,
      tracks,
      (subscriberId) => this.listener.ownerOf(subscriberId)?.streamId,
    );
    if (refusal === undefined) return;
    throw otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      `The server made an offer that an encrypted session does not allow: ${refusal}`,
    );
  }

  private async apply(peer: RTCPeerConnection, sdp: string): Promise<void> {
    await peer.setRemoteDescription({ type: 'offer', sdp });
    this.named = midsWithSources(sdp);
    // Usually ontrack did it; lines that were used before do not fire it in every browser.
    for (const transceiver of peer.getTransceivers()) this.attach(transceiver);
    const answer = await peer.createAnswer();
    const taken = withOfferedStereo(withAudioNack(answer.sdp ?? '', sdp), sdp);
    await peer.setLocalDescription({ type: 'answer', sdp: taken });
  }

  /** A rejected m-line's mid can come back as that of another receiver: it names nothing yet. */
  private stillNamed(peer: RTCPeerConnection): ReadonlySet<string> {
    const mids = peer.getTransceivers().map(({ mid }) => mid);
    return new Set(mids.filter((mid): mid is string => mid !== null && this.named.has(mid)));
  }

  private open(): RTCPeerConnection {
    const peer = makePeerConnection(this.settings);
    // The next offer has other credentials.
    const restart = async (): Promise<void> => {
      if (peer === this.peer) await this.request({ t: 'restartIce', direction: 'downlink' });
    };
    const onQuiet = (): void => this.listener.onQuiet();
    this.keeper = new IceKeeper(peer, this.clock, restart, {
      onTrouble: onQuiet,
      onInterrupted: (isInterrupted) => this.listener.onInterrupted(isInterrupted),
    });
    watchPauses(peer, this.clock, onQuiet);
    this.stats = new StatsReader(peer, this.clock);
    peer.ontrack = ({ transceiver }): void => this.attach(transceiver);
    return peer;
  }

  private attach({ receiver, mid }: RTCRtpTransceiver): void {
    if (mid === null) return;
    this.encryption?.attachReceiver(receiver, this.nameOf(mid), receiver.track.kind as Kind);
  }

  /** Binds each m-line to its stream in the worker before frames can arrive. */
  private async bind(peer: RTCPeerConnection, tracks: readonly User[]): Promise<void> {
    const users = new Map(tracks.map((track) => [track.mid, track]));
    const given = [...this.users].filter(([mid, user]) => !isSameUser(user, users.get(mid)));
    for (const [mid] of given) this.users.delete(mid);
    // Who had an m-line before has its track no more when frames of another come over it.
    for (const [, { subscriberId }] of given) this.report(peer, [], subscriberId);
    const fresh = [...users.values()].filter(({ mid }) => !this.users.has(mid));
    await Promise.all([
      ...given.map(async ([mid]) => this.encryption?.releaseReceiver(this.nameOf(mid))),
      ...fresh.map((user) => this.bindOne(user)),
    ]);
  }

  private async bindOne(user: User): Promise<void> {
    const { generation } = this;
    const name = this.nameOf(user.mid);
    await this.encryption?.bindReceiver(name, user.owner, user.kind);
    if (generation === this.generation) this.users.set(user.mid, user);
    else this.release(name);
  }

  /** Of a transport that is over: the worker holds no keys for what cannot come any more. */
  private release(name: string): void {
    this.encryption?.releaseReceiver(name).catch(() => undefined);
  }

  /** For browsers whose frames do not say it: what they have negotiated themselves. */
  private async nameCodecs(
    encryption: SessionEncryption,
    peer: RTCPeerConnection,
    tracks: readonly DownlinkTrack[],
  ): Promise<void> {
    await Promise.all(
      peer.getTransceivers().map(async ({ mid, receiver }) => {
        if (!tracks.some((track) => track.mid === mid)) return;
        const codec = receiver.getParameters().codecs[0]?.mimeType;
        await encryption.setCodec(this.nameOf(mid ?? ''), codec);
      }),
    );
  }

  /** The tracks that Subscribers have now; `loser`: one that may have none left. */
  private report(peer: RTCPeerConnection, tracks: readonly DownlinkTrack[], loser?: string): void {
    const received = new Map<string, ReceivedTrack[]>();
    if (loser !== undefined) received.set(loser, []);
    const used = loser === undefined ? tracks : [...this.users.values()];
    for (const { mid, kind, subscriberId } of used) {
      if (loser !== undefined && subscriberId !== loser) continue;
      const transceiver = peer.getTransceivers().find((candidate) => candidate.mid === mid);
      if (!transceiver) continue;
      const track = { kind, name: this.nameOf(mid), receiver: transceiver.receiver };
      received.set(subscriberId, [...(received.get(subscriberId) ?? []), track]);
    }
    for (const [subscriberId, list] of received) this.listener.onTracks(subscriberId, list);
  }

  private nameOf(mid: string): string {
    return `down-${this.generation}-${mid}`;
  }
}

function isSameUser(before: User, now: User | undefined): boolean {
  return (
    before.subscriberId === now?.subscriberId &&
    before.owner.connectionId === now.owner.connectionId &&
    before.owner.streamId === now.owner.streamId
  );
}

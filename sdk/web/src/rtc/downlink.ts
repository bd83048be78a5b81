/** The peer connection that carries what this client subscribes to. The server offers. */
import type { Clock } from '../clock';
import type { SessionSeal } from '../e2ee/session-seal';
import { asOTError, type OTError } from '../errors';
import type { Reply, RequestMessage } from '../signaling/channel';
import type { DownlinkOffer, DownlinkTrack } from '../signaling/messages';
import { IceKeeper } from './ice-restart';
import { makePeerConnection, type PeerSettings } from './peer-connection';
import { JobQueue } from './queue';
import { dropStrayCodecLines, withAudioNack } from './sdp';
import { midsWithSources, sealedOffers } from './sources';

type Kind = 'audio' | 'video';

export interface ReceivedTrack {
  readonly kind: Kind;
  /** The worker's name for the received track. */
  readonly name: string;
  readonly receiver: RTCRtpReceiver;
  readonly codec: string;
}

export interface DownlinkListener {
  /** All tracks of a Subscriber, each time an offer names it. */
  onTracks(subscriberId: string, tracks: readonly ReceivedTrack[]): void;
  onFailure(error: OTError): void;
}

export class Downlink {
  private peer: RTCPeerConnection | undefined;
  private keeper: IceKeeper | undefined;
  private queue = new JobQueue();
  /** Counts peer connections, so that their tracks have different names. */
  private generation = 0;
  /** mid → the Subscriber that uses it. */
  private users = new Map<string, DownlinkTrack>();
  /** The m-lines that name their SSRCs in what was applied last. */
  private named: ReadonlySet<string> = new Set();

  constructor(
    private readonly settings: PeerSettings,
    private readonly request: (message: RequestMessage) => Promise<Reply>,
    private readonly seal: SessionSeal | undefined,
    private readonly listener: DownlinkListener,
    private readonly clock: Clock,
  ) {}

  get connection(): RTCPeerConnection | undefined {
    return this.peer;
  }

  /** All receivers ever made, with the worker's names of their tracks. */
  receivers(): { name: string; kind: Kind; receiver: RTCRtpReceiver }[] {
    return (this.peer?.getTransceivers() ?? []).flatMap(({ mid, receiver }) =>
      mid === null ? [] : [{ name: this.nameOf(mid), kind: receiver.track.kind as Kind, receiver }],
    );
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
    this.peer = this.keeper = undefined;
    this.generation += 1;
    this.users = new Map();
    this.named = new Set();
    this.queue = new JobQueue();
  }

  private async negotiate(offer: DownlinkOffer): Promise<void> {
    const peer = (this.peer ??= this.open());
    await this.bind(offer.tracks);
    const offers = this.seal ? sealedOffers(offer.sdp, this.stillNamed(peer)) : [offer.sdp];
    for (const sdp of offers) await this.apply(peer, sdp);
    this.report(peer, offer.tracks);
    await this.request({
      t: 'downlinkAnswer',
      number: offer.number,
      sdp: dropStrayCodecLines(peer.localDescription?.sdp ?? ''),
    });
  }

  private async apply(peer: RTCPeerConnection, sdp: string): Promise<void> {
    await peer.setRemoteDescription({ type: 'offer', sdp });
    this.named = midsWithSources(sdp);
    // Usually ontrack did it; lines that were used before do not fire it in every browser.
    for (const transceiver of peer.getTransceivers()) this.attach(transceiver);
    const answer = await peer.createAnswer();
    await peer.setLocalDescription({ type: 'answer', sdp: withAudioNack(answer.sdp ?? '', sdp) });
  }

  /** A rejected m-line's mid can come back as that of another receiver: it names nothing yet. */
  private stillNamed(peer: RTCPeerConnection): ReadonlySet<string> {
    const mids = peer.getTransceivers().map(({ mid }) => mid);
    return new Set(mids.filter((mid): mid is string => mid !== null && this.named.has(mid)));
  }

  private open(): RTCPeerConnection {
    const peer = makePeerConnection(this.settings);
    // The next offer has other credentials.
    this.keeper = new IceKeeper(peer, this.clock, async () => {
      if (peer === this.peer) await this.request({ t: 'restartIce', direction: 'downlink' });
    });
    peer.ontrack = ({ transceiver }): void => this.attach(transceiver);
    return peer;
  }

  private attach({ receiver, mid }: RTCRtpTransceiver): void {
    if (mid === null) return;
    this.seal?.attachReceiver(receiver, this.nameOf(mid), receiver.track.kind as Kind);
  }

  /** Tells the worker whose frames come over which m-line before any can come. */
  private async bind(tracks: readonly DownlinkTrack[]): Promise<void> {
    const users = new Map(tracks.map((track) => [track.mid, track]));
    const jobs: Promise<unknown>[] = [];
    for (const [mid, user] of users) {
      if (this.users.get(mid)?.subscriberId === user.subscriberId) continue;
      const mimeType = `${user.kind}/${user.codec}`;
      jobs.push(
        this.seal?.bindReceiver(this.nameOf(mid), user.streamId, mimeType) ?? Promise.resolve(),
      );
    }
    for (const mid of this.users.keys()) {
      if (!users.has(mid))
        jobs.push(this.seal?.releaseReceiver(this.nameOf(mid)) ?? Promise.resolve());
    }
    this.users = users;
    await Promise.all(jobs);
  }

  private report(peer: RTCPeerConnection, tracks: readonly DownlinkTrack[]): void {
    const received = new Map<string, ReceivedTrack[]>();
    for (const { mid, kind, subscriberId, codec } of tracks) {
      const transceiver = peer.getTransceivers().find((candidate) => candidate.mid === mid);
      if (!transceiver) continue;
      const track = { kind, name: this.nameOf(mid), receiver: transceiver.receiver, codec };
      received.set(subscriberId, [...(received.get(subscriberId) ?? []), track]);
    }
    for (const [subscriberId, list] of received) this.listener.onTracks(subscriberId, list);
  }

  private nameOf(mid: string): string {
    return `down-${this.generation}-${mid}`;
  }
}

/**
 * Relayed sessions: one peer connection with another client for each Subscriber. The publisher
 * of a stream offers, the subscriber answers; the server passes both on and sees no media.
 */
import { asOTError, type OTError, otError, PROTOCOL_ERRORS } from '../errors';
import type { Reply, RequestMessage } from '../signaling/channel';
import type {
  PeerCandidateReceived,
  PeerDescriptionReceived,
  PeerSubscribed,
  TrackOffer,
} from '../signaling/messages';
import { peerAnswerRefusal } from './answer-rules';
import { withAudioFormats, withOfferedStereo } from './audio';
import { applyPreferences, canDecode } from './codecs';
import type { ReceivedTrack } from './downlink';
import { MAX_PEER_CANDIDATES, MAX_PEERS } from '../rules';
import { FanOut } from './fan-out';
import { makePeerConnection, type PeerSettings } from './peer-connection';
import { JobQueue } from './queue';
import { OfferRules } from './offer-rules';
import { RemoteEnd } from './remote-end';
import { dropStrayCodecLines } from './sdp';
import type { PublishedMedia, Source, StreamProperties } from './uplink';

type Kind = 'audio' | 'video';

interface OwnStream {
  readonly sources: readonly Source[];
  readonly outputs: Partial<Record<Kind, FanOut>>;
}

interface Link {
  readonly subscriberId: string;
  readonly peer: RTCPeerConnection;
  /** The own stream that is sent; without it this end subscribes. */
  readonly stream: OwnStream | undefined;
  readonly queue: JobQueue;
  readonly early: RTCIceCandidateInit[];
  /** How many of the other end's candidates came. */
  candidates: number;
  readonly remoteEnd: RemoteEnd;
  readonly rules: OfferRules;
}

interface PeerLinksListener {
  /** Whether it is one of this client's Subscribers. */
  isWanted(subscriberId: string): boolean;
  onTracks(subscriberId: string, tracks: readonly ReceivedTrack[]): void;
  onConnected(subscriberId: string): void;
  /** The peer of one of this client's Subscribers is lost. */
  onLost(subscriberId: string): void;
  onFailure(error: OTError): void;
}

export class PeerLinks {
  private readonly links = new Map<string, Link>();
  private readonly streams = new Map<string, OwnStream>();
  private isFull = false;

  constructor(
    private readonly settings: PeerSettings,
    private readonly request: (message: RequestMessage) => Promise<Reply>,
    private readonly listener: PeerLinksListener,
  ) {
    // Frames between clients go through no transform here: encryption cannot be had.
    if (settings.isEncrypted) {
      throw otError('OT_ENCRYPTION_INTERNAL_ERROR', 'A relayed session cannot be encrypted');
    }
  }

  /** Nothing is sent before somebody subscribes. */
  async publish(sources: readonly Source[], properties: StreamProperties): Promise<PublishedMedia> {
    const tracks = sources.map(({ kind }): TrackOffer => ({ mid: kind, kind }));
    const reply = await this.request({ t: 'publish', ...properties, tracks });
    if (reply.t !== 'published') throw otError('OT_UNEXPECTED_SERVER_RESPONSE', 'Not published');
    const outputs = Object.fromEntries(
      sources.map(({ kind, track, encodings }) => [kind, new FanOut(track, encodings)]),
    );
    this.streams.set(reply.streamId, { sources, outputs });
    return { streamId: reply.streamId, senders: outputs };
  }

  async unpublish(streamId: string): Promise<void> {
    await this.forget(streamId);
    await this.request({ t: 'unpublish', streamId });
  }

  /** The server said that the stream is over. */
  forget(streamId: string): Promise<void> {
    const stream = this.streams.get(streamId);
    this.streams.delete(streamId);
    for (const link of [...this.links.values()]) {
      if (stream && link.stream === stream) this.drop(link.subscriberId);
    }
    return Promise.resolve();
  }

  /** Another client subscribed to an own stream, or changed which of its media it receives. */
  onSubscribed({ subscriberId, streamId, audio, video }: PeerSubscribed): void {
    const stream = this.streams.get(streamId);
    if (!stream) return;
    const wanted = { audio, video };
    const known = this.links.get(subscriberId);
    if (known) {
      this.run(known, async () => {
        for (const { kind } of stream.sources) {
          await stream.outputs[kind]?.want(subscriberId, wanted[kind]);
        }
      });
      return;
    }
    const link = this.open(subscriberId, stream);
    if (!link) return;
    this.run(link, async () => {
      for (const source of stream.sources) await addOutput(link, stream, source, wanted);
      await link.peer.setLocalDescription(withoutStrayLines(await link.peer.createOffer()));
      await this.describe(link, 'offer');
    });
  }

  onDescription({ subscriberId, type, sdp }: PeerDescriptionReceived): void {
    const known = this.links.get(subscriberId);
    if (type === 'offer') {
      // For nobody here: a peer that the server invents would learn this client's addresses.
      if (known?.stream || !this.listener.isWanted(subscriberId)) return;
      const link = known ?? this.open(subscriberId, undefined);
      if (link) this.run(link, () => this.answer(link, sdp));
    } else if (known?.stream) {
      this.run(known, async () => {
        if (known.peer.signalingState !== 'have-local-offer') return;
        await describeRemote(known, { type, sdp }, withFormats(known, sdp));
        await takeEarly(known);
      });
    }
  }

  onCandidate({ subscriberId, candidate, mid }: PeerCandidateReceived): void {
    const link = this.links.get(subscriberId);
    if (!link || link.candidates >= MAX_PEER_CANDIDATES) return;
    link.candidates += 1;
    this.run(link, async () => {
      const init = { candidate, sdpMid: mid };
      if (link.peer.remoteDescription) await addCandidate(link.peer, init);
      else link.early.push(init);
    });
  }

  drop(subscriberId: string): void {
    const link = this.links.get(subscriberId);
    if (!link) return;
    this.links.delete(subscriberId);
    for (const output of Object.values(link.stream?.outputs ?? {})) output.remove(subscriberId);
    link.peer.close();
  }

  reset(): void {
    for (const subscriberId of [...this.links.keys()]) this.drop(subscriberId);
    this.streams.clear();
  }

  /** `undefined`: the server invents peers. That is reported once. */
  private open(subscriberId: string, stream: OwnStream | undefined): Link | undefined {
    if (this.links.size >= MAX_PEERS) {
      if (!this.isFull) this.listener.onFailure(PROTOCOL_ERRORS.tooManyPeers());
      this.isFull = true;
      return undefined;
    }
    const peer = makePeerConnection(this.settings);
    const parts = { queue: new JobQueue(), early: [], candidates: 0 };
    const known = { remoteEnd: new RemoteEnd(), rules: new OfferRules(canDecode) };
    const link: Link = { subscriberId, peer, stream, ...parts, ...known };
    this.links.set(subscriberId, link);
    peer.onicecandidate = ({ candidate }): void => {
      if (!candidate?.candidate || !this.isPresent(link)) return;
      this.request({
        t: 'peerCandidate',
        subscriberId,
        candidate: candidate.candidate,
        mid: candidate.sdpMid ?? '0',
      }).catch((error: unknown) => this.fail(link, error));
    };
    peer.onconnectionstatechange = (): void => this.onState(link);
    return link;
  }

  private onState(link: Link): void {
    if (!this.isPresent(link)) return;
    const { connectionState } = link.peer;
    if (connectionState === 'connected' && !link.stream) {
      this.listener.onConnected(link.subscriberId);
    } else if (connectionState === 'failed' || connectionState === 'closed') {
      this.lose(link);
    }
  }

  private lose(link: Link): void {
    this.drop(link.subscriberId);
    if (!link.stream) this.listener.onLost(link.subscriberId);
  }

  private async answer(link: Link, sdp: string): Promise<void> {
    const { peer } = link;
    await describeRemote(link, { type: 'offer', sdp }, sdp);
    await takeEarly(link);
    const { type, sdp: answer = '' } = await peer.createAnswer();
    const taken = dropStrayCodecLines(withOfferedStereo(answer, sdp));
    await peer.setLocalDescription({ type, sdp: taken });
    const tracks = peer.getTransceivers().map(({ receiver, mid }): ReceivedTrack => {
      const kind = receiver.track.kind as Kind;
      return { kind, name: `peer-${link.subscriberId}-${mid ?? ''}`, receiver };
    });
    this.listener.onTracks(link.subscriberId, tracks);
    await this.describe(link, 'answer');
  }

  private async describe(link: Link, type: 'offer' | 'answer'): Promise<void> {
    const sdp = withFormats(link, dropStrayCodecLines(link.peer.localDescription?.sdp ?? ''));
    await this.request({ t: 'peerDescription', subscriberId: link.subscriberId, type, sdp });
  }

  /** One step after the other; a step of a link that is gone is none. */
  private run(link: Link, step: () => Promise<void>): void {
    link.queue
      .run(async () => {
        if (this.isPresent(link)) await step();
      })
      .catch((error: unknown) => this.fail(link, error));
  }

  private fail(link: Link, error: unknown): void {
    if (!this.isPresent(link)) return;
    this.lose(link);
    this.listener.onFailure(asOTError(error, 'OT_SET_REMOTE_DESCRIPTION_FAILED'));
  }

  private isPresent(link: Link): boolean {
    return this.links.get(link.subscriberId) === link;
  }
}

interface Received {
  readonly type: 'offer' | 'answer';
  readonly sdp: string;
}

/** `sdp`: as it is applied. */
async function describeRemote(link: Link, received: Received, sdp: string): Promise<void> {
  refuseLies(link, received);
  link.remoteEnd.check(received.sdp);
  if (received.type === 'offer') link.rules.remember(received.sdp);
  await link.peer.setRemoteDescription({ type: received.type, sdp });
  link.remoteEnd.remember(received.sdp);
}

/** The server passes descriptions on, and can write them itself. */
function refuseLies({ peer, rules }: Link, { type, sdp }: Received): void {
  const refusal =
    type === 'offer'
      ? rules.peerRefusal(sdp)
      : peerAnswerRefusal(peer.localDescription?.sdp ?? '', sdp);
  if (refusal === undefined) return;
  throw otError(
    'OT_UNEXPECTED_SERVER_RESPONSE',
    `The server passed on an ${type} that a relayed session does not allow: ${refusal}`,
  );
}

async function addOutput(
  link: Link,
  stream: OwnStream,
  { kind, preferredCodecs }: Source,
  wanted: Readonly<Record<Kind, boolean>>,
): Promise<void> {
  const output = stream.outputs[kind];
  if (!output) return;
  const transceiver = link.peer.addTransceiver(kind, {
    direction: 'sendonly',
    sendEncodings: output.initialEncodings(),
  });
  applyPreferences(transceiver, kind, preferredCodecs);
  await output.add(link.subscriberId, transceiver.sender, wanted[kind]);
}

/** Written into the own stream's offer, and into the answer that is applied to it. */
function withFormats({ stream }: Link, sdp: string): string {
  const format = stream?.sources.find(({ kind }) => kind === 'audio')?.format;
  return withAudioFormats(sdp, () => format);
}

/** One that this browser does not understand is left out; others may do. */
async function addCandidate(
  peer: RTCPeerConnection,
  candidate: RTCIceCandidateInit,
): Promise<void> {
  await peer.addIceCandidate(candidate).catch(() => undefined);
}

async function takeEarly(link: Link): Promise<void> {
  for (const candidate of link.early.splice(0)) await addCandidate(link.peer, candidate);
}

function withoutStrayLines(made: RTCSessionDescriptionInit): RTCSessionDescriptionInit {
  return { type: made.type, sdp: dropStrayCodecLines(made.sdp ?? '') };
}

/** The peer connection that carries what this client publishes. The client offers. */
import type { SessionEncryption } from '../e2ee/session-encryption';
import { asOTError, OTError, otError } from '../errors';
import { exceptions } from '../exceptions';
import type { Publish, Published, TrackOffer } from '../signaling/messages';
import type { Reply, RequestMessage } from '../signaling/channel';
import type { Clock } from '../clock';
import { answerRefusal } from './answer-rules';
import { type AudioFormat, withAudioFormats } from './audio';
import { applyPreferences, type VideoCodecName } from './codecs';
import type { MediaSender } from './fan-out';
import { IceKeeper } from './ice-restart';
import { makePeerConnection, type PeerSettings } from './peer-connection';
import { JobQueue } from './queue';
import { RemoteEnd } from './remote-end';
import { dropStrayCodecLines } from './sdp';
import { watchStalls } from './stall';
import { StatsReader } from './stats-reader';

type Kind = 'audio' | 'video';

/** What is said of a server that does not keep to the rules. */
const LIE = 'OT_UNEXPECTED_SERVER_RESPONSE';

export interface Source {
  readonly kind: Kind;
  readonly track: MediaStreamTrack | null;
  readonly encodings: RTCRtpEncodingParameters[];
  readonly preferredCodecs: readonly VideoCodecName[];
  /** Of audio; left out, the browser and its peer decide. */
  readonly format?: AudioFormat;
  /** The first frame left encrypted. */
  readonly onEncrypted?: () => void;
}

export type StreamProperties = Omit<Publish, 't' | 'id' | 'offer' | 'tracks' | 'e2eeFormat'>;

/** One m-line. It is used again by later streams: its transform stays attached. */
interface Line {
  readonly kind: Kind;
  /** The worker's name for the sending track. */
  readonly name: string;
  readonly layers: string;
  readonly transceiver: RTCRtpTransceiver;
  streamId: string | undefined;
  isTaken: boolean;
  format: AudioFormat | undefined;
  onEncrypted: (() => void) | undefined;
}

/** Over all uplinks of the page: senders' tracks and publications never share a name. */
let names = 0;

export interface PublishedMedia {
  readonly streamId: string;
  readonly senders: Partial<Record<Kind, MediaSender>>;
}

interface UplinkListener {
  /** What is sent gets no answer. */
  onStall(): void;
  /** The transport is in trouble. */
  onQuiet(): void;
  /** See `IceKeeper`. */
  onInterrupted(isInterrupted: boolean): void;
}

export class Uplink {
  private peer: RTCPeerConnection | undefined;
  private keeper: IceKeeper | undefined;
  private remoteEnd = new RemoteEnd();
  private lines: Line[] = [];
  private readonly queue = new JobQueue();
  private isClosed = false;

  constructor(
    private readonly settings: PeerSettings,
    private readonly request: (message: RequestMessage) => Promise<Reply>,
    private readonly encryption: SessionEncryption | undefined,
    private readonly clock: Clock,
    private readonly listener: UplinkListener,
  ) {
    encryption?.onNotice((notice) => {
      if (notice.type !== 'encrypted') return;
      this.lines.find(({ name }) => name === notice.track)?.onEncrypted?.();
    });
  }

  /** Of the transport that there is. */
  stats: StatsReader | undefined;

  get isNegotiating(): boolean {
    return this.queue.isBusy;
  }

  get connection(): RTCPeerConnection | undefined {
    return this.peer;
  }

  /** Resolves when the server took the stream; its media flows once the transport is up. */
  publish(sources: readonly Source[], properties: StreamProperties): Promise<PublishedMedia> {
    return this.queue.run(async () => {
      if (this.isClosed) throw otError('OT_NOT_CONNECTED', 'The session is not connected');
      this.peer ??= this.open();
      const { peer } = this;
      const lines = sources.map((source) => this.takeLine(peer, source));
      try {
        return await this.negotiate(peer, sources, lines, properties);
      } catch (error) {
        await this.undo(peer, lines);
        throw error;
      }
    });
  }

  private open(): RTCPeerConnection {
    const peer = makePeerConnection(this.settings);
    this.remoteEnd = new RemoteEnd();
    const { listener } = this;
    const restart = (): Promise<void> => this.restart(peer);
    this.keeper = new IceKeeper(peer, this.clock, restart, {
      onTrouble: () => listener.onQuiet(),
      onInterrupted: (isInterrupted) => listener.onInterrupted(isInterrupted),
    });
    this.stats = new StatsReader(peer, this.clock);
    watchStalls(peer, this.stats, this.clock, () => listener.onStall());
    return peer;
  }

  /** See `IceKeeper`. */
  hurry(): void {
    this.keeper?.hurry();
  }

  onResumed(): void {
    this.keeper?.onResumed();
  }

  /** Streams keep their ids: only the way to the server is another one. */
  private restart(peer: RTCPeerConnection): Promise<void> {
    return this.queue.run(async () => {
      if (peer !== this.peer) return;
      try {
        await peer.setLocalDescription(
          withoutStrayLines(await peer.createOffer({ iceRestart: true })),
        );
        const offer = this.offerOf(peer);
        const reply = await this.request({ t: 'restartIce', direction: 'uplink', offer });
        if (reply.t !== 'iceRestarted') throw otError('OT_UNEXPECTED_SERVER_RESPONSE', 'No answer');
        await this.apply(peer, reply.answer);
      } catch (error) {
        await this.undo(peer, []);
        if (error instanceof OTError && error.name === LIE) exceptions.report(error);
        throw error;
      }
    });
  }

  async unpublish(streamId: string): Promise<void> {
    await Promise.all(
      this.lines.filter((line) => line.streamId === streamId).map((line) => this.release(line)),
    );
    await this.request({ t: 'unpublish', streamId });
  }

  /** The server said that the stream is over. */
  async forget(streamId: string): Promise<void> {
    const lines = this.lines.filter((line) => line.streamId === streamId);
    await Promise.all(lines.map((line) => this.release(line)));
  }

  /** What the watchdog looks at. */
  senders(): { name: string; kind: Kind; mid: string | null; sender: RTCRtpSender }[] {
    return this.lines.map(({ name, kind, transceiver: { mid, sender } }) => ({
      ...{ name, kind, mid, sender },
    }));
  }

  /** Forgets the transport and all that went over it; the next publish makes another. */
  reset(): void {
    this.peer?.close();
    this.peer = this.keeper = this.stats = undefined;
    for (const line of this.lines) this.encryption?.removeSender(line.name);
    this.lines = [];
  }

  /** The end: no other transport is made. */
  close(): void {
    this.isClosed = true;
    this.reset();
  }

  private async negotiate(
    peer: RTCPeerConnection,
    sources: readonly Source[],
    lines: readonly Line[],
    properties: StreamProperties,
  ): Promise<PublishedMedia> {
    const publication = `publication-${names++}`;
    const kids = await Promise.all(
      lines.map(async ({ name }) => this.encryption?.prepareSender(name, publication)),
    );
    await peer.setLocalDescription(withoutStrayLines(await peer.createOffer()));
    const tracks = lines.map(({ transceiver, kind }, index): TrackOffer => {
      const kid = kids[index];
      return { mid: transceiver.mid ?? '', kind, ...(kid ? { kids: [kid] } : {}) };
    });
    const reply = await this.request({
      t: 'publish',
      ...properties,
      offer: this.offerOf(peer),
      tracks,
      ...(this.encryption ? { e2eeFormat: this.encryption.format } : {}),
    });
    if (reply.t !== 'published') throw otError('OT_UNEXPECTED_SERVER_RESPONSE', 'No answer');
    try {
      await this.takeAnswer(peer, reply, lines);
      await this.start(lines, sources, reply);
    } catch (error) {
      // Others were told of it already, and would wait for media that does not come.
      this.request({ t: 'unpublish', streamId: reply.streamId }).catch(() => undefined);
      throw error;
    }
    return {
      streamId: reply.streamId,
      senders: Object.fromEntries(lines.map(({ kind, transceiver }) => [kind, transceiver.sender])),
    };
  }

  private async takeAnswer(
    peer: RTCPeerConnection,
    { answer }: Published,
    lines: readonly Line[],
  ): Promise<void> {
    try {
      await this.apply(peer, answer, lines);
    } catch (error) {
      throw asOTError(error, 'OT_SET_REMOTE_DESCRIPTION_FAILED');
    }
  }

  /** Encrypted: an answer that takes anything else than what was offered is not applied. */
  private async apply(
    peer: RTCPeerConnection,
    answer: string,
    publishing: readonly Line[] = [],
  ): Promise<void> {
    const offer = peer.localDescription?.sdp ?? '';
    const mids = publishing.map(({ transceiver }) => transceiver.mid ?? '');
    const refusal = this.encryption && answerRefusal(offer, answer, mids);
    if (refusal !== undefined) {
      throw otError(
        LIE,
        `The server made an answer that an encrypted session does not allow: ${refusal}`,
      );
    }
    const { remoteEnd } = this;
    remoteEnd.check(answer);
    await peer.setRemoteDescription({ type: 'answer', sdp: this.withFormats(answer) });
    remoteEnd.remember(answer);
  }

  /** What the server gets of the browser's offer. */
  private offerOf(peer: RTCPeerConnection): string {
    return this.withFormats(dropStrayCodecLines(peer.localDescription?.sdp ?? ''));
  }

  private withFormats(sdp: string): string {
    return withAudioFormats(
      sdp,
      (mid) => this.lines.find(({ transceiver }) => transceiver.mid === mid)?.format,
    );
  }

  /** Encrypted: the real track comes only after the worker says that its transform runs. */
  private async start(
    lines: readonly Line[],
    sources: readonly Source[],
    published: Published,
  ): Promise<void> {
    await Promise.all(
      lines.map(async (line, index) => {
        line.streamId = published.streamId;
        const { sender, mid } = line.transceiver;
        line.onEncrypted = sources[index]?.onEncrypted;
        await this.encryption?.startSender(line.name, {
          streamId: published.streamId,
          mid: mid ?? '',
          codec: sender.getParameters().codecs[0]?.mimeType,
          sender,
        });
        await sender.replaceTrack(sources[index]?.track ?? null);
      }),
    );
  }

  /** A free m-line of the same shape, or a new one with its transform set in the same task. */
  private takeLine(peer: RTCPeerConnection, source: Source): Line {
    const layers = source.encodings.map(({ rid }) => rid ?? '').join();
    const free = this.lines.find(
      (line) => !line.isTaken && line.kind === source.kind && line.layers === layers,
    );
    const line = free ?? this.addLine(peer, source, layers);
    line.isTaken = true;
    line.format = source.format;
    applyPreferences(line.transceiver, source.kind, source.preferredCodecs);
    return line;
  }

  private addLine(peer: RTCPeerConnection, { kind, encodings }: Source, layers: string): Line {
    const transceiver = peer.addTransceiver(kind, {
      direction: 'sendonly',
      sendEncodings: encodings,
    });
    const name = `up-${names++}`;
    this.encryption?.attachSender(transceiver.sender, name, kind);
    const line: Line = {
      kind,
      name,
      layers,
      transceiver,
      streamId: undefined,
      isTaken: true,
      format: undefined,
      onEncrypted: undefined,
    };
    this.lines.push(line);
    return line;
  }

  private async release(line: Line): Promise<void> {
    line.streamId = line.onEncrypted = undefined;
    this.encryption?.removeSender(line.name);
    await line.transceiver.sender.replaceTrack(null).catch(() => undefined);
    line.isTaken = false;
  }

  private async undo(peer: RTCPeerConnection, lines: readonly Line[]): Promise<void> {
    if (peer.signalingState === 'have-local-offer') {
      await peer.setLocalDescription({ type: 'rollback' }).catch(() => undefined);
    }
    await Promise.all(lines.map((line) => this.release(line)));
  }
}

function withoutStrayLines(offer: RTCSessionDescriptionInit): RTCSessionDescriptionInit {
  return { type: offer.type, sdp: dropStrayCodecLines(offer.sdp ?? '') };
}

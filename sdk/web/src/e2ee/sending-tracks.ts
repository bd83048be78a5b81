/** All sending tracks of the worker: their publications, keys and counts. */
import { bigEndian } from './bytes';
import type { FrameFormat } from './frames/index';
import { Publication } from './kid';
import type { KidsByTrack, Notice, SentCounts } from './protocol';
import type { KeyOwner, SessionKeys } from './secret';
import { TrackEncryptor } from './sender';

/** The part of RTCRtpScriptTransformer that is asked for key frames. */
export interface KeyFrameSource {
  generateKeyFrame?(rid?: string): Promise<unknown>;
  sendKeyFrameRequest?(): Promise<unknown>;
}

interface SendTrack {
  readonly encryptor: TrackEncryptor;
  source: KeyFrameSource | undefined;
  codec: string | undefined;
  publication: string | undefined;
  isAttached: boolean;
  isRunningReported: boolean;
  isEncryptedReported: boolean;
  isExhaustionReported: boolean;
  /** Frames that came, whatever became of them. */
  seen: number;
  /** Of the encrypted frames that were given out. */
  bytes: number;
  /** Frames of codecs that have no format. */
  unsupported: number;
}

export class SendingTracks {
  private tracks = new Map<string, SendTrack>();
  private publications = new Map<string, Publication>();

  constructor(private readonly notify: (notice: Notice) => void) {}

  attach(name: string, source: KeyFrameSource | undefined): void {
    const track = this.track(name);
    Object.assign(track, { isAttached: true, source });
    this.reportRunning(name, track);
  }

  codecOf(name: string): string | undefined {
    return this.tracks.get(name)?.codec;
  }

  setCodec(name: string, codec: string | undefined): boolean {
    const track = this.tracks.get(name);
    if (track) track.codec = codec;
    return track !== undefined;
  }

  /** One name of a publication stands for one stream: it is given out once. */
  prepare(name: string, publicationName: string, keys: SessionKeys): Uint8Array {
    let publication = this.publications.get(publicationName);
    if (!publication) {
      publication = new Publication();
      this.publications.set(publicationName, publication);
    }
    const track = this.track(name);
    track.publication = publicationName;
    return bytesOf(track.encryptor.begin(publication, keys));
  }

  prepareNext(name: string, keys: SessionKeys): Uint8Array {
    return bytesOf(this.track(name).encryptor.prepare(keys));
  }

  async start(
    name: string,
    owner: KeyOwner,
    keys: SessionKeys,
    codec: string | undefined,
  ): Promise<Uint8Array> {
    const track = this.track(name);
    Object.assign(track, { codec, isRunningReported: false, isEncryptedReported: false });
    track.encryptor.bind(owner);
    const kid = await track.encryptor.use(keys);
    if (kid === undefined) throw new Error('the track was released');
    track.isExhaustionReported = false;
    this.reportRunning(name, track);
    return bytesOf(kid);
  }

  /** Those under other keys; each by itself: what fails on one of them delays no other. */
  async switchAll(keys: SessionKeys, isRevoking: boolean): Promise<KidsByTrack> {
    const switched = await Promise.all(
      [...this.tracks]
        .filter(([, { encryptor }]) => encryptor.keys !== keys)
        .map(async ([name]) => [name, await this.use(name, keys, isRevoking)]),
    );
    return Object.fromEntries(switched.filter(([, kid]) => kid !== undefined)) as KidsByTrack;
  }

  /** The next context; without one left the track sends nothing any more. */
  async use(name: string, keys: SessionKeys, isRevoking = false): Promise<Uint8Array | undefined> {
    const track = this.track(name);
    try {
      const kid = await track.encryptor.use(keys, isRevoking);
      if (kid === undefined) return undefined;
      track.isExhaustionReported = false;
      return bytesOf(kid);
    } catch {
      this.release(name);
      this.notify({ type: 'internal', track: name, role: 'send' });
      return undefined;
    }
  }

  release(name: string): void {
    const track = this.tracks.get(name);
    if (!track) return;
    const { publication } = track;
    track.publication = undefined;
    track.encryptor.release();
    const isShared = [...this.tracks.values()].some((other) => other.publication === publication);
    if (publication !== undefined && !isShared) this.publications.delete(publication);
  }

  clear(): void {
    for (const { encryptor } of this.tracks.values()) encryptor.release();
    this.tracks = new Map();
    this.publications = new Map();
  }

  counters(): Record<string, SentCounts> {
    return Object.fromEntries(
      [...this.tracks].map(([name, { seen, bytes, encryptor, unsupported }]) => [
        name,
        { seen, bytes, encrypted: encryptor.encrypted, dropped: encryptor.dropped + unsupported },
      ]),
    );
  }

  async generateKeyFrames(name: string, rids: readonly string[]): Promise<void> {
    const source = this.tracks.get(name)?.source;
    if (!source?.generateKeyFrame) return;
    const wanted = rids.length > 0 ? rids : [undefined];
    // A layer that is switched off has no key frame to give.
    await Promise.allSettled(wanted.map(async (rid) => source.generateKeyFrame?.(rid)));
  }

  onArrival(name: string): void {
    this.track(name).seen += 1;
  }

  onUnsupported(name: string): void {
    this.track(name).unsupported += 1;
  }

  /** `undefined`: the frame does not leave. */
  async encrypt(
    name: string,
    format: FrameFormat,
    frame: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const track = this.track(name);
    const result = await track.encryptor.encrypt(format, frame);
    if (typeof result !== 'string') {
      track.bytes += result.length;
      if (!track.isEncryptedReported) {
        track.isEncryptedReported = true;
        this.notify({ type: 'encrypted', track: name });
      }
      return result;
    }
    if (result === 'exhausted' && !track.isExhaustionReported) {
      track.isExhaustionReported = true;
      this.notify({ type: 'exhausted', track: name });
    }
    return undefined;
  }

  private reportRunning(name: string, track: SendTrack): void {
    if (!track.isAttached || !track.encryptor.isReady || track.isRunningReported) return;
    track.isRunningReported = true;
    this.notify({ type: 'running', track: name });
  }

  private track(name: string): SendTrack {
    let track = this.tracks.get(name);
    if (!track) {
      track = {
        encryptor: new TrackEncryptor(),
        source: undefined,
        codec: undefined,
        publication: undefined,
        isAttached: false,
        isRunningReported: false,
        isEncryptedReported: false,
        isExhaustionReported: false,
        seen: 0,
        bytes: 0,
        unsupported: 0,
      };
      this.tracks.set(name, track);
    }
    return track;
  }
}

function bytesOf(kid: bigint): Uint8Array {
  return bigEndian(kid, 8);
}

/** All received tracks of the worker: which subscription uses each, and what became of its frames. */
import type { Bytes } from './bytes';
import type { FrameFormat } from './frames/index';
import { TrackHealth } from './health';
import type { Kind, Notice, ReceivedCounts, StreamOwner } from './protocol';
import type { Decryptor, ReceiveHistory } from './receiver';
import type { KeyFrameSource } from './sending-tracks';

interface ReceiveTrack {
  decryptor: Decryptor | undefined;
  health: TrackHealth;
  source: KeyFrameSource | undefined;
  codec: string | undefined;
  isAttached: boolean;
  bytes: number;
  given: number;
}

export class ReceivingTracks {
  private tracks = new Map<string, ReceiveTrack>();

  constructor(
    private readonly history: ReceiveHistory,
    private readonly notify: (notice: Notice) => void,
  ) {}

  attach(name: string, source: KeyFrameSource | undefined): void {
    Object.assign(this.track(name), { source, isAttached: true });
  }

  codecOf(name: string): string | undefined {
    return this.tracks.get(name)?.codec;
  }

  setCodec(name: string, codec: string | undefined): void {
    this.track(name).codec = codec;
  }

  /** Another subscription uses the track: it begins behind all that was decrypted of its stream. */
  bind(name: string, owner: StreamOwner, kind: Kind): void {
    const track = this.track(name);
    track.decryptor = this.history.subscribe(owner, kind);
    track.health = new TrackHealth();
    track.codec = undefined;
  }

  release(name: string): void {
    this.track(name).decryptor = undefined;
  }

  recheck(name: string): void {
    this.tracks.get(name)?.health.recheck();
  }

  recheckAll(): void {
    for (const { health } of this.tracks.values()) health.recheck();
  }

  clear(): void {
    this.tracks = new Map();
  }

  counters(): Record<string, ReceivedCounts> {
    return Object.fromEntries(
      [...this.tracks].map(([name, { isAttached, bytes, given, health }]) => [
        name,
        { isAttached, bytes, given, decrypted: health.decrypted, failed: health.failed },
      ]),
    );
  }

  onArrival(name: string, bytes: number): void {
    this.track(name).bytes += bytes;
  }

  onGiven(name: string): void {
    this.track(name).given += 1;
  }

  /** A track without a subscription has no key for its frames. */
  isBound(name: string, kind: Kind): boolean {
    return this.track(name).decryptor?.kind === kind;
  }

  /** `undefined`: the frame is not played. */
  async decrypt(
    name: string,
    format: FrameFormat,
    frame: Bytes,
    times: { now: number; secretChangedAt: number },
  ): Promise<Bytes | undefined> {
    const track = this.track(name);
    const { decryptor, health } = track;
    if (!decryptor) return undefined;
    const result = await decryptor.decrypt(format, frame, times.now);
    // It was bound to another subscription meanwhile: the frame is not that one's.
    if (track.decryptor !== decryptor) return undefined;
    const change =
      'refused' in result
        ? health.onRefused(result.refused, times.now, times.secretChangedAt)
        : health.onDecrypted();
    if (change) this.report(name, track, change);
    if (change === 'ok' && decryptor.kind === 'video') {
      track.source?.sendKeyFrameRequest?.().catch(() => undefined);
    }
    return 'refused' in result ? undefined : result.frame;
  }

  private report(
    name: string,
    { health: { decrypted, failed } }: ReceiveTrack,
    change: 'decrypted' | 'failing' | 'ok',
  ): void {
    this.notify({ type: 'health', track: name, change, decrypted, failed });
  }

  private track(name: string): ReceiveTrack {
    let track = this.tracks.get(name);
    if (!track) {
      track = {
        decryptor: undefined,
        health: new TrackHealth(),
        source: undefined,
        codec: undefined,
        isAttached: false,
        bytes: 0,
        given: 0,
      };
      this.tracks.set(name, track);
    }
    return track;
  }
}

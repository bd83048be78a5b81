/** What takes the place of a microphone or camera that was unplugged, and when that ends. */
import { exceptions } from '../exceptions';
import { JobQueue } from '../rtc/queue';
import { onDeviceChange } from './device-changes';
import { mediaDevices } from './devices';

export type Kind = 'audio' | 'video';

/** As the browser names a device: the one called `default` is another one at other times. */
export interface Place {
  readonly deviceId: string;
  readonly groupId: string;
}

const INPUT = { audio: 'audioinput', video: 'videoinput' } as const;

function isSame(one: Place, other: Place): boolean {
  const isGrouped = one.groupId !== '' && other.groupId !== '';
  return one.deviceId === other.deviceId && (!isGrouped || one.groupId === other.groupId);
}

/**
 * Pure. The devices to try, best first: the wanted one, and the others only where nothing is
 * captured. A page that may not use devices now does not get their ids, and so has none to try.
 */
export function substitutes(devices: readonly Place[], wanted: Place, isLive: boolean): Place[] {
  const usable = devices.filter(({ deviceId }) => deviceId !== '');
  const [back, others] = [true, false].map((is) =>
    usable.filter((device) => isSame(device, wanted) === is),
  ) as [Place[], Place[]];
  return isLive ? back : [...back, ...others];
}

/** Where a track comes from. */
export function placeOf(track: MediaStreamTrack): Place {
  const { deviceId = '', groupId = '' } = track.getSettings();
  return { deviceId, groupId };
}

/** Who captures. */
export interface Capturing {
  /** What is captured now. */
  track(kind: Kind): MediaStreamTrack | undefined;
  /** Captures and sends the device in the place of what was there. */
  use(kind: Kind, deviceId: string): Promise<void>;
}

/** Of one publisher: a device that is lost is replaced, and taken back when it returns. */
export class Substitutes {
  /** The devices that somebody chose; what the application captured itself is not among them. */
  private readonly wanted: Partial<Record<Kind, Place>> = {};
  private readonly inUse: Partial<Record<Kind, Place>> = {};
  /** Those that ended are not tried before something is plugged in or out. */
  private readonly ended: Record<Kind, Place[]> = { audio: [], video: [] };
  private readonly away = new Set<Kind>();
  private readonly held = new Set<Kind>();
  private readonly jobs = new JobQueue();
  private stopListening: (() => void) | undefined;

  constructor(private readonly capturing: Capturing) {}

  /** The device of the track is the one to come back to; `undefined`: there is none. */
  choose(kind: Kind, track: MediaStreamTrack | undefined): void {
    this.away.delete(kind);
    this.held.delete(kind);
    this.ended[kind] = [];
    if (track) {
      this.inUse[kind] = this.wanted[kind] = placeOf(track);
    } else delete this.wanted[kind];
    this.listen();
  }

  /** The application has another one under way: nothing else takes its place meanwhile. */
  hold(kind: Kind): void {
    this.held.add(kind);
  }

  /** It came to nothing. */
  release(kind: Kind): void {
    this.held.delete(kind);
    if (this.away.has(kind)) this.look(kind);
  }

  /** What is captured ended by itself. */
  lost(kind: Kind): void {
    const { [kind]: place } = this.inUse;
    if (!this.wanted[kind] || !place) return;
    this.ended[kind].push(place);
    this.away.add(kind);
    this.listen();
    this.look(kind);
  }

  stop(): void {
    this.away.clear();
    this.listen();
  }

  /** Only while something is away: what is plugged in besides changes nothing. */
  private listen(): void {
    if (this.away.size > 0) {
      this.stopListening ??= onDeviceChange(() => this.lookAgain());
    } else {
      this.stopListening?.();
      this.stopListening = undefined;
    }
  }

  private lookAgain(): void {
    for (const kind of this.away) {
      this.ended[kind] = [];
      this.look(kind);
    }
  }

  private look(kind: Kind): void {
    this.jobs.run(() => this.replace(kind)).catch((error: unknown) => exceptions.report(error));
  }

  private async replace(kind: Kind): Promise<void> {
    const found = await mediaDevices().enumerateDevices();
    const failed: Place[] = [];
    for (;;) {
      const wanted = this.wanted[kind];
      if (!wanted || !this.away.has(kind) || this.held.has(kind)) return;
      const isLive = this.capturing.track(kind)?.readyState === 'live';
      const vain = [...this.ended[kind], ...failed];
      const devices = found.filter((device) => device.kind === INPUT[kind]);
      const next = substitutes(devices, wanted, isLive).find(
        (device) => !vain.some((other) => isSame(device, other)),
      );
      if (!next) return;
      failed.push(next);
      if (await this.take(kind, next, wanted)) return;
    }
  }

  /** Whether there is no more to try. */
  private async take(kind: Kind, device: Place, wanted: Place): Promise<boolean> {
    try {
      await this.capturing.use(kind, device.deviceId);
    } catch (error) {
      // A user who says no is not asked for one device after the other.
      return error instanceof Error && error.name === 'OT_USER_MEDIA_ACCESS_DENIED';
    }
    if (this.wanted[kind] !== wanted) return true;
    this.inUse[kind] = device;
    if (isSame(device, wanted)) {
      this.away.delete(kind);
      this.listen();
    }
    return true;
  }
}

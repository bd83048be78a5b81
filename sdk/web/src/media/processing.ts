/** Tracks on their way through what an application, or a filter, does to them: before encryption. */
import { asOTError, otError } from '../errors';
import { JobQueue } from '../rtc/queue';

/** Takes tracks and gives others: the contract of OpenTok.js for processors of an application. */
export interface MediaProcessorConnector {
  /** The track to process from now on; the result is what is sent, or shown. */
  setTrack(track: MediaStreamTrack): Promise<MediaStreamTrack>;
  /** The end: what was set is not needed any more. */
  destroy(): Promise<void>;
}

/** Throws `OT_INVALID_PARAMETER` for what is neither a connector nor `null`. */
export function requireConnector(given: MediaProcessorConnector | null): void {
  const connector = given as Partial<MediaProcessorConnector> | null | undefined;
  if (connector === null || typeof connector?.setTrack === 'function') return;
  throw otError('OT_INVALID_PARAMETER', 'A connector has the methods setTrack and destroy');
}

/** Whether this browser hands frames and samples of tracks to scripts (insertable streams). */
export function canProcess(): boolean {
  return 'MediaStreamTrackProcessor' in globalThis && 'MediaStreamTrackGenerator' in globalThis;
}

/** The connector of one kind of track, used by one caller at a time. */
export class TrackProcessing {
  private connector: MediaProcessorConnector | null = null;
  private readonly queue = new JobQueue();

  get isActive(): boolean {
    return this.connector !== null;
  }

  /**
   * What to send or show instead of `track`. A processor that fails lets nothing pass: a
   * background that has to be blurred must not be seen. Rejects with `OT_INVALID_PARAMETER`.
   */
  through(track: MediaStreamTrack): Promise<MediaStreamTrack> {
    return this.queue.run(() => passed(this.connector, track));
  }

  /** Puts another connector in the place of the last; `track`: what runs through it at once. */
  set(
    connector: MediaProcessorConnector | null,
    track: MediaStreamTrack | undefined,
  ): Promise<MediaStreamTrack | undefined> {
    return this.queue.run(async () => {
      const output = track && (await passed(connector, track));
      const before = this.connector;
      this.connector = connector;
      if (before !== connector) await before?.destroy().catch(() => undefined);
      return output;
    });
  }
}

async function passed(
  connector: MediaProcessorConnector | null,
  track: MediaStreamTrack,
): Promise<MediaStreamTrack> {
  if (!connector) return track;
  try {
    const output = await connector.setTrack(track);
    if (output instanceof MediaStreamTrack && output.kind === track.kind) return output;
  } catch (error) {
    throw asOTError(error, 'OT_INVALID_PARAMETER');
  }
  throw otError('OT_INVALID_PARAMETER', `The connector gave no ${track.kind} track`);
}

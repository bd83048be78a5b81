/** What this client publishes: owner of its streams, from the call to their end. */
import type { Clock } from './clock';
import type { Directory } from './directory';
import { type OTError, otError } from './errors';
import { exceptions } from './exceptions';
import { lostTooOften, retryDelayMs } from './losses';
import type { Publisher } from './publisher';
import type { PublisherBinding } from './publisher-surface';
import type { RemoteSender } from './rtc/track-stats';
import type { PublishedMedia, Uplink } from './rtc/uplink';
import type { Stream } from './stream';
import { Waiting } from './waiting';

interface Entry {
  readonly publisher: Publisher;
  readonly waiting: Waiting<Stream>;
  /** Once the server took it; what comes later is of another attempt. */
  media: PublishedMedia | undefined;
  failures: number;
  cancelRecovery: () => void;
}

/** Without another word of dropped frames for this long, none are dropped any more. */
const RECOVERED_MS = 3_000;

interface PublicationsEnvironment {
  readonly clock: Clock;
  readonly directory: Directory;
  readonly isEncrypted: boolean;
  /** Whether this client negotiates what it sends. */
  readonly isAtWork: () => boolean;
  /** Where own streams go. */
  readonly sending: Pick<Uplink, 'publish' | 'unpublish' | 'forget'>;
  update(stream: Stream, change: Parameters<PublisherBinding['update']>[0]): void;
  /** For `publishSenderStats`. */
  sendStats(streamId: string, sender: RemoteSender): void;
}

export class Publications {
  /** By stream id: those that the server took. */
  readonly byId = new Map<string, Publisher>();
  /** Also those that the server does not know yet. */
  private readonly entries = new Map<Publisher, Entry>();
  /** Counts lost transports: what was under way over one fails, and is no fault. */
  private generation = 0;
  /** When the next uplink may be made; `undefined`: it has been lost too often. */
  private notBeforeMs: number | undefined = 0;

  constructor(private readonly environment: PublicationsEnvironment) {}

  /** Resolves with the stream once its media can flow. */
  add(publisher: Publisher): Promise<Stream> {
    if (this.entries.has(publisher)) {
      const error = otError('OT_INVALID_PARAMETER', 'The publisher is published already');
      return Promise.reject(error);
    }
    const waiting = new Waiting<Stream>();
    const entry: Entry = {
      ...{ publisher, waiting, media: undefined, failures: 0 },
      cancelRecovery: () => undefined,
    };
    this.entries.set(publisher, entry);
    void this.attempt(entry);
    return waiting.result;
  }

  /**
   * Also while it is on its way: it does not become live then. Its camera goes off as that of a
   * live one does, unless the same turn publishes it again.
   */
  unpublish(publisher: Publisher, reason: string): void {
    const entry = this.entries.get(publisher);
    if (!entry) return;
    this.remove(entry, otError('OT_STREAM_CREATE_FAILED', 'The publisher was unpublished'));
    if (publisher.unbind(reason)) return;
    queueMicrotask(() => {
      if (!this.entries.has(publisher)) publisher.destroy();
    });
  }

  /** The server says that an own stream can flow. */
  onLive(stream: Stream): void {
    const publisher = this.byId.get(stream.streamId);
    const entry = publisher && this.entries.get(publisher);
    if (entry) this.begin(entry, stream);
  }

  /** The server drops frames of an own stream, and says so every second while it does. */
  onNotEncrypted(streamId: string): void {
    const publisher = this.byId.get(streamId);
    const entry = publisher && this.entries.get(publisher);
    if (!entry) return;
    entry.cancelRecovery();
    publisher.onNotEncrypted(true);
    entry.cancelRecovery = this.environment.clock.after(RECOVERED_MS, () =>
      publisher.onNotEncrypted(false),
    );
  }

  /** False: no stream of this client. */
  onStreamGone(streamId: string, reason: string): boolean {
    const publisher = this.byId.get(streamId);
    const entry = publisher && this.entries.get(publisher);
    if (!entry) return false;
    this.entries.delete(publisher);
    this.forget(streamId);
    const { sending } = this.environment;
    sending.forget(streamId).catch((error: unknown) => exceptions.report(error));
    entry.waiting.reject(otError('OT_STREAM_CREATE_FAILED', 'The server ended the stream'));
    publisher.unbind(reason);
    return true;
  }

  /**
   * What went over the uplink is gone on the server: it is published again over the next one,
   * after `delayMs`; `undefined`: no more, it ends.
   */
  onTransportLost(delayMs: number | undefined): void {
    this.generation += 1;
    this.notBeforeMs = delayMs === undefined ? undefined : this.environment.clock.now() + delayMs;
    for (const entry of [...this.entries.values()]) {
      if (!entry.media) continue;
      this.forget(entry.media.streamId);
      entry.media = undefined;
      entry.publisher.unbind('networkDisconnected', delayMs !== undefined);
      this.again(entry);
    }
  }

  close(error: OTError): void {
    const entries = [...this.entries.values()];
    this.entries.clear();
    for (const { waiting } of entries) waiting.reject(error);
  }

  private async attempt(entry: Entry): Promise<void> {
    const { publisher } = entry;
    const { generation } = this;
    try {
      await publisher.ready;
      if (!this.isWanted(entry)) return;
      const { sending, isEncrypted } = this.environment;
      entry.waiting.limit(this.environment, 'The stream did not become live', (error) =>
        this.remove(entry, error),
      );
      const sources = publisher.sources(isEncrypted);
      const media = await sending.publish(sources, publisher.streamProperties());
      if (generation !== this.generation || !this.isWanted(entry)) {
        sending.unpublish(media.streamId).catch(() => undefined);
        this.again(entry);
        return;
      }
      entry.media = media;
      this.byId.set(media.streamId, publisher);
      const stream = this.environment.directory.stream(media.streamId);
      if (stream) this.begin(entry, stream);
    } catch (error) {
      if (generation === this.generation) this.onFailure(entry, error);
      else this.again(entry);
    }
  }

  /** What lost its uplink, as soon as another may be made. */
  private again(entry: Entry): void {
    if (!this.isWanted(entry)) return;
    if (this.notBeforeMs === undefined) {
      this.giveUp(entry);
      return;
    }
    const { clock } = this.environment;
    const delayMs = this.notBeforeMs - clock.now();
    if (delayMs <= 0) void this.attempt(entry);
    else
      clock.after(delayMs, () => {
        if (this.isWanted(entry)) void this.attempt(entry);
      });
  }

  private begin(entry: Entry, stream: Stream): void {
    const { publisher, media } = entry;
    if (!media) return;
    if (publisher.isGone) {
      this.remove(entry, otError('OT_STREAM_CREATE_FAILED', 'The publisher was destroyed'));
      return;
    }
    entry.failures = 0;
    publisher.bind({
      stream,
      media,
      isEncrypted: this.environment.isEncrypted,
      update: (change) => this.environment.update(stream, change),
      unpublish: (reason) => this.unpublish(publisher, reason),
      sendStats: (sender) => this.environment.sendStats(stream.streamId, sender),
    });
    entry.waiting.resolve(stream);
  }

  /** What was never live fails for its application; what was live is tried again. */
  private onFailure(entry: Entry, error: unknown): void {
    if (!this.isWanted(entry)) return;
    if (entry.waiting.isOpen || entry.publisher.isGone) {
      this.entries.delete(entry.publisher);
      entry.waiting.reject(error);
      return;
    }
    exceptions.report(error);
    const delayMs = retryDelayMs(entry.failures);
    if (delayMs === undefined) {
      this.giveUp(entry);
      return;
    }
    entry.failures += 1;
    this.environment.clock.after(delayMs, () => {
      if (this.isWanted(entry)) void this.attempt(entry);
    });
  }

  private giveUp(entry: Entry): void {
    const error = lostTooOften();
    exceptions.report(error);
    this.remove(entry, error);
  }

  private remove(entry: Entry, error: OTError): void {
    if (!this.isWanted(entry)) return;
    this.entries.delete(entry.publisher);
    const { media } = entry;
    if (media) {
      this.forget(media.streamId);
      this.environment.sending.unpublish(media.streamId).catch(() => undefined);
    }
    entry.waiting.reject(error);
  }

  private forget(streamId: string): void {
    this.byId.delete(streamId);
    this.environment.directory.removeStream(streamId);
  }

  private isWanted(entry: Entry): boolean {
    return this.entries.get(entry.publisher) === entry;
  }
}

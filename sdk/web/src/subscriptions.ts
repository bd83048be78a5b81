/** What this client subscribes to: owner of its Subscribers, from the call to their end. */
import type { Clock } from './clock';
import { type OTError, otError } from './errors';
import { exceptions } from './exceptions';
import { LossBackoff, lostTooOften, retryDelayMs } from './losses';
import type { Reply, RequestMessage } from './signaling/channel';
import type { Stream } from './stream';
import type { Subscriber, SubscriberBinding } from './subscriber';
import { Waiting } from './waiting';

interface Entry {
  readonly subscriber: Subscriber;
  readonly waiting: Waiting<undefined>;
  /** What the server calls it, once the server knows of it. */
  id: string | undefined;
  failures: number;
  /** Relayed sessions: of the peer that sends to it. */
  readonly losses: LossBackoff;
}

interface SubscriptionsEnvironment {
  readonly clock: Clock;
  readonly isEncrypted: boolean;
  /** Whether this client negotiates what it receives. */
  readonly isAtWork: () => boolean;
  send(message: RequestMessage): Promise<Reply>;
  /** Of a relayed session: the link of a Subscriber is not wanted any more. */
  dropLink(subscriberId: string): void;
  binding(subscriberId: string): Pick<SubscriberBinding, 'report' | 'recheck'>;
}

export class Subscriptions {
  /** By the server's names for them. */
  readonly byId = new Map<string, Subscriber>();
  /** Also those that the server does not know yet. */
  private readonly entries = new Map<Subscriber, Entry>();
  /** Every name that the server ever gave in this stay: none comes to mean another Subscriber. */
  private readonly usedIds = new Set<string>();

  constructor(private readonly environment: SubscriptionsEnvironment) {}

  all(): Subscriber[] {
    return [...this.entries.keys()];
  }

  /** Resolves when the tracks are connected. */
  add(subscriber: Subscriber): Promise<undefined> {
    const waiting = new Waiting<undefined>();
    const losses = new LossBackoff();
    const entry: Entry = { subscriber, waiting, id: undefined, failures: 0, losses };
    this.entries.set(subscriber, entry);
    waiting.limit(this.environment, 'No media connection came about', (error) =>
      this.remove(entry, error),
    );
    void this.attempt(entry);
    return waiting.result;
  }

  unsubscribe(subscriber: Subscriber): void {
    const entry = this.entries.get(subscriber);
    if (entry) this.remove(entry, otError('OT_STREAM_DESTROYED', 'The subscription ended'));
  }

  onConnected(subscriberId: string): void {
    const subscriber = this.byId.get(subscriberId);
    const entry = subscriber && this.entries.get(subscriber);
    if (!entry) return;
    entry.failures = 0;
    entry.waiting.resolve(undefined);
    subscriber.onConnected();
  }

  /** The server ended the subscriptions with the stream. */
  onStreamGone(stream: Stream, keepsElements: boolean): void {
    for (const entry of [...this.entries.values()]) {
      if (entry.subscriber.stream !== stream) continue;
      this.forget(entry);
      this.entries.delete(entry.subscriber);
      entry.waiting.reject(otError('OT_STREAM_DESTROYED', 'The stream ended'));
      entry.subscriber.end('streamDestroyed', keepsElements);
    }
  }

  /**
   * The server forgot what went over the downlink: it is subscribed to once more, after `delayMs`;
   * `undefined`: no more, it ends.
   */
  onTransportLost(delayMs: number | undefined): void {
    for (const entry of [...this.entries.values()]) {
      // A Subscriber that the server does not know yet uses the next transport without this.
      if (entry.id === undefined) continue;
      if (delayMs === undefined) this.giveUp(entry, lostTooOften());
      else this.repeat(entry, delayMs);
    }
  }

  /** Relayed sessions: the peer that sent to this subscriber is lost. */
  onPeerLost(subscriberId: string): void {
    const subscriber = this.byId.get(subscriberId);
    const entry = subscriber && this.entries.get(subscriber);
    if (!entry) return;
    this.sendUnsubscribe(subscriberId);
    const delayMs = entry.losses.onLoss(this.environment.clock.now());
    if (delayMs === undefined) this.giveUp(entry, lostTooOften());
    else this.repeat(entry, delayMs);
  }

  close(error: OTError): void {
    const entries = [...this.entries.values()];
    this.entries.clear();
    for (const { waiting } of entries) waiting.reject(error);
  }

  private repeat(entry: Entry, delayMs: number): void {
    this.forget(entry);
    entry.subscriber.onDisconnected();
    if (delayMs <= 0) void this.attempt(entry);
    else
      this.environment.clock.after(delayMs, () => {
        if (this.isWanted(entry)) void this.attempt(entry);
      });
  }

  private giveUp(entry: Entry, error: OTError): void {
    this.forget(entry);
    this.entries.delete(entry.subscriber);
    entry.waiting.reject(error);
    entry.subscriber.end('networkDisconnected', false);
    exceptions.report(error);
  }

  private async attempt(entry: Entry): Promise<void> {
    const { subscriber } = entry;
    try {
      const preferences = subscriber.preferences(this.environment.isEncrypted);
      const { streamId } = subscriber.stream;
      const reply = await this.environment.send({ t: 'subscribe', streamId, ...preferences });
      if (reply.t !== 'subscribed') {
        throw otError('OT_UNEXPECTED_SERVER_RESPONSE', 'Not subscribed');
      }
      const { subscriberId } = reply;
      if (this.usedIds.has(subscriberId)) {
        throw otError(
          'OT_UNEXPECTED_SERVER_RESPONSE',
          'The server gave a subscriber an id that it had given before',
        );
      }
      this.usedIds.add(subscriberId);
      if (!this.isWanted(entry)) {
        this.sendUnsubscribe(subscriberId);
        return;
      }
      entry.id = subscriberId;
      this.byId.set(subscriberId, subscriber);
      subscriber.bind(
        this.bindingOf(entry, subscriberId),
        preferences,
        this.environment.isEncrypted,
      );
    } catch (error) {
      this.onFailure(entry, error);
    }
  }

  /** What was never connected fails for its application; what was connected is tried again. */
  private onFailure(entry: Entry, error: unknown): void {
    if (!this.isWanted(entry)) return;
    if (entry.waiting.isOpen) {
      this.entries.delete(entry.subscriber);
      entry.waiting.reject(error);
      return;
    }
    const delayMs = retryDelayMs(entry.failures);
    if (delayMs === undefined) {
      this.giveUp(entry, lostTooOften());
      return;
    }
    exceptions.report(error);
    entry.failures += 1;
    this.environment.clock.after(delayMs, () => {
      if (this.isWanted(entry)) void this.attempt(entry);
    });
  }

  private bindingOf(entry: Entry, subscriberId: string): SubscriberBinding {
    return {
      ...this.environment.binding(subscriberId),
      update: async (preferences) => {
        await this.environment.send({ t: 'updateSubscriber', subscriberId, ...preferences });
      },
      unsubscribe: () => this.unsubscribe(entry.subscriber),
    };
  }

  private remove(entry: Entry, error: OTError): void {
    if (!this.isWanted(entry)) return;
    this.entries.delete(entry.subscriber);
    const { id } = entry;
    this.forget(entry);
    if (id !== undefined) this.sendUnsubscribe(id);
    entry.waiting.reject(error);
  }

  private forget(entry: Entry): void {
    if (entry.id === undefined) return;
    this.byId.delete(entry.id);
    this.environment.dropLink(entry.id);
    entry.id = undefined;
  }

  /** The server may have ended it by itself: that is as good. */
  private sendUnsubscribe(subscriberId: string): void {
    this.environment.send({ t: 'unsubscribe', subscriberId }).catch(() => undefined);
  }

  private isWanted(entry: Entry): boolean {
    return this.entries.get(entry.subscriber) === entry;
  }
}

/** One stay in an encrypted session: the page's half of e2ee/2, sections 8 to 10. */
import { afterRunning, type Clock } from '../clock';
import { type OTError, otError } from '../errors';
import { E2EE_FORMAT } from '../rules';
import type { E2eeClient } from './client';
import { KidDeclarations, type Send } from './kid-declarations';
import type { Kind, KidsByTrack, Notice, DecryptedSignal, Requests, StreamOwner } from './protocol';
import { SecretChanges } from './secret-changes';
import { SwitchSchedule } from './switch-schedule';

const RUNNING_TIMEOUT_MS = 10_000;

interface SenderBinding {
  readonly streamId: string;
  readonly mid: string;
  /** What the browser itself negotiated, for browsers whose frames do not name their codec. */
  readonly codec: string | undefined;
  readonly sender: RTCRtpSender;
}

interface Sender {
  /** Declared when the stream was published. */
  readonly kid: Uint8Array;
  /** What its frames are encrypted under, once the stream has its key. */
  current: Uint8Array | undefined;
  binding: SenderBinding | undefined;
}

interface KeyFrameSender {
  setParameters(parameters: RTCRtpSendParameters, options?: object): Promise<void>;
}

/** Where this client is in the session, once it is there. */
interface Place {
  readonly connectionId: string;
  readonly send: Send;
  readonly declarations: KidDeclarations;
}

export class SessionEncryption {
  readonly format = E2EE_FORMAT;
  private readonly schedule = new SwitchSchedule();
  private readonly senders = new Map<string, Sender>();
  private readonly changes = new SecretChanges((secret, isImmediate) =>
    this.changeSecret(secret, isImmediate),
  );
  /** Hints of the secrets set here, the newest last. */
  private readonly ownHints: number[] = [];
  private readonly stopListening: (() => void)[] = [];
  private place: Place | undefined;
  private isClosed = false;
  private cancelSwitch: () => void = () => undefined;

  constructor(
    private readonly sessionId: string,
    private readonly client: E2eeClient,
    private readonly clock: Clock,
    private readonly onError: (error: unknown) => void,
  ) {
    this.onNotice((notice) => {
      if (notice.type === 'exhausted') this.renewContext(notice.track).catch(onError);
    });
  }

  get hasSecret(): boolean {
    return this.ownHints.length > 0;
  }

  onNotice(listener: (notice: Notice) => void): () => void {
    const stop = this.client.onNotice(listener);
    this.stopListening.push(stop);
    return stop;
  }

  /** Called once, when the worker cannot go on: the session ends. */
  onFailure(listener: (error: OTError) => void): void {
    this.stopListening.push(this.client.onFailure(listener));
  }

  /** The worker does not answer any more. */
  giveUpWorker(): void {
    this.client.fail();
  }

  /** The session was entered under this id: says which secret can be decrypted here. */
  enter(connectionId: string, send: Send): void {
    this.place = {
      connectionId,
      send,
      declarations: new KidDeclarations(this.clock, send, this.onError),
    };
    this.announce();
  }

  /** Earlier announcements may be lost: they are sent again. */
  onResumed(): void {
    this.announce();
    this.place?.declarations.declareAll();
  }

  /**
   * Resolves when frames under the secret can be decrypted. Senders move over when all others
   * announced the same secret, and at the latest after five seconds; with `immediate` they have
   * done so when this resolves. Nothing of it waits for the server. Calls that wait for an earlier
   * one take effect together, under the newest secret of these.
   */
  setSecret(secret: string, immediate = false): Promise<void> {
    return this.changes.ask(secret, immediate);
  }

  private async changeSecret(secret: string, immediate: boolean): Promise<void> {
    // A secret of one stay is not the worker's in the next one.
    if (this.isClosed) return;
    const { sessionId } = this;
    const reply = await this.client.request('setSecret', { secret, sessionId, immediate });
    if (reply.isNew) this.ownHints.push(reply.hint);
    const { hint, isInUse } = reply;
    this.schedule.set(hint, this.clock.now(), { immediate, isInUse });
    if (reply.isNew) this.announce();
    if (immediate) {
      // The worker has switched already.
      this.schedule.isDue(this.clock.now());
      this.cancelSwitch();
      this.onSwitched(reply.kids, true);
    } else if (reply.isNew) {
      this.beginSwitch();
    }
  }

  /** True when frames of that connection may decrypt from now on. */
  onAnnounced(connectionId: string, hint: number): boolean {
    this.schedule.onAnnounced(connectionId, hint);
    this.switchIfDue();
    return this.ownHints.includes(hint);
  }

  onConnectionLeft(connectionId: string): void {
    this.schedule.onLeft(connectionId);
    this.switchIfDue();
  }

  attachSender(sender: RTCRtpSender, track: string, kind: Kind): void {
    this.client.attach(sender, { role: 'send', track, kind });
  }

  attachReceiver(receiver: RTCRtpReceiver, track: string, kind: Kind): void {
    this.client.attach(receiver, { role: 'receive', track, kind });
  }

  /**
   * The KID to declare before the stream exists; frames are dropped until it has a key.
   * `publication`: another name for each stream, one for its audio and video.
   */
  async prepareSender(track: string, publication: string): Promise<Uint8Array> {
    const { kid } = await this.client.request('prepare', { track, publication });
    this.senders.set(track, { kid, current: undefined, binding: undefined });
    return kid;
  }

  /** Resolves when the worker's transform runs and has a key, of the secret in use by then. */
  async startSender(track: string, binding: SenderBinding): Promise<void> {
    const { place } = this;
    const sender = this.senders.get(track);
    if (!sender || !place) {
      throw otError('OT_ENCRYPTION_INTERNAL_ERROR', 'The track was not prepared');
    }
    const { streamId, mid, codec } = binding;
    const owner: StreamOwner = { connectionId: place.connectionId, streamId };
    const running = this.untilRunning(track);
    // It may fail while the worker is still being asked: then it is awaited too late to be seen.
    running.catch(() => undefined);
    const { kid } = await this.client.request('startSender', { track, codec, ...owner });
    sender.current = kid;
    await running;
    if (this.senders.get(track) !== sender) return;
    sender.binding = binding;
    // The secret may have changed before the transform ran.
    const { current } = sender;
    const isKnown = current.every((byte, index) => byte === sender.kid[index]);
    place.declarations.add(track, { streamId, mid, kid: current, isKnown });
    if (this.schedule.deadline !== undefined) this.prepareNext(track);
  }

  removeSender(track: string): void {
    this.place?.declarations.remove(track);
    if (!this.senders.delete(track)) return;
    this.client.request('releaseSender', { track }).catch(() => undefined);
  }

  async bindReceiver(track: string, owner: StreamOwner, kind: Kind): Promise<void> {
    await this.client.request('bindReceiver', { track, kind, ...owner });
  }

  async releaseReceiver(track: string): Promise<void> {
    await this.client.request('releaseReceiver', { track });
  }

  /** `codec`: as the browser names it, never a word of the server. */
  async setCodec(track: string, codec: string | undefined): Promise<void> {
    await this.client.request('setCodec', { track, codec });
  }

  recheck(tracks: readonly string[]): void {
    for (const track of tracks) this.client.request('recheck', { track }).catch(this.onError);
  }

  counters(): Promise<Counters> {
    return this.client.request('counters', {});
  }

  /** `to`: a connection id, or "" for everybody. */
  async encryptSignal(to: string, signalType: string, data: string): Promise<Uint8Array> {
    const connectionId = this.place?.connectionId ?? '';
    const body = { connectionId, to, signalType, data };
    return (await this.client.request('encryptSignal', body)).encrypted;
  }

  decryptSignal(from: string, encrypted: Uint8Array): Promise<DecryptedSignal> {
    return this.client.request('decryptSignal', {
      from,
      to: this.place?.connectionId ?? '',
      encrypted,
    });
  }

  async verificationCode(): Promise<string> {
    return (await this.client.request('verificationCode', {})).code;
  }

  /** The worker goes on to remember what was received; its keys and tracks end here. */
  close(): void {
    this.isClosed = true;
    this.cancelSwitch();
    for (const stop of this.stopListening) stop();
    this.place = undefined;
    this.client.request('leave', {}).catch(() => undefined);
  }

  private announce(): void {
    const hint = this.ownHints.at(-1);
    if (hint !== undefined) this.place?.send({ t: 'e2eeReady', hint }).catch(this.onError);
  }

  private untilRunning(track: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = afterRunning(this.clock, RUNNING_TIMEOUT_MS, () => {
        stop();
        reject(otError('OT_ENCRYPTION_INTERNAL_ERROR', 'The encryption transform did not start'));
      });
      const stop = this.client.onNotice((notice) => {
        if (notice.type !== 'running' || notice.track !== track) return;
        stop();
        cancel();
        resolve();
      });
    });
  }

  private beginSwitch(): void {
    this.cancelSwitch();
    const { deadline } = this.schedule;
    if (deadline === undefined) return;
    this.cancelSwitch = this.clock.after(deadline - this.clock.now(), () =>
      // Timers come early by their clock's grain: this one is the deadline, nothing follows it.
      this.switchIfDue(Math.max(this.clock.now(), deadline)),
    );
    for (const track of this.senders.keys()) this.prepareNext(track);
    this.switchIfDue();
  }

  private switchIfDue(now = this.clock.now()): void {
    if (!this.schedule.isDue(now)) return;
    this.cancelSwitch();
    this.client
      .request('switch', {})
      .then(({ kids }) => this.onSwitched(kids, false))
      .catch(this.onError);
  }

  private onSwitched(kids: KidsByTrack, isWithdrawing: boolean): void {
    for (const [track, kid] of Object.entries(kids)) this.onContext(track, kid, isWithdrawing);
  }

  private onContext(track: string, kid: Uint8Array, isWithdrawing: boolean): void {
    const sender = this.senders.get(track);
    if (!sender) return;
    sender.current = kid;
    this.place?.declarations.use(track, kid, isWithdrawing);
    this.requestKeyFrame(track, sender).catch(this.onError);
  }

  /** Declared ahead, so that the server's guard knows it when it is used. */
  private prepareNext(track: string): void {
    if (!this.senders.get(track)?.binding) return;
    this.client
      .request('prepareNext', { track })
      .then(({ kid }) => {
        if (kid) this.place?.declarations.prepare(track, kid);
      })
      .catch(this.onError);
  }

  /** A context that used up its counters: the next one begins at once. */
  private async renewContext(track: string): Promise<void> {
    const { kid } = await this.client.request('renew', { track });
    if (kid) this.onContext(track, kid, false);
  }

  /** For receivers that get the secret late (e2ee/2 section 9): each browser has its own way. */
  private async requestKeyFrame(track: string, { binding }: Sender): Promise<void> {
    if (!binding || binding.sender.track?.kind !== 'video') return;
    const parameters = binding.sender.getParameters();
    const rids = parameters.encodings.flatMap(({ rid }) => (rid === undefined ? [] : [rid]));
    await this.client.request('keyFrame', { track, rids });
    const options = { encodingOptions: parameters.encodings.map(() => ({ keyFrame: true })) };
    const sender: KeyFrameSender = binding.sender;
    // A browser without this option ignores it; one without the layer refuses: both are fine.
    await sender.setParameters(parameters, options).catch(() => undefined);
  }
}

type Counters = Requests['counters'][1];

/** What a sealed session does with its secrets: the page's half of e2ee/1 5.8 to 5.10. */
import type { Clock } from '../clock';
import { otError } from '../errors';
import type { Reply, RequestMessage } from '../signaling/channel';
import type { E2eeClient } from './client';
import type { Notice, OpenedSignal, Requests } from './protocol';
import { toBigInt } from './bytes';
import { FORMAT, hintOf } from './secret';
import { SwitchSchedule } from './switch-schedule';

type Kind = 'audio' | 'video';

/** How long old KIDs stay declared after the switch: late packets are still sealed with them. */
const OVERLAP_MS = 10_000;
const RUNNING_TIMEOUT_MS = 10_000;

interface SenderBinding {
  readonly streamId: string;
  readonly mid: string;
  readonly mimeType: string;
  readonly sender: RTCRtpSender;
}

interface Sender {
  kid: Uint8Array;
  next: Uint8Array | undefined;
  binding: SenderBinding | undefined;
}

interface KeyFrameSender {
  setParameters(parameters: RTCRtpSendParameters, options?: object): Promise<void>;
}

export class SessionSeal {
  readonly format = FORMAT;
  private readonly schedule = new SwitchSchedule();
  private readonly senders = new Map<string, Sender>();
  /** Hints of the secrets set here, the newest last. */
  private readonly ownHints: number[] = [];
  private send: ((message: RequestMessage) => Promise<Reply>) | undefined;
  private cancelSwitch: () => void = () => undefined;

  constructor(
    private readonly sessionId: string,
    private readonly client: E2eeClient,
    private readonly clock: Clock,
    private readonly onError: (error: unknown) => void,
  ) {
    client.onNotice((notice) => {
      if (notice.type === 'exhausted') this.renewContext(notice.track).catch(onError);
    });
  }

  get hasSecret(): boolean {
    return this.ownHints.length > 0;
  }

  onNotice(listener: (notice: Notice) => void): () => void {
    return this.client.onNotice(listener);
  }

  /** Signaling is up: says which secret can be opened here. */
  async connected(send: (message: RequestMessage) => Promise<Reply>): Promise<void> {
    this.send = send;
    const hint = this.ownHints.at(-1);
    if (hint !== undefined) await send({ t: 'e2eeReady', hint });
  }

  /**
   * Resolves when frames under the secret can be opened. Sending moves over when all others
   * announced the same secret, or after five seconds; `immediate` does both at once.
   */
  async setSecret(secret: string, immediate = false): Promise<void> {
    const { sessionId } = this;
    const { hint } = await this.client.request('setSecret', { secret, sessionId, immediate });
    this.ownHints.push(hint);
    if (!this.send) return;
    this.startSwitch(hint, immediate).catch(this.onError);
  }

  /** True when frames of that connection may open from now on. */
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

  /** The KID to declare before the stream exists; frames are dropped until it has a key. */
  async prepareSender(track: string): Promise<Uint8Array> {
    const { kid } = await this.client.request('prepare', { track });
    this.senders.set(track, { kid, next: undefined, binding: undefined });
    return kid;
  }

  /** Resolves when the worker's transform runs and has a key. */
  async startSender(track: string, binding: SenderBinding): Promise<void> {
    const sender = this.senders.get(track);
    if (!sender) throw otError('OT_ENCRYPTION_INTERNAL_ERROR', 'The track was not prepared');
    const running = this.untilRunning(track);
    // It may fail while the worker is still being asked: then it is awaited too late to be seen.
    running.catch(() => undefined);
    await this.client.request('setCodec', { track, mimeType: binding.mimeType });
    await this.client.request('bindSender', { track, streamId: binding.streamId });
    await this.client.request('activate', { track, kid: sender.kid });
    await running;
    sender.binding = binding;
    await this.catchUp(track, sender);
  }

  removeSender(track: string): void {
    if (!this.senders.delete(track)) return;
    this.client.request('releaseSender', { track }).catch(() => undefined);
  }

  async bindReceiver(track: string, streamId: string, mimeType: string): Promise<void> {
    await this.client.request('bindReceiver', { track, streamId });
    await this.client.request('setCodec', { track, mimeType });
  }

  async releaseReceiver(track: string): Promise<void> {
    await this.client.request('releaseReceiver', { track });
  }

  recheck(tracks: readonly string[]): void {
    for (const track of tracks) this.client.request('recheck', { track }).catch(this.onError);
  }

  counters(): Promise<Counters> {
    return this.client.request('counters', {});
  }

  async sealSignal(connectionId: string, signalType: string, data: string): Promise<Uint8Array> {
    const body = { connectionId, signalType, data };
    return (await this.client.request('sealSignal', body)).sealed;
  }

  openSignal(connectionId: string, sealed: Uint8Array): Promise<OpenedSignal> {
    return this.client.request('openSignal', { connectionId, sealed });
  }

  async verificationCode(): Promise<string> {
    return (await this.client.request('verificationCode', {})).code;
  }

  close(): void {
    this.cancelSwitch();
    this.client.close();
  }

  private untilRunning(track: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(RUNNING_TIMEOUT_MS, () => {
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

  private async startSwitch(hint: number, immediate: boolean): Promise<void> {
    this.cancelSwitch();
    await this.send?.({ t: 'e2eeReady', hint });
    await Promise.all([...this.senders.keys()].map((track) => this.prepareNext(track)));
    const now = this.clock.now();
    const deadline = this.schedule.start(hint, now, immediate);
    this.cancelSwitch = this.clock.after(deadline - now, () => this.switchIfDue());
    this.switchIfDue();
  }

  /** The secret was changed while the stream was being published. */
  private async catchUp(track: string, sender: Sender): Promise<void> {
    const hint = this.ownHints.at(-1);
    if (hint === undefined || hintOf(toBigInt(sender.kid)) === hint) return;
    await this.prepareNext(track);
    if (!this.schedule.isPending) await this.switchSender(track);
  }

  private async prepareNext(track: string): Promise<void> {
    const sender = this.senders.get(track);
    if (!sender?.binding) return;
    const { kid } = await this.client.request('prepare', { track });
    sender.next = kid;
    await this.declare(sender, [sender.kid, kid]);
  }

  private switchIfDue(): void {
    if (!this.schedule.isDue(this.clock.now())) return;
    this.schedule.finish();
    this.cancelSwitch();
    const jobs = [...this.senders.keys()].map((track) => this.switchSender(track));
    Promise.all([...jobs, this.client.request('switchSignals', {})]).catch(this.onError);
  }

  private async switchSender(track: string): Promise<void> {
    const sender = this.senders.get(track);
    if (!sender?.next) return;
    const kid = sender.next;
    sender.next = undefined;
    await this.client.request('activate', { track, kid });
    sender.kid = kid;
    await this.requestKeyFrame(track, sender);
    this.clock.after(OVERLAP_MS, () => {
      if (this.senders.get(track) !== sender || sender.kid !== kid) return;
      const kids = sender.next ? [kid, sender.next] : [kid];
      this.declare(sender, kids).catch(this.onError);
    });
  }

  /** A context that used up its counters: the next one begins at once. */
  private async renewContext(track: string): Promise<void> {
    await this.prepareNext(track);
    await this.switchSender(track);
  }

  private async declare(sender: Sender, kids: readonly Uint8Array[]): Promise<void> {
    if (!sender.binding || !this.send) return;
    const { streamId, mid } = sender.binding;
    await this.send({ t: 'declareKids', streamId, mid, kids });
  }

  /** For receivers that get the secret late (e2ee/1 5.9): each browser has its own way. */
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

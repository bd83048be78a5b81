/** The e2ee worker without its scope: owner of all keys, and of the frames that pass. */
import type { Bytes } from './bytes';
import { formatOf } from './frames/index';
import type {
  KidsByTrack,
  Notice,
  DecryptedSignal,
  Request,
  Requests,
  RequestType,
  TransformOptions,
} from './protocol';
import { Pulse } from './pulse';
import { ReceiveHistory } from './receiver';
import { ReceivingTracks } from './receiving-tracks';
import { SessionKeys } from './secret';
import { SecretRing } from './secret-ring';
import { type KeyFrameSource, SendingTracks } from './sending-tracks';
import { decryptSignal, SignalEncryptor } from './signals';

/** What both browsers' encoded frames have in common. */
export interface EncodedFrame {
  data: ArrayBuffer;
  getMetadata(): { mimeType?: string };
}

type Handlers = {
  [Type in RequestType]: (
    request: Requests[Type][0],
  ) => Requests[Type][1] | Promise<Requests[Type][1]>;
};

export class WorkerCore {
  private readonly ring = new SecretRing();
  private readonly history = new ReceiveHistory(this.ring);
  private readonly senders: SendingTracks;
  private readonly receivers: ReceivingTracks;
  /** What senders encrypt under: the newest secret, or the one before until the switch. */
  private sending: SessionKeys | undefined;
  private readonly pulse = new Pulse();
  private signalEncryptors = new Map<string, SignalEncryptor>();
  private secretChangedAt = -Infinity;
  /** Counts connections of the session: a secret that was for an earlier one is not used. */
  private stay = 0;
  /** What changes senders' keys happens one after the other, so that the newest secret wins. */
  private lastSenderJob: Promise<unknown> = Promise.resolve();
  /** Faults that were reported, once per track: they tend to come with every frame. */
  private readonly reportedFaults = new Set<string>();

  constructor(
    private readonly notify: (notice: Notice) => void,
    private readonly now: () => number,
  ) {
    this.senders = new SendingTracks(notify);
    this.receivers = new ReceivingTracks(this.history, notify);
  }

  /** Throws with a short, harmless reason when the request cannot be met. */
  async handle(request: Request): Promise<unknown> {
    const handler = this.handlers[request.type] as (request: Request) => unknown;
    return await handler(request);
  }

  private readonly handlers: Handlers = {
    setSecret: (request) => this.setSecret(request),
    switch: () => this.inTurn(async () => ({ kids: await this.switchAll(false) })),
    prepare: ({ track, publication }) =>
      this.inTurn(() => ({ kid: this.senders.prepare(track, publication, this.keysInUse()) })),
    prepareNext: ({ track }) =>
      this.inTurn(() => {
        const { newest } = this.ring;
        const isDone = !newest || newest === this.sending;
        return { kid: isDone ? null : this.senders.prepareNext(track, newest) };
      }),
    startSender: ({ track, codec, ...owner }) =>
      this.inTurn(async () => ({
        kid: await this.senders.start(track, owner, this.keysInUse(), codec),
      })),
    renew: ({ track }) =>
      this.inTurn(async () => ({ kid: (await this.senders.use(track, this.keysInUse())) ?? null })),
    releaseSender: ({ track }) => {
      this.senders.release(track);
      return null;
    },
    bindReceiver: ({ track, kind, ...owner }) => {
      this.receivers.bind(track, owner, kind);
      return null;
    },
    releaseReceiver: ({ track }) => {
      this.receivers.release(track);
      return null;
    },
    setCodec: ({ track, codec }) => {
      if (!this.senders.setCodec(track, codec)) this.receivers.setCodec(track, codec);
      return null;
    },
    recheck: ({ track }) => {
      this.receivers.recheck(track);
      return null;
    },
    keyFrame: async ({ track, rids }) => {
      await this.senders.generateKeyFrames(track, rids);
      return null;
    },
    counters: () => ({
      sent: this.senders.counters(),
      received: this.receivers.counters(),
      stalls: this.pulse.stalls,
    }),
    encryptSignal: (request) => this.encryptSignal(request),
    decryptSignal: ({ from, to, encrypted }): Promise<DecryptedSignal> =>
      decryptSignal(this.history, {
        from,
        to,
        encrypted: Uint8Array.from(encrypted),
        now: this.now(),
      }),
    verificationCode: () => {
      const { newest } = this.ring;
      if (!newest) throw new Error('no secret');
      return { code: newest.verificationCode };
    },
    leave: () => {
      this.stay += 1;
      this.ring.clear();
      this.sending = undefined;
      this.signalEncryptors = new Map();
      this.senders.clear();
      this.receivers.clear();
      this.history.forgetKeys(this.now());
      return null;
    },
  };

  /** The transform of a track began: from now on its frames come through here. */
  attach({ role, track }: TransformOptions, source: KeyFrameSource | undefined): void {
    (role === 'send' ? this.senders : this.receivers).attach(track, source);
  }

  /** Called again and again by a timer of the worker's own. */
  beat(): void {
    this.pulse.beat(this.now());
  }

  /** A frame is there, however long it will wait to be encrypted or decrypted. */
  onArrival({ role, track }: TransformOptions, frame: EncodedFrame): void {
    if (role === 'send') this.senders.onArrival(track);
    else this.receivers.onArrival(track, frame.data.byteLength);
  }

  /** Passes a frame on through `enqueue` encrypted or decrypted, or drops it; never in the clear. */
  async onFrame<Frame extends EncodedFrame>(
    options: TransformOptions,
    frame: Frame,
    enqueue: (frame: Frame) => void,
  ): Promise<void> {
    try {
      const output = await (options.role === 'send'
        ? this.encryptOutgoing(options, frame)
        : this.decryptIncoming(options, frame));
      if (!output) return;
      frame.data = output.byteLength === output.buffer.byteLength ? output.buffer : exact(output);
    } catch {
      this.notifyOnce({ type: 'internal', track: options.track, role: options.role });
      return;
    }
    if (options.role === 'receive') this.receivers.onGiven(options.track);
    try {
      enqueue(frame);
    } catch {
      // The track ended while its last frame was in work.
    }
  }

  private async encryptOutgoing(
    options: TransformOptions,
    frame: EncodedFrame,
  ): Promise<Bytes | undefined> {
    const { senders } = this;
    const format = this.formatFor(options, frame, senders.codecOf(options.track));
    if (format) return senders.encrypt(options.track, format, new Uint8Array(frame.data));
    senders.onUnsupported(options.track);
    return undefined;
  }

  private async decryptIncoming(
    options: TransformOptions,
    frame: EncodedFrame,
  ): Promise<Bytes | undefined> {
    const { receivers } = this;
    const { track, kind } = options;
    if (!receivers.isBound(track, kind) || frame.data.byteLength === 0) return undefined;
    const format = this.formatFor(options, frame, receivers.codecOf(track));
    if (!format) return undefined;
    const times = { now: this.now(), secretChangedAt: this.secretChangedAt };
    return receivers.decrypt(track, format, new Uint8Array(frame.data), times);
  }

  private formatFor(
    options: TransformOptions,
    frame: EncodedFrame,
    codec: string | undefined,
  ): ReturnType<typeof formatOf> {
    const format = formatOf(options.kind, frame.getMetadata().mimeType ?? codec);
    if (!format) {
      this.notifyOnce({ type: 'unsupportedCodec', track: options.track, role: options.role });
    }
    return format;
  }

  private notifyOnce(notice: Notice): void {
    const fault = `${notice.type} ${notice.track}`;
    if (this.reportedFaults.has(fault)) return;
    this.reportedFaults.add(fault);
    this.notify(notice);
  }

  private async setSecret({
    secret,
    sessionId,
    immediate,
  }: Requests['setSecret'][0]): Promise<Requests['setSecret'][1]> {
    const { stay } = this;
    const derived = await SessionKeys.fromSecret(secret, sessionId);
    return this.inTurn(async () => {
      if (stay !== this.stay) throw new Error('the session ended');
      const before = this.ring.newest;
      const keys = this.ring.add(derived, this.now(), immediate);
      const { hint } = keys;
      const isNew = keys !== before;
      if (isNew && before) {
        this.secretChangedAt = this.now();
        this.receivers.recheckAll();
      }
      this.sending ??= keys;
      const isInUse = keys === this.sending;
      if (!immediate) return { hint, isNew, isInUse, kids: {} };
      this.history.forgetKeys(this.now());
      return { hint, isNew, isInUse, kids: await this.switchAll(true) };
    });
  }

  private async switchAll(isRevoking: boolean): Promise<KidsByTrack> {
    const { newest } = this.ring;
    if (!newest) return {};
    this.sending = newest;
    return this.senders.switchAll(newest, isRevoking);
  }

  private async encryptSignal({
    connectionId,
    ...content
  }: Requests['encryptSignal'][0]): Promise<{ encrypted: Uint8Array }> {
    const encryptor = this.signalEncryptors.get(connectionId) ?? new SignalEncryptor(connectionId);
    this.signalEncryptors.set(connectionId, encryptor);
    for (;;) {
      const keys = this.keysInUse();
      const encrypted = await encryptor.encrypt(keys, content);
      // What was encrypted before a switch does not leave after it.
      if (keys === this.sending) return { encrypted };
    }
  }

  private keysInUse(): SessionKeys {
    if (!this.sending) throw new Error('no secret');
    return this.sending;
  }

  private inTurn<Result>(job: () => Result | Promise<Result>): Promise<Result> {
    const result = this.lastSenderJob.then(job);
    this.lastSenderJob = result.catch(() => undefined);
    return result;
  }
}

function exact(bytes: Bytes): ArrayBuffer {
  return bytes.slice().buffer;
}

/** The e2ee worker without its scope: owner of all keys, and of the frames that pass. */
import type { Bytes } from './bytes';
import { bigEndian, toBigInt } from './bytes';
import { formatOf } from './frames/index';
import { TrackHealth } from './health';
import type {
  Notice,
  OpenedSignal,
  Request,
  Requests,
  RequestType,
  TransformOptions,
} from './protocol';
import { TrackOpener } from './receiver';
import { SessionKeys } from './secret';
import { SecretRing } from './secret-ring';
import { TrackSealer } from './sender';
import { SignalOpener, SignalSealer } from './signals';

/** What both browsers' encoded frames have in common. */
export interface EncodedFrame {
  data: ArrayBuffer;
  getMetadata(): { mimeType?: string };
}

/** The part of RTCRtpScriptTransformer that is asked for key frames. */
export interface KeyFrameSource {
  generateKeyFrame?(rid?: string): Promise<unknown>;
  sendKeyFrameRequest?(): Promise<unknown>;
}

interface Track {
  readonly kind: 'audio' | 'video' | undefined;
  isAttached: boolean;
  mimeType: string | undefined;
  source: KeyFrameSource | undefined;
}

interface SendTrack extends Track {
  readonly sealer: TrackSealer;
  isRunningReported: boolean;
  isExhaustionReported: boolean;
  /** Frames of codecs that have no format. */
  unsupported: number;
}

interface ReceiveTrack extends Track {
  opener: TrackOpener | undefined;
  health: TrackHealth;
  seen: number;
}

type Handlers = {
  [Type in RequestType]: (
    request: Requests[Type][0],
  ) => Requests[Type][1] | Promise<Requests[Type][1]>;
};

export class WorkerCore {
  private readonly ring = new SecretRing();
  private readonly senders = new Map<string, SendTrack>();
  private readonly receivers = new Map<string, ReceiveTrack>();
  private readonly signalOpener = new SignalOpener(this.ring);
  private signalSealer: SignalSealer | undefined;
  private secretChangedAt = -Infinity;
  /** Faults told once per track: they tend to come with every frame. */
  private readonly toldFaults = new Set<string>();

  constructor(
    private readonly notify: (notice: Notice) => void,
    private readonly now: () => number,
  ) {}

  /** Throws with a short, harmless reason when the request can not be met. */
  async handle(request: Request): Promise<unknown> {
    const handler = this.handlers[request.type] as (request: Request) => unknown;
    return await handler(request);
  }

  private readonly handlers: Handlers = {
    setSecret: (request) => this.setSecret(request),
    prepare: async ({ track }) => {
      const { newest } = this.ring;
      if (!newest) throw new Error('no secret');
      return { kid: bigEndian(await this.sender(track).sealer.prepare(newest), 8) };
    },
    bindSender: async ({ track, streamId }) => {
      const sender = this.sender(track);
      sender.isRunningReported = false;
      await sender.sealer.bind(streamId);
      return null;
    },
    activate: ({ track, kid }) => {
      const sender = this.sender(track);
      const isActive = sender.sealer.activate(toBigInt(kid));
      sender.isExhaustionReported = false;
      this.reportRunning(track, sender);
      return { isActive };
    },
    releaseSender: ({ track }) => {
      this.sender(track).sealer.release();
      return null;
    },
    bindReceiver: ({ track, streamId }) => {
      const receiver = this.receiver(track);
      receiver.opener = new TrackOpener(this.ring, (keys, kid) => keys.streamKey(streamId, kid));
      receiver.health = new TrackHealth();
      return null;
    },
    releaseReceiver: ({ track }) => {
      this.receiver(track).opener = undefined;
      return null;
    },
    recheck: ({ track }) => {
      this.receiver(track).health.recheck();
      return null;
    },
    setCodec: ({ track, mimeType }) => {
      (this.senders.get(track) ?? this.receiver(track)).mimeType = mimeType;
      return null;
    },
    keyFrame: async ({ track, rids }) => {
      await this.generateKeyFrames(this.sender(track).source, rids);
      return null;
    },
    counters: () => ({
      sent: Object.fromEntries(
        [...this.senders].map(([track, { sealer, unsupported }]) => [
          track,
          { sealed: sealer.sealed, dropped: sealer.dropped + unsupported },
        ]),
      ),
      received: Object.fromEntries(
        [...this.receivers].map(([track, { seen, health }]) => [
          track,
          { seen, opened: health.opened, failed: health.failed },
        ]),
      ),
    }),
    switchSignals: () => {
      const { newest } = this.ring;
      this.signalSealer = newest && new SignalSealer(newest);
      return null;
    },
    sealSignal: async ({ connectionId, signalType, data }) => {
      if (!this.signalSealer) throw new Error('no secret');
      return { sealed: await this.signalSealer.seal(connectionId, signalType, data) };
    },
    openSignal: ({ connectionId, sealed }): Promise<OpenedSignal> =>
      this.signalOpener.open(connectionId, Uint8Array.from(sealed), this.now()),
    verificationCode: async () => {
      const { newest } = this.ring;
      if (!newest) throw new Error('no secret');
      return { code: await newest.verificationCode() };
    },
  };

  /** The transform of a track began: from now on its frames come through here. */
  attach(options: TransformOptions, source: KeyFrameSource | undefined): void {
    if (options.role === 'send') {
      const sender = this.sender(options.track, options.kind);
      Object.assign(sender, { isAttached: true, source });
      this.reportRunning(options.track, sender);
    } else {
      Object.assign(this.receiver(options.track, options.kind), { isAttached: true, source });
    }
  }

  /** Passes a frame on through `enqueue` sealed or opened, or drops it; never in the clear. */
  async onFrame<Frame extends EncodedFrame>(
    options: TransformOptions,
    frame: Frame,
    enqueue: (frame: Frame) => void,
  ): Promise<void> {
    try {
      const output = await (options.role === 'send'
        ? this.sealOutgoing(options, frame)
        : this.openIncoming(options, frame));
      if (!output) return;
      frame.data = output.byteLength === output.buffer.byteLength ? output.buffer : exact(output);
      enqueue(frame);
    } catch {
      this.notifyOnce({ type: 'internal', track: options.track, role: options.role });
    }
  }

  private async sealOutgoing(
    options: TransformOptions,
    frame: EncodedFrame,
  ): Promise<Bytes | undefined> {
    const sender = this.sender(options.track, options.kind);
    const format = this.formatFor(options, frame, sender);
    if (!format) {
      sender.unsupported += 1;
      return undefined;
    }
    const result = await sender.sealer.seal(format, new Uint8Array(frame.data));
    if (typeof result !== 'string') return result;
    if (result === 'exhausted' && !sender.isExhaustionReported) {
      sender.isExhaustionReported = true;
      this.notify({ type: 'exhausted', track: options.track });
    }
    return undefined;
  }

  private async openIncoming(
    options: TransformOptions,
    frame: EncodedFrame,
  ): Promise<Bytes | undefined> {
    const receiver = this.receiver(options.track, options.kind);
    receiver.seen += 1;
    const { opener, health } = receiver;
    // A track nobody subscribes to now, or the end of one: nothing to open it with.
    if (!opener || frame.data.byteLength === 0) return undefined;
    const format = this.formatFor(options, frame, receiver);
    if (!format) return undefined;
    const result = await opener.open(format, new Uint8Array(frame.data), this.now());
    const change =
      'refused' in result
        ? health.onRefused(result.refused, this.now(), this.secretChangedAt)
        : health.onOpened();
    if (change && receiver.health === health) this.reportHealth(options, receiver, change);
    return 'refused' in result ? undefined : result.frame;
  }

  private reportHealth(
    options: TransformOptions,
    receiver: ReceiveTrack,
    change: 'failing' | 'ok',
  ): void {
    const { opened, failed } = receiver.health;
    this.notify({ type: 'health', track: options.track, change, opened, failed });
    if (change === 'ok' && options.kind === 'video') {
      receiver.source?.sendKeyFrameRequest?.().catch(() => undefined);
    }
  }

  private formatFor(
    options: TransformOptions,
    frame: EncodedFrame,
    track: Track,
  ): ReturnType<typeof formatOf> {
    const format = formatOf(frame.getMetadata().mimeType ?? track.mimeType);
    if (!format) {
      this.notifyOnce({ type: 'unsupportedCodec', track: options.track, role: options.role });
    }
    return format;
  }

  private notifyOnce(notice: Notice): void {
    const fault = `${notice.type} ${notice.track}`;
    if (this.toldFaults.has(fault)) return;
    this.toldFaults.add(fault);
    this.notify(notice);
  }

  private async setSecret({
    secret,
    sessionId,
    immediate,
  }: Requests['setSecret'][0]): Promise<{ hint: number }> {
    const keys = await SessionKeys.fromSecret(secret, sessionId);
    const isFirst = this.ring.newest === undefined;
    this.ring.add(keys, this.now(), immediate);
    this.secretChangedAt = isFirst ? -Infinity : this.now();
    if (isFirst) this.signalSealer = new SignalSealer(keys);
    return { hint: keys.hint };
  }

  private async generateKeyFrames(
    source: KeyFrameSource | undefined,
    rids: readonly string[],
  ): Promise<void> {
    if (!source?.generateKeyFrame) return;
    const wanted = rids.length > 0 ? rids : [undefined];
    // A layer that is switched off has no key frame to give.
    await Promise.allSettled(wanted.map(async (rid) => source.generateKeyFrame?.(rid)));
  }

  private reportRunning(track: string, sender: SendTrack): void {
    if (!sender.isAttached || !sender.sealer.isReady || sender.isRunningReported) return;
    sender.isRunningReported = true;
    this.notify({ type: 'running', track });
  }

  private sender(track: string, kind?: 'audio' | 'video'): SendTrack {
    let sender = this.senders.get(track);
    if (!sender) {
      sender = {
        ...newTrack(kind),
        sealer: new TrackSealer(),
        isRunningReported: false,
        isExhaustionReported: false,
        unsupported: 0,
      };
      this.senders.set(track, sender);
    }
    return sender;
  }

  private receiver(track: string, kind?: 'audio' | 'video'): ReceiveTrack {
    let receiver = this.receivers.get(track);
    if (!receiver) {
      receiver = { ...newTrack(kind), opener: undefined, health: new TrackHealth(), seen: 0 };
      this.receivers.set(track, receiver);
    }
    return receiver;
  }
}

function newTrack(kind: 'audio' | 'video' | undefined): Track {
  return { kind, isAttached: false, mimeType: undefined, source: undefined };
}

function exact(bytes: Bytes): ArrayBuffer {
  return bytes.slice().buffer;
}

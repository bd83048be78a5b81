/** As much of a browser as a session needs, on virtual time: a page, tracks, peer connections. */
import { systemClock } from '../../src/clock';
import { FakeClock, type Random } from '../support';

type Listener = () => void;

class FakeElement extends EventTarget {
  id = '';
  className = '';
  textContent = '';
  srcObject: unknown = null;
  volume = 1;
  muted = false;
  videoWidth = 0;
  videoHeight = 0;
  readonly style: Record<string, string> = {};
  readonly dataset: Record<string, string> = {};
  readonly classList = { add: (): void => undefined };
  append(): void {}
  after(): void {}
  before(): void {}
  remove(): void {}
  replaceChildren(): void {}
  setAttribute(): void {}
  play(): Promise<void> {
    return Promise.resolve();
  }
}

class FakeTrack extends EventTarget {
  enabled = true;
  readyState = 'live';
  contentHint = '';
  readonly id = String(Math.random());
  readonly label = '';

  constructor(readonly kind: 'audio' | 'video') {
    super();
  }

  getSettings(): object {
    return this.kind === 'video' ? { width: 320, height: 240 } : {};
  }

  stop(): void {
    this.readyState = 'ended';
  }
}

class FakeStream {
  private readonly tracks = new Set<FakeTrack>();
  addTrack(track: FakeTrack): void {
    this.tracks.add(track);
  }
  removeTrack(track: FakeTrack): void {
    this.tracks.delete(track);
  }
  getTracks(): FakeTrack[] {
    return [...this.tracks];
  }
  getAudioTracks(): FakeTrack[] {
    return this.getTracks().filter(({ kind }) => kind === 'audio');
  }
  getVideoTracks(): FakeTrack[] {
    return this.getTracks().filter(({ kind }) => kind === 'video');
  }
}

interface FakeTransceiver {
  mid: string | null;
  direction: string;
  readonly sender: {
    track: FakeTrack | null;
    replaceTrack(track: FakeTrack | null): Promise<void>;
    getParameters(): object;
    setParameters(): Promise<void>;
    getStats(): Promise<Map<string, object>>;
  };
  readonly receiver: { track: FakeTrack; getSynchronizationSources: () => object[] };
  setCodecPreferences(): void;
}

/** Every step takes a moment of its own, and a closed one refuses them. */
export class FakePeer extends EventTarget {
  static open = new Set<FakePeer>();
  static moment: () => Promise<void> = () => Promise.resolve();
  connectionState = 'new';
  signalingState = 'stable';
  localDescription: { type: string; sdp: string } | null = null;
  ontrack: ((event: object) => void) | null = null;
  private readonly transceivers: FakeTransceiver[] = [];

  constructor() {
    super();
    FakePeer.open.add(this);
  }

  addTransceiver(kind: 'audio' | 'video'): FakeTransceiver {
    const peer = (): FakePeer => this;
    const sender: FakeTransceiver['sender'] = {
      track: null,
      async replaceTrack(track) {
        await FakePeer.moment();
        peer().check();
        sender.track = track;
      },
      getParameters: () => ({ encodings: [], codecs: [] }),
      setParameters: () => Promise.resolve(),
      getStats: () => Promise.resolve(new Map()),
    };
    const transceiver: FakeTransceiver = {
      ...{ mid: null, direction: 'sendonly', sender },
      receiver: { track: new FakeTrack(kind), getSynchronizationSources: () => [] },
      setCodecPreferences: () => undefined,
    };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  getTransceivers(): FakeTransceiver[] {
    return this.transceivers;
  }

  getSenders(): FakeTransceiver['sender'][] {
    return this.transceivers.map(({ sender }) => sender);
  }

  getReceivers(): FakeTransceiver['receiver'][] {
    return this.transceivers.map(({ receiver }) => receiver);
  }

  getStats(): Promise<Map<string, object>> {
    return Promise.resolve(new Map<string, object>());
  }

  async createOffer(): Promise<{ type: string; sdp: string }> {
    await FakePeer.moment();
    this.check();
    return { type: 'offer', sdp: 'v=0\r\n' };
  }

  async createAnswer(): Promise<{ type: string; sdp: string }> {
    await FakePeer.moment();
    this.check();
    return { type: 'answer', sdp: 'v=0\r\n' };
  }

  async setLocalDescription(description: { type: string; sdp: string }): Promise<void> {
    await FakePeer.moment();
    this.check();
    this.localDescription = description;
    if (description.type === 'offer') this.signalingState = 'have-local-offer';
    else this.signalingState = 'stable';
    this.transceivers.forEach((transceiver, index) => (transceiver.mid ??= String(index)));
  }

  /** The fake server's offers name `mid:kind` pairs. */
  async setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    await FakePeer.moment();
    this.check();
    for (const [, mid, kind] of sdp.matchAll(/^a=slot:(\d+) (audio|video)$/gm)) {
      if (this.transceivers.some((transceiver) => transceiver.mid === mid)) continue;
      const transceiver = this.addTransceiver(kind as 'audio' | 'video');
      transceiver.mid = mid ?? null;
      this.ontrack?.({ transceiver });
    }
    this.signalingState = 'stable';
    this.connectionState = 'connected';
    this.dispatchEvent(new Event('connectionstatechange'));
  }

  close(): void {
    this.connectionState = 'closed';
    FakePeer.open.delete(this);
  }

  private check(): void {
    if (this.connectionState === 'closed') {
      throw Object.assign(new Error('The peer connection is closed'), {
        name: 'InvalidStateError',
      });
    }
  }
}

/** Puts the fakes where the SDK looks for a browser; all time is the clock's. */
export function installBrowser(random: Random): FakeClock {
  const clock = new FakeClock();
  Object.assign(systemClock, {
    now: () => clock.now(),
    after: (delayMs: number, call: Listener) => clock.after(delayMs, call),
  });
  // The SDK spreads its retries: a seed must give the same run again.
  Math.random = () => random.next();
  FakePeer.open.clear();
  FakePeer.moment = () =>
    new Promise((resolve) => {
      if (random.below(3) === 0) clock.after(random.below(30), resolve);
      else resolve();
    });
  const capabilities = (): object => ({ codecs: [{ mimeType: 'video/VP8' }] });
  Object.assign(globalThis, {
    document: { createElement: () => new FakeElement(), body: new FakeElement() },
    HTMLElement: FakeElement,
    HTMLMediaElement: FakeElement,
    MediaStream: FakeStream,
    MediaStreamTrack: FakeTrack,
    RTCPeerConnection: FakePeer,
    RTCRtpSender: { prototype: {}, getCapabilities: capabilities },
    RTCRtpReceiver: { prototype: {}, getCapabilities: capabilities },
  });
  return clock;
}

export function newTrack(kind: 'audio' | 'video'): MediaStreamTrack {
  return new FakeTrack(kind) as unknown as MediaStreamTrack;
}

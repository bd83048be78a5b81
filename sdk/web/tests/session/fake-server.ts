/** A server of one clear session on virtual time, over sockets that are slow and get lost. */
import { decode, encode } from '@msgpack/msgpack';
import type { Socket } from '../../src/signaling/socket';
import { SUBPROTOCOL } from '../../src/rules';
import type { FakeClock, Random } from '../support';

type Message = Record<string, unknown> & { t: string; id: number };
type Outgoing = Record<string, unknown> & { t: string };

const ME = 'me';
const SDP = 'v=0\r\n';
const MAX_DELAY_MS = 60;

export class FakeSocket implements Socket {
  binaryType = '';
  readonly protocol = SUBPROTOCOL;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  isDead = false;
  private upAt = 0;
  private downAt = 0;

  constructor(
    private readonly server: FakeServer,
    private readonly clock: FakeClock,
    private readonly random: Random,
  ) {
    clock.after(this.random.below(MAX_DELAY_MS), () => {
      if (!this.isDead) this.onopen?.(undefined as never);
    });
  }

  send(data: Uint8Array): void {
    const message = decode(data) as Message;
    this.upAt = Math.max(this.upAt, this.clock.now() + this.random.below(MAX_DELAY_MS));
    this.clock.after(this.upAt - this.clock.now(), () => {
      if (!this.isDead || message.t === 'bye') this.server.onMessage(this, message);
    });
  }

  deliver(message: Outgoing): void {
    this.downAt = Math.max(this.downAt, this.clock.now() + this.random.below(MAX_DELAY_MS));
    this.clock.after(this.downAt - this.clock.now(), () => {
      if (!this.isDead) this.onmessage?.({ data: encode(message).slice().buffer });
    });
  }

  close(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.clock.after(1, () => this.onclose?.({ code: 1006 }));
  }

  /** The server's own end of it, after what it said before. */
  hangUp(code: number): void {
    this.clock.after(MAX_DELAY_MS, () => {
      this.isDead = true;
      this.onclose?.({ code });
    });
  }
}

export interface Told {
  streamId: string;
  isConnected: boolean;
}

export class FakeServer {
  readonly streams = new Map<string, string>();
  readonly own = new Map<string, { hasAudio: boolean; hasVideo: boolean }>();
  readonly subscribers = new Map<string, Told>();
  joins = 0;
  /** What the next published stream is called; a server may lie there. */
  nextStreamId: string | undefined;
  /** Takes no stream any more, and counts those that it was offered. */
  streamsRefused: number | undefined;
  /** What every greeting is answered with before the WebSocket is closed. */
  refusal: { error: Outgoing; closeCode: number } | undefined;
  isJoined = false;
  private socket: FakeSocket | undefined;
  private next = 1;
  private heard = 0;
  private sent = 0;
  /** How many had been sent before the present socket. */
  private base = 0;
  private log: { number: number; message: Outgoing }[] = [];
  private slots: string[] = [];
  private offer: number | undefined;
  private offers = 0;
  private isOfferWanted = false;

  constructor(
    private readonly clock: FakeClock,
    private readonly random: Random,
  ) {}

  openSocket(): FakeSocket {
    return new FakeSocket(this, this.clock, this.random);
  }

  /** Another client's stream begins. */
  publishOther(): string {
    const streamId = `other-${this.next++}`;
    this.streams.set(streamId, 'you');
    this.tell({ t: 'streamCreated', stream: this.info(streamId) });
    return streamId;
  }

  endOther(streamId: string): void {
    this.streams.delete(streamId);
    for (const [id, told] of this.subscribers) {
      if (told.streamId === streamId) this.subscribers.delete(id);
    }
    this.tell({ t: 'streamDestroyed', streamId, reason: 'clientDisconnected' });
  }

  /** Any message, as it is. */
  say(message: Outgoing): void {
    this.tell(message);
  }

  loseSocket(): void {
    const { socket } = this;
    this.socket = undefined;
    socket?.close();
  }

  endSocket(code: number, lastWords?: Outgoing): void {
    const { socket } = this;
    if (lastWords) this.tell(lastWords);
    this.socket = undefined;
    socket?.hangUp(code);
  }

  loseTransport(direction: 'uplink' | 'downlink'): void {
    if (!this.isJoined) return;
    this.tell({ t: 'transportLost', direction });
    if (direction === 'uplink') {
      for (const streamId of [...this.own.keys()]) this.endOwn(streamId);
    } else {
      this.subscribers.clear();
      this.slots = [];
      this.offer = undefined;
      this.isOfferWanted = false;
    }
  }

  onMessage(socket: FakeSocket, message: Message): void {
    if (message.t === 'hello') {
      this.onHello(socket, message);
      return;
    }
    if (message.t === 'bye') {
      if (socket === this.socket) this.forget();
      return;
    }
    if (socket !== this.socket) return;
    this.heard = Math.max(this.heard, message.id);
    this.answer(message);
  }

  private onHello(socket: FakeSocket, { id, resume, received }: Message): void {
    if (this.refusal) {
      socket.deliver({ ...this.refusal.error, re: id });
      socket.hangUp(this.refusal.closeCode);
      return;
    }
    const resumed = resume === 'again' && this.isJoined;
    if (resume !== undefined && !resumed) {
      const unknown = { code: 'x', name: 'OT_NOT_CONNECTED', number: 1010, message: 'none' };
      socket.deliver({ t: 'error', re: id, ...unknown });
      return;
    }
    if (!resumed) {
      this.forget();
      this.joins += 1;
      this.isJoined = true;
    }
    this.socket = socket;
    const lastRequest = resumed ? this.heard : id;
    if (!resumed) this.heard = id;
    socket.deliver({
      ...{ t: 'welcome', re: id, resume: 'again', resumed, keepAliveMs: 10_000, graceMs: 15_000 },
      ...{ connection: { connectionId: ME, creationTime: 1 }, lastRequest },
      session: { sessionId: 'session', e2ee: false, mediaMode: 'routed' },
      capabilities: {
        ...{ publish: 1, subscribe: 1, signal: 1 },
        ...{ forceUnpublish: 0, forceDisconnect: 0, forceMute: 0 },
      },
      connections: [ME, 'you'].map((connectionId) => ({ connectionId, creationTime: 1 })),
      streams: [...this.streams.keys(), ...this.own.keys()].map((one) => this.info(one)),
    });
    if (!resumed) return;
    const missed = this.log.filter(({ number }) => number > this.base + Number(received ?? 0));
    this.log = [];
    this.base = this.sent;
    for (const { message } of missed) this.tell(message);
  }

  private answer(message: Message): void {
    const handlers: Record<string, (request: Message) => Outgoing> = {
      ping: () => ({ t: 'pong' }),
      subscribe: ({ streamId }) => this.subscribe(String(streamId)),
      unsubscribe: ({ subscriberId }) => this.unsubscribe(String(subscriberId)),
      publish: (request) => this.publish(request),
      unpublish: ({ streamId }) => this.unpublish(String(streamId)),
      updateStream: (request) => this.update(request),
      updateSubscriber: ({ subscriberId }) =>
        this.subscribers.has(String(subscriberId)) ? { t: 'ok' } : refusal(),
      downlinkAnswer: ({ offerId }) => this.onAnswer(Number(offerId)),
    };
    const reply = handlers[message.t]?.(message) ?? { t: 'ok' };
    this.tell({ ...reply, re: message.id });
  }

  private subscribe(streamId: string): Outgoing {
    if (!this.streams.has(streamId)) return refusal();
    const subscriberId = `subscriber-${this.next++}`;
    this.subscribers.set(subscriberId, { streamId, isConnected: false });
    this.wantOffer();
    return { t: 'subscribed', subscriberId, streamId };
  }

  private unsubscribe(subscriberId: string): Outgoing {
    this.slots = this.slots.map((user) => (user === subscriberId ? '' : user));
    this.wantOffer();
    return this.subscribers.delete(subscriberId) ? { t: 'ok' } : refusal();
  }

  private publish({ tracks, hasAudio, hasVideo }: Message): Outgoing {
    if (this.streamsRefused !== undefined) {
      this.streamsRefused += 1;
      return refusal();
    }
    const streamId = this.nextStreamId ?? `own-${this.next++}`;
    this.nextStreamId = undefined;
    this.own.set(streamId, { hasAudio: hasAudio !== false, hasVideo: hasVideo !== false });
    this.clock.after(this.random.below(MAX_DELAY_MS), () => {
      if (this.own.has(streamId)) this.tell({ t: 'streamCreated', stream: this.info(streamId) });
    });
    const taken = (tracks as object[]).map((track) => ({ ...track, codec: 'vp8' }));
    return { t: 'published', streamId, answer: SDP, tracks: taken };
  }

  private unpublish(streamId: string): Outgoing {
    return this.endOwn(streamId) ? { t: 'ok' } : refusal();
  }

  private endOwn(streamId: string): boolean {
    const isKnown = this.own.delete(streamId);
    this.tell({ t: 'streamDestroyed', streamId, reason: 'clientDisconnected' });
    return isKnown;
  }

  private update({ streamId, hasAudio, hasVideo }: Message): Outgoing {
    const stream = this.own.get(String(streamId));
    if (!stream) return refusal();
    if (typeof hasAudio === 'boolean') stream.hasAudio = hasAudio;
    if (typeof hasVideo === 'boolean') stream.hasVideo = hasVideo;
    return { t: 'ok' };
  }

  private wantOffer(): void {
    this.isOfferWanted = true;
    this.clock.after(1, () => this.makeOffer());
  }

  /** Two lines for each subscriber; lines of those that are gone are used again. */
  private makeOffer(): void {
    if (!this.isOfferWanted || this.offer !== undefined) return;
    this.isOfferWanted = false;
    for (const id of this.subscribers.keys()) {
      if (this.slots.includes(id)) continue;
      const free = this.slots.indexOf('');
      this.slots[free < 0 ? this.slots.length : free] = id;
    }
    const kinds = ['audio', 'video'] as const;
    const lines = this.slots.flatMap((_, slot) =>
      kinds.map((kind, index) => `a=slot:${2 * slot + index} ${kind}`),
    );
    const tracks = this.slots.flatMap((subscriberId, slot) => {
      const streamId = this.subscribers.get(subscriberId)?.streamId;
      return streamId === undefined
        ? []
        : kinds.map((kind, index) => ({
            ...{ mid: String(2 * slot + index), kind, codec: 'vp8', subscriberId, streamId },
          }));
    });
    this.offer = ++this.offers;
    this.tell({
      t: 'downlinkOffer',
      offerId: this.offer,
      sdp: [SDP, ...lines, ''].join('\n'),
      tracks,
    });
  }

  private onAnswer(number: number): Outgoing {
    if (number !== this.offer) return refusal();
    this.offer = undefined;
    for (const id of this.slots) {
      const told = this.subscribers.get(id);
      if (!told || told.isConnected) continue;
      told.isConnected = true;
      this.clock.after(1, () => {
        if (this.subscribers.has(id)) this.tell({ t: 'subscriberConnected', subscriberId: id });
      });
    }
    this.makeOffer();
    return { t: 'ok' };
  }

  private tell(message: Outgoing): void {
    if (!this.isJoined) return;
    this.sent += 1;
    this.log.push({ number: this.sent, message });
    this.socket?.deliver(message);
  }

  private forget(): void {
    this.isJoined = false;
    this.socket = undefined;
    this.own.clear();
    this.subscribers.clear();
    this.log = [];
    this.slots = [];
    this.sent = this.heard = this.base = 0;
    this.offer = undefined;
    this.isOfferWanted = false;
  }

  private info(streamId: string): object {
    const own = this.own.get(streamId);
    const connectionId = own ? ME : 'you';
    return { streamId, connectionId, creationTime: 1, hasAudio: true, hasVideo: true, ...own };
  }
}

const refusal = (): Outgoing => ({
  ...{ t: 'error', code: 'not_found', name: 'OT_STREAM_NOT_FOUND', number: 1604, message: 'none' },
});

/** The signaling channel with sockets, a clock and a server that a test holds in its hands. */
import assert from 'node:assert/strict';
import { decode, encode } from '@msgpack/msgpack';
import { OTError } from '../../src/errors';
import { SUBPROTOCOL } from '../../src/rules';
import { SignalingChannel } from '../../src/signaling/channel';
import type { Socket } from '../../src/signaling/socket';
import type { ServerMessage, Welcome } from '../../src/signaling/messages';
import { FakeClock, settled } from '../support';

interface Sent {
  t: string;
  id: number;
  resume?: string;
  received?: number;
}

export class FakeSocket implements Socket {
  binaryType = '';
  /** What the server chooses. */
  protocol = SUBPROTOCOL;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly sent: Sent[] = [];
  isClosed = false;

  constructor(
    readonly url: string,
    readonly subprotocol: string,
  ) {}

  send(data: Uint8Array): void {
    this.sent.push(decode(data) as Sent);
  }

  close(code = 1006): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.onclose?.({ code });
  }

  open(): void {
    this.onopen?.(undefined as never);
  }

  deliver(message: object): void {
    this.onmessage?.({ data: encode(message).slice().buffer });
  }

  last(tag: string): Sent {
    const found = this.sent.filter(({ t }) => t === tag).at(-1);
    assert.ok(found, `no ${tag} was sent`);
    return found;
  }
}

export class Harness {
  readonly clock = new FakeClock();
  readonly sockets: FakeSocket[] = [];
  readonly events: string[] = [];
  readonly endings: OTError[] = [];
  readonly channel: SignalingChannel;

  constructor() {
    this.channel = new SignalingChannel(
      'ws://server/v1/signal',
      { apiKey: 'key', sessionId: 'session', token: 'token', sdk: { name: 'test', version: '0' } },
      {
        onMessage: (message: ServerMessage) => this.events.push(message.t),
        onFault: (error) => this.events.push(error.message),
        onLost: () => this.events.push('lost'),
        onResumed: (_welcome, wasSilent) =>
          this.events.push(wasSilent ? 'resumed after silence' : 'resumed'),
        onClosed: (ending) => {
          this.events.push(ending?.reason ?? 'closed');
          if (ending?.error) this.endings.push(ending.error);
        },
      },
      {
        clock: this.clock,
        random: () => 0.5,
        openSocket: (url, subprotocol) => {
          const socket = new FakeSocket(url, subprotocol);
          this.sockets.push(socket);
          return socket;
        },
      },
    );
  }

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    assert.ok(socket);
    return socket;
  }

  async connected(): Promise<this> {
    const connected = this.channel.connect();
    await this.accept(false);
    await connected;
    return this;
  }

  /** The server takes the newest socket and answers its greeting. */
  async accept(resumed: boolean): Promise<void> {
    this.socket.open();
    await settled();
    this.socket.deliver(welcome(this.socket.last('hello').id, resumed));
    await settled();
  }
}

export function welcome(re: number, resumed: boolean): Welcome {
  return {
    t: 'welcome',
    re,
    connection: { connectionId: 'me', creationTime: 1 },
    session: { sessionId: 'session', e2ee: true, mediaMode: 'routed' },
    capabilities: {
      publish: 1,
      subscribe: 1,
      signal: 1,
      forceUnpublish: 0,
      forceDisconnect: 0,
      forceMute: 0,
    },
    connections: [],
    streams: [],
    resume: `resume-${re}`,
    resumed,
    keepAliveMs: 10_000,
    graceMs: 15_000,
  };
}

export async function failure(promise: Promise<unknown>): Promise<OTError> {
  const error: unknown = await promise.then(
    () => assert.fail('it should have failed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof OTError);
  return error;
}

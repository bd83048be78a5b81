/** A whole Session against a server that lies: what it is told, and what it never does. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { decode, encode } from '@msgpack/msgpack';
import { exceptions } from '../src/exceptions';
import { Session } from '../src/session';
import { SUBPROTOCOL } from '../src/rules';
import '../../../tests/browser/pages/reachable.js';
import { InlineWorker, signalsOfBob } from './inline-worker';
import { until } from './support';
import { WELCOME } from './welcome';

type Message = Record<string, unknown> & { t: string };

const SECRET = 'a long secret';
const PEER = { subscriberId: 's', streamId: 'x', audio: true, video: true };

/** The server's end of the socket: it answers as the test wants, by default with "ok". */
class LyingSocket {
  static sockets: LyingSocket[] = [];
  static welcome: object = WELCOME;
  /** Sockets open when it has. */
  static gate: Promise<void> = Promise.resolve();
  static answer: (message: Message) => object | undefined = () => ({ t: 'ok' });
  binaryType = '';
  readonly protocol = SUBPROTOCOL;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly received: Message[] = [];

  constructor() {
    LyingSocket.sockets.push(this);
    void LyingSocket.gate.then(() => setImmediate(() => this.onopen?.()));
  }

  send(data: Uint8Array): void {
    const message = decode(data) as Message;
    this.received.push(message);
    const isHello = message.t === 'hello';
    const resumed = message['resume'] !== undefined;
    const reply = isHello ? { resumed, ...LyingSocket.welcome } : LyingSocket.answer(message);
    if (reply) setImmediate(() => this.say({ ...reply, re: message['id'] }));
  }

  say(message: object): void {
    const bytes = encode(message);
    this.onmessage?.({ data: bytes.slice().buffer });
  }

  /** The network goes away. */
  drop(): void {
    this.onclose?.({ code: 1006 });
  }

  close(): void {}
}

let peersMade = 0;
const told: string[] = [];
const browser = {
  WebSocket: LyingSocket,
  Worker: InlineWorker,
  RTCRtpScriptTransform: class {},
  RTCRtpReceiver: { getCapabilities: () => ({ codecs: [] }) },
  RTCPeerConnection: class {
    constructor() {
      peersMade += 1;
    }
  },
};
const missing = Object.keys(browser).filter((name) => !(name in globalThis));
before(() => {
  Object.assign(globalThis, browser);
  URL.createObjectURL = () => 'blob:worker';
  exceptions.on('exception', ({ title, message }) => told.push(`${title}: ${message}`));
});
after(() => {
  for (const name of missing) Reflect.deleteProperty(globalThis, name);
});
const sessions: Session[] = [];
afterEach(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.disconnect()));
  LyingSocket.welcome = WELCOME;
  LyingSocket.answer = () => ({ t: 'ok' });
  told.length = 0;
  peersMade = 0;
});

function makeSession(secret: string | undefined = SECRET): Session {
  const options = { serverUrl: 'https://hostile.example' };
  const session = new Session(
    'key',
    'session',
    secret ? { ...options, encryptionSecret: secret } : options,
  );
  sessions.push(session);
  return session;
}

const socket = (): LyingSocket => LyingSocket.sockets.at(-1)!;

async function connected(session = makeSession()): Promise<Session> {
  await session.connect.promise('token');
  return session;
}

const saying = (session: object): object => ({
  ...WELCOME,
  session: { ...WELCOME.session, ...session },
});

describe('a server that denies the encryption', () => {
  for (const lie of [
    { e2ee: false },
    { mediaMode: 'relayed' },
    { e2ee: false, mediaMode: 'relayed' },
    { e2ee: 'true' },
    { e2ee: null },
    { mediaMode: 'direct' },
    { mediaMode: null },
    { sessionId: 'another' },
  ]) {
    test(`${JSON.stringify(lie)}: a client with a secret makes nothing and says why`, async () => {
      LyingSocket.welcome = saying(lie);
      const session = makeSession();
      const states: string[] = [];
      session.on('encryptionStateChanged', ({ newValue }) => states.push(newValue));
      await assert.rejects(session.connect.promise('token'), /OT_(CONNECT_FAILED|UNEXPECTED)/);
      const { received } = socket();
      socket().say({ t: 'peerSubscribed', ...PEER });
      assert.deepEqual(states, ['required', 'refused']);
      assert.deepEqual(
        received.map(({ t }) => t),
        ['hello', 'bye'],
      );
      assert.equal(peersMade, 0);
      await assert.rejects(session.signal({ data: 'x' }), /not connected/);
    });
  }

  test('an encrypted relayed session is refused without a secret too', async () => {
    LyingSocket.welcome = saying({ mediaMode: 'relayed' });
    await assert.rejects(makeSession('').connect.promise('token'), /relayed/);
    assert.equal(peersMade, 0);
  });

  test('once it was an encrypted session, it cannot be a clear one', async () => {
    const session = await connected(makeSession(''));
    assert.equal(session.encryptionState, 'confirmed');
    await session.disconnect();
    LyingSocket.welcome = saying({ e2ee: false });
    await assert.rejects(session.connect.promise('token'), /not end-to-end encrypted/);
  });

  test('a secret for a clear session is refused', async () => {
    LyingSocket.welcome = saying({ e2ee: false });
    const session = await connected(makeSession(''));
    assert.equal(session.encryptionState, 'none');
    await assert.rejects(session.setEncryptionSecret(SECRET), /not end-to-end encrypted/);
  });

  test('a secret that is set while connecting counts', async () => {
    LyingSocket.welcome = saying({ e2ee: false });
    const session = makeSession('');
    const connecting = session.connect.promise('token');
    const setting = session.setEncryptionSecret(SECRET).catch(() => undefined);
    await assert.rejects(connecting, /not end-to-end encrypted/);
    await setting;
    LyingSocket.welcome = WELCOME;
    await connected(session);
    assert.equal(session.encryptionState, 'keyed');
  });
});

describe('a server of an encrypted session', () => {
  test('cannot make links between clients', async () => {
    await connected();
    socket().say({ t: 'peerSubscribed', connectionId: 'bob', ...PEER });
    socket().say({ t: 'peerDescriptionReceived', subscriberId: 's', type: 'offer', sdp: 'v=0' });
    socket().say({ t: 'peerCandidateReceived', subscriberId: 's', candidate: 'x', mid: '0' });
    assert.equal(peersMade, 0);
  });

  for (const lie of [{ e2ee: false }, { mediaMode: 'relayed' }, { sessionId: 'another' }]) {
    test(`cannot change it by a resume: ${JSON.stringify(lie)}`, async () => {
      const session = await connected();
      const reasons: string[] = [];
      session.on('sessionDisconnected', ({ reason }) => reasons.push(reason));
      LyingSocket.welcome = { ...saying(lie), resumed: true };
      socket().drop();
      await until(() => reasons.length > 0, 'the session goes on');
      assert.equal(session.encryptionState, 'refused');
      assert.match(told.join(), /differently/);
      assert.equal(session.connection, undefined);
    });
  }

  test('cannot make another client of it by a resume', async () => {
    const session = await connected();
    LyingSocket.welcome = {
      ...WELCOME,
      resumed: true,
      connection: { ...WELCOME.connection, connectionId: 'eve' },
    };
    socket().drop();
    await until(() => session.encryptionState === 'refused', 'the session goes on');
  });

  test('sends no message by the name of what every object has', async () => {
    const session = await connected();
    const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty', '__defineGetter__'];
    for (const t of names) socket().say({ t, streamId: 's', connectionId: 'bob' });
    assert.deepEqual(told, []);
    assert.equal(session.encryptionState, 'keyed');
  });

  test('announces the secret again after a resume', async () => {
    await connected();
    LyingSocket.welcome = { ...WELCOME, resumed: true };
    socket().drop();
    await until(
      () => socket().received.some(({ t }) => t === 'e2eeReady'),
      'nothing was announced on the new socket',
    );
  });

  test('cannot put words into the mouth of a member', async () => {
    const session = await connected();
    const heard: unknown[] = [];
    session.on('signal', ({ data, from, encrypted }) => heard.push([data, from, encrypted]));
    for (const from of ['bob', 'ada', 'nobody']) {
      socket().say({ t: 'signalReceived', from, type: '', data: `I am ${from}` });
    }
    socket().say({ t: 'signalReceived', from: 'nobody', encrypted: new Uint8Array(40) });
    socket().say({ t: 'signalReceived', encrypted: new Uint8Array(40) });
    await until(() => told.length === 5, `told: ${told.join()}`);
    // Those of nobody are not even tried.
    assert.equal(told.filter((one) => /from nobody in the session/.test(one)).length, 2);
    assert.deepEqual(heard, []);
    // Those of the REST API have no sender, and say that they were readable.
    socket().say({ t: 'signalReceived', type: '', data: 'maintenance at ten' });
    assert.deepEqual(heard, [['maintenance at ten', null, false]]);
  });

  test('cannot give a member another name by saying that it left and came back', async () => {
    const session = await connected();
    const seen: string[] = [];
    session.on('connectionCreated', ({ connection }) => seen.push(connection.data));
    for (const data of ['Eve', 'Mallory', undefined]) {
      const connection = { connectionId: 'eve', creationTime: 1, ...(data ? { data } : {}) };
      socket().say({ t: 'connectionCreated', connection });
      const reason = 'clientDisconnected';
      socket().say({ t: 'connectionDestroyed', connectionId: 'eve', reason });
    }
    assert.deepEqual(seen, ['Eve', 'Eve', 'Eve']);
  });

  test('cannot say that it archives or captions what it cannot read', async () => {
    const session = await connected();
    const seen: unknown[] = [];
    session.on('archiveStarted', ({ id }) => seen.push(id));
    session.on('archiveStopped', ({ id }) => seen.push(id));
    socket().say({ t: 'archiveStarted', id: 'a', name: 'board meeting' });
    socket().say({ t: 'archiveStopped', id: 'a', name: 'board meeting' });
    session.on('streamCreated', ({ stream }) => stream.hasCaptions && seen.push(stream));
    const stream = { streamId: 's', connectionId: 'bob', creationTime: 1, hasCaptions: true };
    socket().say({ t: 'streamCreated', stream });
    socket().say({ t: 'captionReceived', streamId: 's', caption: 'pay him', isFinal: true });
    assert.deepEqual(seen, []);
    assert.match(told.join(), /cannot record what .* cannot caption what it cannot decrypt/);
    assert.equal(session.encryptionState, 'keyed');
  });

  test('has a member that says itself that it records, until it stops or leaves', async () => {
    const send = await signalsOfBob(SECRET);
    const session = await connected();
    const seen: unknown[] = [];
    session.on('archiveStarted', ({ id, connection }) => seen.push(id, connection?.id));
    session.on('archiveStopped', ({ id, connection }) => seen.push(id, connection?.id));
    const say = (encrypted: Uint8Array): void =>
      socket().say({ t: 'signalReceived', from: 'bob', encrypted });
    say(await send('archiveStarted', '{"id":"a"}'));
    await until(() => seen.length === 2, 'the recorder is not shown');
    // The server says nothing of it, nor does the application's server.
    socket().say({ t: 'signalReceived', type: 'archiveStarted', data: '{"id":"c"}' });
    // Its signal is decrypted when it has left.
    say(await send('archiveStarted', '{"id":"late"}'));
    socket().say({ t: 'connectionDestroyed', connectionId: 'bob', reason: 'clientDisconnected' });
    assert.deepEqual(seen, ['a', 'bob', 'a', 'bob']);
    let signals = 0;
    session.on('signal', () => (signals += 1));
    await until(() => signals === 1, 'the signal is lost');
    assert.equal(seen.length, 4);
    assert.deepEqual(told, []);
  });

  test('cannot let a clear signal come from a member without a name, nor hand the worker a map', async () => {
    LyingSocket.welcome = { ...WELCOME, connections: [{ connectionId: '', creationTime: 1 }] };
    await assert.rejects(connected(), { name: 'OT_UNEXPECTED_SERVER_RESPONSE' });
    LyingSocket.welcome = WELCOME;
    const session = await connected();
    const heard: unknown[] = [];
    session.on('signal', ({ data }) => heard.push(data));
    socket().say({ t: 'signalReceived', from: '', type: '', data: 'I am Bob' });
    socket().say({ t: 'signalReceived', from: 'bob', encrypted: { length: 2e7 } });
    socket().say({ t: 'signalReceived', from: 'bob', encrypted: new Uint8Array(16_385) });
    // Of two that are misshapen alike one is told.
    await until(() => told.length === 2, `told: ${told.join()}`);
    assert.deepEqual(heard, []);
    assert.equal(told.filter((text) => text.includes('a form that no member sends')).length, 1);
  });

  test('cannot deliver a signal twice or elsewhere, nor after the connection began again', async () => {
    const send = await signalsOfBob(SECRET);
    const signal = (to: string): Promise<Uint8Array> => send('', `to ${to}`, to);
    const session = await connected();
    const heard: string[] = [];
    session.on('signal', ({ data }) => heard.push(data));
    const [toAll, toAda, toEve] = [await signal(''), await signal('ada'), await signal('eve')];
    const deliver = (): void => {
      for (const given of [toAll, toAda, toEve, toAll]) {
        socket().say({ t: 'signalReceived', from: 'bob', encrypted: given });
      }
    };
    deliver();
    await until(() => heard.length === 2 && told.length === 1, `heard ${heard.join()}`);
    assert.deepEqual(heard.sort(), ['to ', 'to ada']);
    assert.match(told.join(), /another member/);
    await session.disconnect();
    await connected(session);
    deliver();
    const fresh = await signal('');
    socket().say({ t: 'signalReceived', from: 'bob', encrypted: fresh });
    await until(() => heard.length >= 3, 'a new signal is not heard');
    assert.equal(heard.length, 3);
  });

  test('gets no signal under a replaced secret when the connection comes back', async () => {
    const session = await connected();
    LyingSocket.answer = ({ t }) => (t === 'signal' ? undefined : { t: 'ok' });
    const fails = (data: string): Promise<void> =>
      assert.rejects(session.signal({ data }), /secret that was replaced/);
    const sent = fails('not answered');
    const before = socket();
    await until(() => before.received.some(({ t }) => t === 'signal'), 'no signal left');
    LyingSocket.welcome = { ...WELCOME, resumed: true, lastRequest: 0 };
    let open = (): void => undefined;
    LyingSocket.gate = new Promise((resolve) => (open = resolve));
    before.drop();
    const waiting = fails('after the cut');
    await session.setEncryptionSecret('the next secret', { immediate: true });
    open();
    await Promise.all([sent, waiting]);
    session.signal({ data: 'under the new one' }).catch(() => undefined);
    const signals = (): Message[] => socket().received.filter(({ t }) => t === 'signal');
    await until(() => signals().length > 0, 'the new signal does not leave');
    const announced = socket().received.filter(({ t }) => t === 'e2eeReady');
    const [{ encrypted } = { encrypted: undefined }, ...others] = signals();
    const bytes = encrypted as Uint8Array;
    assert.equal(((bytes[7] ?? 0) << 8) | (bytes[8] ?? 0), announced.at(-1)?.['hint']);
    assert.deepEqual(others, []);
  });

  test('has one worker for all connections of a Session object, none for a clear one', async () => {
    const before = InlineWorker.made;
    const session = await connected();
    await session.disconnect();
    await connected(session);
    assert.equal(InlineWorker.made, before + 1);
  });

  test('that expels the client does not get it back', async () => {
    const session = await connected();
    const reasons: string[] = [];
    session.on('sessionDisconnected', ({ reason }) => reasons.push(reason));
    const sockets = LyingSocket.sockets.length;
    socket().onclose?.({ code: 4430 });
    // Applications join again after "networkDisconnected", and would be expelled again.
    assert.deepEqual(reasons, ['forceDisconnected']);
    assert.equal(LyingSocket.sockets.length, sockets);
  });

  test('that ends the session while the secret changes makes no error of it', async () => {
    const session = await connected();
    const settings = [session.setEncryptionSecret('the next secret')];
    await new Promise((resolve) => setImmediate(resolve));
    settings.push(session.setEncryptionSecret('the one after it'));
    socket().onclose?.({ code: 4403 });
    await Promise.all(settings);
    assert.equal(session.encryptionState, 'required');
    assert.deepEqual(told, []);
  });

  test('and a worker that ended: the session is over, says so, and does not go on', async () => {
    const session = await connected();
    const reasons: string[] = [];
    session.on('sessionDisconnected', ({ reason }) => reasons.push(reason));
    const { last: worker } = InlineWorker;
    worker?.onerror?.();
    worker?.onerror?.();
    assert.deepEqual(reasons, ['encryptionFailed']);
    assert.match(
      told.join(),
      /^OT_ENCRYPTION_INTERNAL_ERROR: [^,]*worker[^,]*, and load the page again$/,
    );
    assert.equal(worker?.isTerminated, true);
    assert.equal(session.encryptionState, 'required');
    await assert.rejects(session.signal({ data: 'x' }), /not connected/);
    await assert.rejects(session.connect.promise('token'), /worker of this session ended/);
  });

  test('and a worker that ends while it connects', async () => {
    const session = makeSession();
    const connecting = session.connect.promise('token');
    InlineWorker.last?.onerror?.();
    await assert.rejects(connecting, /worker/);
    assert.equal(session.encryptionState, 'required');
  });

  test('and a worker without which a clear session goes on', async () => {
    LyingSocket.welcome = saying({ e2ee: false });
    const session = makeSession('');
    const connecting = session.connect.promise('token');
    InlineWorker.last?.onerror?.();
    await connecting;
    assert.equal(session.encryptionState, 'none');
  });

  for (const [name, answer] of [
    ['with errors', () => ({ t: 'error', code: 'x', name: 'OT_X', number: 1, message: 'no' })],
    ['with silence', () => undefined],
  ] as const) {
    test(`cannot stop a change of the secret ${name}`, async () => {
      const session = await connected();
      const before = await session.getVerificationCode();
      LyingSocket.answer = answer;
      await session.setEncryptionSecret('the next secret', { immediate: true });
      assert.notEqual(await session.getVerificationCode(), before);
      session.signal({ data: 'x' }).catch(() => undefined);
      const isSignal = ({ t }: Message): boolean => t === 'signal';
      await until(() => socket().received.some(isSignal), 'no signal left');
      const hint = (of: Message | undefined): number => of?.['hint'] as number;
      const announced = socket().received.filter(({ t }) => t === 'e2eeReady');
      const encrypted = socket().received.find(isSignal)?.['encrypted'] as Uint8Array;
      const under = ((encrypted[7] ?? 0) << 8) | (encrypted[8] ?? 0);
      assert.equal(under, hint(announced.at(-1)));
      assert.notEqual(under, hint(announced[0]));
    });
  }
});

describe('a script of the page', () => {
  test('finds the secret nowhere on a Session, whatever became of it', async () => {
    const next = 'the next secret';
    const sessions = new Map([
      ['fresh', makeSession()],
      ['connected', await connected()],
      ['changed', await connected()],
      ['left', await connected()],
    ]);
    await sessions.get('changed')?.setEncryptionSecret(next);
    await sessions.get('left')?.disconnect();
    const isWorker = (value: unknown): boolean => value instanceof InlineWorker;
    for (const secret of [SECRET, next]) {
      const { found, count } = pathsTo(secret, Object.fromEntries(sessions), isWorker);
      assert.deepEqual(found, []);
      assert.ok(count > 200, `only ${count} objects were looked at`);
    }
  });

  test('that observes a Session through a proxy can use it', async () => {
    const session = observed(makeSession());
    await session.connect.promise('token');
    assert.equal(session.encryptionState, 'keyed');
    await session.setEncryptionSecret('the next secret');
  });
});

/** As frameworks do it: plain objects and class instances, and what they hold, unless frozen. */
function observed<Value extends object>(target: Value): Value {
  return new Proxy(target, {
    get(from, key, receiver) {
      const value: unknown = Reflect.get(from, key, receiver);
      const isPlain = Object.prototype.toString.call(value) === '[object Object]';
      return isPlain && Object.isExtensible(value) ? observed(value as object) : value;
    },
  });
}

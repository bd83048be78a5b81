import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Notice, Requests, RequestType, TransformOptions } from '../../src/e2ee/protocol';
import type { EncodedFrame } from '../../src/e2ee/worker-core';
import { WorkerCore } from '../../src/e2ee/worker-core';
import { hex, toHex } from '../support';

class Peer {
  readonly notices: Notice[] = [];
  now = 0;
  closed = false;
  private readonly core = new WorkerCore(
    (notice) => this.notices.push(notice),
    () => this.now,
  );

  ask<Type extends RequestType>(type: Type, body: Requests[Type][0]): Promise<Requests[Type][1]> {
    return this.core.handle({ type, id: 1, ...body } as never) as Promise<Requests[Type][1]>;
  }

  secret(secret: string, immediate = false): Promise<Requests['setSecret'][1]> {
    return this.ask('setSecret', { secret, sessionId: 'session', immediate });
  }

  attach(options: TransformOptions): void {
    this.core.attach(options, undefined);
  }

  /** The frame as it goes on, or `undefined` when it was dropped. */
  async pass(
    options: TransformOptions,
    data: string,
    mimeType?: string,
  ): Promise<string | undefined> {
    let output: string | undefined;
    const frame: EncodedFrame = {
      data: hex(data).buffer,
      getMetadata: () => (mimeType === undefined ? {} : { mimeType }),
    };
    this.core.onArrival(options, frame);
    await this.core.onFrame(options, frame, ({ data: passed }) => {
      if (this.closed) throw new TypeError('the stream is closed');
      output = toHex(new Uint8Array(passed));
    });
    return output;
  }

  async publish(track: string, streamId: string): Promise<void> {
    const { kid } = await this.ask('prepare', { track, publication: `of ${streamId}` });
    const owner = { connectionId: 'ada', streamId };
    assert.deepEqual(await this.ask('startSender', { track, codec: undefined, ...owner }), { kid });
  }

  async subscribe(streamId = 'stream', track = 'down-0'): Promise<void> {
    await this.ask('bindReceiver', { track, kind: 'audio', connectionId: 'ada', streamId });
  }
}

const SEND: TransformOptions = { role: 'send', track: 'up-0', kind: 'audio' };
const RECEIVE: TransformOptions = { role: 'receive', track: 'down-0', kind: 'audio' };
const PLAIN = '7801020304';
/** A fresh look: assertions narrow the type of what they have seen empty. */
const heard = (notices: readonly Notice[]): readonly Notice[] => notices;

describe('the e2ee worker', () => {
  test('lets no frame out before it has a key, and no frame in before it can decrypt it', async () => {
    const peer = new Peer();
    peer.attach(SEND);
    assert.equal(await peer.pass(SEND, PLAIN, 'audio/opus'), undefined);
    assert.equal(await peer.pass(RECEIVE, PLAIN, 'audio/opus'), undefined);
    await peer.secret('a long secret');
    assert.equal(await peer.pass(SEND, PLAIN, 'audio/opus'), undefined);
    await assert.rejects(
      new Peer().ask('prepare', { track: 'up-0', publication: 'p' }),
      /no secret/,
    );
    assert.deepEqual(peer.notices, []);
  });

  test('says that a sender runs only when both its transform and its key are there', async () => {
    const late = new Peer();
    await late.secret('a long secret');
    await late.publish('up-0', 'stream');
    assert.deepEqual(late.notices, []);
    late.attach(SEND);
    assert.deepEqual(late.notices, [{ type: 'running', track: 'up-0' }]);
    assert.ok(await late.pass(SEND, PLAIN));
    assert.ok(await late.pass(SEND, PLAIN));
    assert.deepEqual(late.notices.slice(1), [{ type: 'encrypted', track: 'up-0' }]);

    const early = new Peer();
    early.attach(SEND);
    await early.secret('a long secret');
    assert.deepEqual(early.notices, []);
    await early.publish('up-0', 'stream');
    assert.deepEqual(early.notices, [{ type: 'running', track: 'up-0' }]);
    await early.publish('up-0', 'next stream');
    assert.equal(early.notices.length, 2);
  });

  test('takes the end of a track for no fault while its last frame is in work', async () => {
    const peer = new Peer();
    peer.attach(SEND);
    await peer.secret('a long secret');
    await peer.publish('up-0', 'stream');
    peer.closed = true;
    assert.equal(await peer.pass(SEND, PLAIN, 'audio/opus'), undefined);
    assert.deepEqual(
      peer.notices.map(({ type }) => type),
      ['running', 'encrypted'],
    );
  });

  test('starts no track that was released since it was prepared', async () => {
    const peer = new Peer();
    await peer.secret('a long secret');
    await peer.ask('prepare', { track: 'up-0', publication: 'p' });
    await peer.ask('releaseSender', { track: 'up-0' });
    const owner = { connectionId: 'ada', streamId: 'stream' };
    await assert.rejects(
      peer.ask('startSender', { track: 'up-0', codec: undefined, ...owner }),
      /released/,
    );
    await peer.secret('another secret', true);
    assert.deepEqual(peer.notices, []);
  });

  test('encrypts for a peer with the same secret, and for nobody else', async () => {
    const [ada, bob, eve] = [new Peer(), new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    await eve.secret('another secret');
    await ada.publish('up-0', 'stream');
    bob.attach(RECEIVE);
    for (const peer of [bob, eve]) {
      await peer.subscribe();
    }
    const wire = await ada.pass(SEND, PLAIN, 'audio/opus');
    assert.ok(wire && !wire.includes(PLAIN));
    assert.equal(await bob.pass(RECEIVE, wire, 'audio/opus'), PLAIN);
    assert.equal(await eve.pass(RECEIVE, wire, 'audio/opus'), undefined);
    assert.deepEqual(await bob.ask('counters', {}), {
      sent: {},
      received: {
        'down-0': { isAttached: true, bytes: wire.length / 2, given: 1, decrypted: 1, failed: 0 },
      },
      stalls: 0,
    });
    const { received } = (await eve.ask('counters', {})) as { received: Record<string, object> };
    const refused = { bytes: wire.length / 2, given: 0, decrypted: 0, failed: 1 };
    assert.deepEqual(received['down-0'], { isAttached: false, ...refused });
  });

  test('drops frames of codecs that have no format and says so once', async () => {
    const peer = new Peer();
    await peer.secret('a long secret');
    await peer.publish('up-0', 'stream');
    for (let index = 0; index < 3; index += 1) {
      assert.equal(await peer.pass(SEND, PLAIN, 'audio/red'), undefined);
    }
    assert.deepEqual(peer.notices, [{ type: 'unsupportedCodec', track: 'up-0', role: 'send' }]);
    assert.ok(await peer.pass(SEND, PLAIN));
  });

  test('drops video whose codec nobody but the server names, with all of its bytes', async () => {
    const peer = new Peer();
    await peer.secret('a long secret');
    await peer.publish('up-0', 'stream');
    const video = { ...SEND, kind: 'video' } as const;
    assert.equal(await peer.pass(video, PLAIN), undefined);
    await peer.ask('setCodec', { track: 'up-0', codec: 'video/VP9' });
    assert.ok(await peer.pass(video, PLAIN));
    // The frame's own word counts more.
    assert.equal(await peer.pass(video, PLAIN, 'video/H265'), undefined);
  });

  test('never lets a received frame pass in the clear', async () => {
    const peer = new Peer();
    await peer.secret('a long secret');
    await peer.subscribe();
    for (const mimeType of ['audio/opus', 'video/VP8', 'video/VP9', 'video/H264', 'video/AV1']) {
      assert.equal(await peer.pass(RECEIVE, PLAIN, mimeType), undefined);
    }
  });

  test('reports a mismatch after 400 ms of frames it cannot open, then the match', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('another secret')]);
    await ada.publish('up-0', 'stream');
    await bob.subscribe();
    const deliver = async (): Promise<string | undefined> => {
      bob.now += 20;
      return bob.pass(RECEIVE, (await ada.pass(SEND, PLAIN, 'audio/opus')) ?? '', 'audio/opus');
    };
    for (let index = 0; index < 20; index += 1) assert.equal(await deliver(), undefined);
    assert.deepEqual(bob.notices, []);
    assert.equal(await deliver(), undefined);
    const [failing] = heard(bob.notices).filter(({ type }) => type === 'health');
    assert.ok(failing?.type === 'health');
    assert.deepEqual([failing.track, failing.change, failing.decrypted], ['down-0', 'failing', 0]);
    assert.ok(failing.failed >= 5);
    await bob.secret('a long secret');
    assert.equal(await deliver(), PLAIN);
    const ok = heard(bob.notices)[1];
    assert.ok(ok?.type === 'health');
    assert.deepEqual([ok.track, ok.change, ok.decrypted], ['down-0', 'ok', 1]);
  });

  test('changes the secret between two frames without losing one', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    await ada.publish('up-0', 'stream');
    await bob.subscribe();
    const deliver = async (): Promise<string | undefined> =>
      bob.pass(RECEIVE, (await ada.pass(SEND, PLAIN, 'audio/opus')) ?? '', 'audio/opus');
    assert.equal(await deliver(), PLAIN);
    await Promise.all([ada.secret('the next secret'), bob.secret('the next secret')]);
    const { kid } = await ada.ask('prepareNext', { track: 'up-0' });
    assert.ok(kid);
    assert.equal(await deliver(), PLAIN);
    assert.deepEqual(await ada.ask('switch', {}), { kids: { 'up-0': kid } });
    const wire = (await ada.pass(SEND, PLAIN, 'audio/opus')) ?? '';
    assert.ok(wire.startsWith(`f0${toHex(kid)}`));
    assert.equal(await bob.pass(RECEIVE, wire, 'audio/opus'), PLAIN);
    assert.deepEqual(await ada.ask('prepareNext', { track: 'up-0' }), { kid: null });
  });

  test('has switched when an immediate change returns, media and signals', async () => {
    const [ada, eve] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), eve.secret('a long secret')]);
    await ada.publish('up-0', 'stream');
    await eve.subscribe();
    const underway = ada.pass(SEND, PLAIN);
    const { kids, isNew } = await ada.secret('the next secret', true);
    assert.ok(isNew && kids['up-0']);
    await underway;
    const wire = (await ada.pass(SEND, PLAIN)) ?? '';
    assert.ok(wire.startsWith(`f0${toHex(kids['up-0'])}`));
    assert.equal(await eve.pass(RECEIVE, wire), undefined);
    const content = { connectionId: 'ada', to: '', signalType: '', data: 'secret plans' };
    const { encrypted } = await ada.ask('encryptSignal', content);
    const decrypted = await eve.ask('decryptSignal', { from: 'ada', to: 'eve', encrypted });
    assert.deepEqual(decrypted, { refused: 'secret' });
  });

  test('lets no signal out that was being encrypted when senders switched', async () => {
    const ada = new Peer();
    await ada.secret('a long secret');
    const { hint } = await ada.secret('the next secret');
    const content = { connectionId: 'ada', to: '', signalType: '', data: 'x' };
    // The key of its context is still being derived when the switch comes.
    const underway = ada.ask('encryptSignal', content);
    await ada.ask('switch', {});
    const { encrypted } = await underway;
    assert.equal(((encrypted[7] ?? 0) << 8) | (encrypted[8] ?? 0), hint);
  });

  test('forgets the codec of a track when another subscription gets it', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    const [send, receive] = [SEND, RECEIVE].map((of) => ({ ...of, kind: 'video' as const }));
    assert.ok(send && receive);
    await ada.publish('up-0', 'stream');
    await bob.ask('bindReceiver', {
      ...{ track: 'down-0', kind: 'video', connectionId: 'ada', streamId: 'stream' },
    });
    const frames = [
      await ada.pass(send, PLAIN, 'video/VP9'),
      await ada.pass(send, PLAIN, 'video/VP9'),
    ];
    await bob.ask('setCodec', { track: 'down-0', codec: 'video/VP9' });
    assert.equal(await bob.pass(receive, frames[0] ?? ''), PLAIN);
    await bob.ask('bindReceiver', {
      ...{ track: 'down-0', kind: 'video', connectionId: 'ada', streamId: 'stream' },
    });
    assert.equal(await bob.pass(receive, frames[1] ?? ''), undefined);
  });

  test('publishes under the secret in use when the stream starts, not when it was prepared', async () => {
    const ada = new Peer();
    await ada.secret('a long secret');
    const { kid } = await ada.ask('prepare', { track: 'up-0', publication: 'p' });
    await ada.secret('the next secret', true);
    const owner = { connectionId: 'ada', streamId: 'stream' };
    const started = await ada.ask('startSender', { track: 'up-0', codec: undefined, ...owner });
    assert.notDeepEqual(started.kid, kid);
    assert.notDeepEqual(started.kid.subarray(6), kid.subarray(6));
    const wire = (await ada.pass(SEND, PLAIN)) ?? '';
    assert.ok(wire.startsWith(`f0${toHex(started.kid)}`));
  });

  test('gives audio and video of one stream one sender part, and every stream another', async () => {
    const ada = new Peer();
    await ada.secret('a long secret');
    const kids = await Promise.all(
      [
        ['up-0', 'p'],
        ['up-1', 'p'],
        ['up-2', 'q'],
      ].map(async ([track = '', publication = '']) => {
        const { kid } = await ada.ask('prepare', { track, publication });
        return toHex(kid).slice(0, 8);
      }),
    );
    assert.equal(kids[0], kids[1]);
    assert.notEqual(kids[0], kids[2]);
  });

  test('remembers what it decrypted over a new m-line, another subscription and another stay', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    await ada.publish('up-0', 'stream');
    await bob.subscribe();
    const wire = (await ada.pass(SEND, PLAIN)) ?? '';
    assert.equal(await bob.pass(RECEIVE, wire), PLAIN);
    await bob.subscribe();
    assert.equal(await bob.pass(RECEIVE, wire), undefined);
    await bob.subscribe('stream', 'down-1');
    assert.equal(await bob.pass({ ...RECEIVE, track: 'down-1' }, wire), undefined);
    await bob.ask('leave', {});
    assert.equal(await bob.pass(RECEIVE, wire), undefined);
    await bob.secret('a long secret');
    await bob.subscribe('stream', 'down-2');
    const later = { ...RECEIVE, track: 'down-2' };
    assert.equal(await bob.pass(later, wire), undefined);
    const next = (await ada.pass(SEND, PLAIN)) ?? '';
    assert.equal(await bob.pass(later, next), PLAIN);
  });

  test('sends nothing after a stay ended, and takes no secret that was for it', async () => {
    const ada = new Peer();
    await ada.secret('a long secret');
    await ada.publish('up-0', 'stream');
    const late = ada.secret('the next secret');
    await ada.ask('leave', {});
    await assert.rejects(late, /ended/);
    assert.equal(await ada.pass(SEND, PLAIN), undefined);
    await assert.rejects(ada.ask('verificationCode', {}), /no secret/);
  });

  test('setting the same secret again changes nothing, for senders and for receivers', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    await ada.publish('up-0', 'stream');
    await bob.subscribe();
    assert.equal(await bob.pass(RECEIVE, (await ada.pass(SEND, PLAIN)) ?? ''), PLAIN);
    for (const peer of [ada, bob]) {
      assert.equal((await peer.secret('a long secret')).isNew, false);
    }
    assert.deepEqual(await ada.ask('switch', {}), { kids: {} });
    assert.equal(await bob.pass(RECEIVE, (await ada.pass(SEND, PLAIN)) ?? ''), PLAIN);
  });

  test('drops frames of the other kind on a track, whatever the offer called it', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    await ada.publish('up-0', 'stream');
    await bob.subscribe();
    const wire = (await ada.pass({ ...SEND, kind: 'video' }, PLAIN, 'video/VP9')) ?? '';
    assert.ok(wire);
    assert.equal(await bob.pass({ ...RECEIVE, kind: 'video' }, wire, 'video/VP9'), undefined);
  });

  test('encrypts signals for members, bound to sender and addressee, and opens each once', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    const content = { connectionId: 'ada', signalType: 'chat', data: 'grüß dich 🔑' };
    const { encrypted } = await ada.ask('encryptSignal', { ...content, to: 'bob' });
    assert.ok(!toHex(encrypted).includes(toHex(new TextEncoder().encode('chat'))));
    const decrypted = { signalType: 'chat', data: 'grüß dich 🔑' };
    const open = (from: string, to: string, of = encrypted): Promise<unknown> =>
      bob.ask('decryptSignal', { from, to, encrypted: of });
    assert.deepEqual(await open('eve', 'bob'), { refused: 'auth' });
    assert.deepEqual(await open('ada', 'bob'), decrypted);
    assert.deepEqual(await open('ada', 'bob'), { refused: 'replay' });
    const next = await ada.ask('encryptSignal', { ...content, to: 'carol' });
    assert.deepEqual(await open('ada', 'bob', next.encrypted), { refused: 'addressee' });
    const toAll = await ada.ask('encryptSignal', { ...content, to: '' });
    assert.deepEqual(await open('ada', 'bob', toAll.encrypted), decrypted);
    await bob.ask('leave', {});
    await bob.secret('a long secret');
    assert.deepEqual(await open('ada', 'bob', toAll.encrypted), { refused: 'replay' });
  });

  test('gives members with one secret the same verification code, and others another', async () => {
    const peers = [new Peer(), new Peer(), new Peer()];
    const secrets = ['a long secret', 'a long secret', 'another secret'];
    await Promise.all(peers.map((peer, index) => peer.secret(secrets[index] ?? '')));
    const codes = await Promise.all(
      peers.map(async (peer) => (await peer.ask('verificationCode', {})).code),
    );
    assert.match(codes[0] ?? '', /^(\d{5} ){5}\d{5}$/);
    assert.equal(codes[0], codes[1]);
    assert.notEqual(codes[0], codes[2]);
  });
});

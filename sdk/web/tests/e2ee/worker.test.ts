import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Notice, Requests, RequestType, TransformOptions } from '../../src/e2ee/protocol';
import type { EncodedFrame } from '../../src/e2ee/worker-core';
import { WorkerCore } from '../../src/e2ee/worker-core';
import { hex, toHex } from '../support';

class Peer {
  readonly notices: Notice[] = [];
  now = 0;
  private readonly core = new WorkerCore(
    (notice) => this.notices.push(notice),
    () => this.now,
  );

  ask<Type extends RequestType>(type: Type, body: Requests[Type][0]): Promise<Requests[Type][1]> {
    return this.core.handle({ type, id: 1, ...body } as never) as Promise<Requests[Type][1]>;
  }

  secret(secret: string): Promise<{ hint: number }> {
    return this.ask('setSecret', { secret, sessionId: 'session', immediate: false });
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
    await this.core.onFrame(options, frame, ({ data: passed }) => {
      output = toHex(new Uint8Array(passed));
    });
    return output;
  }

  async publish(track: string, streamId: string): Promise<void> {
    const { kid } = await this.ask('prepare', { track });
    await this.ask('bindSender', { track, streamId });
    assert.deepEqual(await this.ask('activate', { track, kid }), { isActive: true });
  }
}

const SEND: TransformOptions = { role: 'send', track: 'up-0', kind: 'audio' };
const RECEIVE: TransformOptions = { role: 'receive', track: 'down-0', kind: 'audio' };
const PLAIN = '7801020304';
/** A fresh look: assertions narrow the type of what they have seen empty. */
const heard = (notices: readonly Notice[]): readonly Notice[] => notices;

describe('the e2ee worker', () => {
  test('lets no frame out before it has a key, and no frame in before it can open it', async () => {
    const peer = new Peer();
    peer.attach(SEND);
    assert.equal(await peer.pass(SEND, PLAIN, 'audio/opus'), undefined);
    assert.equal(await peer.pass(RECEIVE, PLAIN, 'audio/opus'), undefined);
    await peer.secret('a long secret');
    assert.equal(await peer.pass(SEND, PLAIN, 'audio/opus'), undefined);
    await assert.rejects(new Peer().ask('prepare', { track: 'up-0' }), /no secret/);
    assert.deepEqual(peer.notices, []);
  });

  test('says that a sender runs only when both its transform and its key are there', async () => {
    const late = new Peer();
    await late.secret('a long secret');
    await late.publish('up-0', 'stream');
    assert.deepEqual(late.notices, []);
    late.attach(SEND);
    assert.deepEqual(late.notices, [{ type: 'running', track: 'up-0' }]);

    const early = new Peer();
    early.attach(SEND);
    await early.secret('a long secret');
    assert.deepEqual(early.notices, []);
    await early.publish('up-0', 'stream');
    assert.deepEqual(early.notices, [{ type: 'running', track: 'up-0' }]);
    await early.publish('up-0', 'next stream');
    assert.equal(early.notices.length, 2);
  });

  test('seals for a peer with the same secret, and for nobody else', async () => {
    const [ada, bob, eve] = [new Peer(), new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    await eve.secret('another secret');
    await ada.publish('up-0', 'stream');
    for (const peer of [bob, eve]) {
      await peer.ask('bindReceiver', { track: 'down-0', streamId: 'stream' });
    }
    const wire = await ada.pass(SEND, PLAIN, 'audio/opus');
    assert.ok(wire && !wire.includes(PLAIN));
    assert.equal(await bob.pass(RECEIVE, wire, 'audio/opus'), PLAIN);
    assert.equal(await eve.pass(RECEIVE, wire, 'audio/opus'), undefined);
    assert.deepEqual(await bob.ask('counters', {}), {
      sent: {},
      received: { 'down-0': { seen: 1, opened: 1, failed: 0 } },
    });
  });

  test('drops frames of codecs that have no format and says so once', async () => {
    const peer = new Peer();
    await peer.secret('a long secret');
    await peer.publish('up-0', 'stream');
    for (let index = 0; index < 3; index += 1) {
      assert.equal(await peer.pass(SEND, PLAIN, 'audio/red'), undefined);
    }
    assert.deepEqual(peer.notices, [{ type: 'unsupportedCodec', track: 'up-0', role: 'send' }]);
    await peer.ask('setCodec', { track: 'up-0', mimeType: 'audio/opus' });
    assert.ok(await peer.pass(SEND, PLAIN));
  });

  test('never lets a received frame pass in the clear', async () => {
    const peer = new Peer();
    await peer.secret('a long secret');
    await peer.ask('bindReceiver', { track: 'down-0', streamId: 'stream' });
    for (const mimeType of ['audio/opus', 'video/VP8', 'video/VP9', 'video/H264', 'video/AV1']) {
      assert.equal(await peer.pass(RECEIVE, PLAIN, mimeType), undefined);
    }
  });

  test('reports a mismatch after 400 ms of frames it can not open, then the match', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('another secret')]);
    await ada.publish('up-0', 'stream');
    await bob.ask('bindReceiver', { track: 'down-0', streamId: 'stream' });
    const deliver = async (): Promise<string | undefined> => {
      bob.now += 20;
      return bob.pass(RECEIVE, (await ada.pass(SEND, PLAIN, 'audio/opus')) ?? '', 'audio/opus');
    };
    for (let index = 0; index < 20; index += 1) assert.equal(await deliver(), undefined);
    assert.deepEqual(bob.notices, []);
    assert.equal(await deliver(), undefined);
    const [failing] = heard(bob.notices);
    assert.ok(failing?.type === 'health');
    assert.deepEqual([failing.track, failing.change, failing.opened], ['down-0', 'failing', 0]);
    assert.ok(failing.failed >= 5);
    await bob.secret('a long secret');
    assert.equal(await deliver(), PLAIN);
    const ok = heard(bob.notices)[1];
    assert.ok(ok?.type === 'health');
    assert.deepEqual([ok.track, ok.change, ok.opened], ['down-0', 'ok', 1]);
  });

  test('changes the secret between two frames without losing one', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    await ada.publish('up-0', 'stream');
    await bob.ask('bindReceiver', { track: 'down-0', streamId: 'stream' });
    const deliver = async (): Promise<string | undefined> =>
      bob.pass(RECEIVE, (await ada.pass(SEND, PLAIN, 'audio/opus')) ?? '', 'audio/opus');
    assert.equal(await deliver(), PLAIN);
    await Promise.all([ada.secret('the next secret'), bob.secret('the next secret')]);
    const { kid } = await ada.ask('prepare', { track: 'up-0' });
    assert.equal(await deliver(), PLAIN);
    assert.deepEqual(await ada.ask('activate', { track: 'up-0', kid }), { isActive: true });
    const wire = (await ada.pass(SEND, PLAIN, 'audio/opus')) ?? '';
    assert.ok(wire.startsWith(`f0${toHex(kid)}`));
    assert.equal(await bob.pass(RECEIVE, wire, 'audio/opus'), PLAIN);
  });

  test('seals signals for members, bound to their sender, and opens each once', async () => {
    const [ada, bob] = [new Peer(), new Peer()];
    await Promise.all([ada.secret('a long secret'), bob.secret('a long secret')]);
    const { sealed } = await ada.ask('sealSignal', {
      connectionId: 'ada',
      signalType: 'chat',
      data: 'grüß dich 🔑',
    });
    assert.ok(!toHex(sealed).includes(toHex(new TextEncoder().encode('chat'))));
    assert.deepEqual(await bob.ask('openSignal', { connectionId: 'eve', sealed }), {
      refused: 'auth',
    });
    assert.deepEqual(await bob.ask('openSignal', { connectionId: 'ada', sealed }), {
      signalType: 'chat',
      data: 'grüß dich 🔑',
    });
    assert.deepEqual(await bob.ask('openSignal', { connectionId: 'ada', sealed }), {
      refused: 'replay',
    });
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

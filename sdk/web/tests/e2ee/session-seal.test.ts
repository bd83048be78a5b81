import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { E2eeClient } from '../../src/e2ee/client';
import type { Notice, Request, Requests, RequestType } from '../../src/e2ee/protocol';
import { SessionSeal } from '../../src/e2ee/session-seal';
import type { EncodedFrame } from '../../src/e2ee/worker-core';
import { WorkerCore } from '../../src/e2ee/worker-core';
import type { RequestMessage } from '../../src/signaling/channel';
import { FakeClock, toHex, until } from '../support';

/** The worker's core behind the client's interface, in this thread. */
class DirectClient {
  readonly asked: string[] = [];
  private readonly listeners = new Set<(notice: Notice) => void>();
  readonly core: WorkerCore;

  constructor(clock: FakeClock) {
    this.core = new WorkerCore(
      (notice) => this.listeners.forEach((listener) => listener(notice)),
      () => clock.now(),
    );
  }

  onNotice(listener: (notice: Notice) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  request<Type extends RequestType>(type: Type, body: object): Promise<Requests[Type][1]> {
    this.asked.push(type);
    return this.core.handle({ type, id: 0, ...body } as Request) as Promise<Requests[Type][1]>;
  }

  attach(_endpoint: unknown, options: { role: 'send' | 'receive'; track: string }): void {
    this.core.attach({ ...options, kind: 'video' }, undefined);
  }

  close(): void {
    this.listeners.clear();
  }
}

class Stage {
  readonly clock = new FakeClock();
  readonly client = new DirectClient(this.clock);
  readonly sent: RequestMessage[] = [];
  readonly errors: unknown[] = [];
  readonly keyFrames: unknown[] = [];
  readonly seal = new SessionSeal(
    'session',
    this.client as unknown as E2eeClient,
    this.clock,
    (error) => this.errors.push(error),
  );

  readonly sender = {
    track: { kind: 'video' },
    getParameters: () => ({ encodings: [{}] }),
    setParameters: (_parameters: unknown, options: unknown) => {
      this.keyFrames.push(options);
      return Promise.resolve();
    },
  } as unknown as RTCRtpSender;

  async connected(secret = 'a long secret'): Promise<this> {
    await this.seal.setSecret(secret);
    await this.seal.connected((message) => {
      this.sent.push(message);
      return Promise.resolve({ t: 'ok', re: 1 });
    });
    return this;
  }

  async publish(track = 'up-0'): Promise<Uint8Array> {
    this.seal.attachSender(this.sender, track, 'video');
    const kid = await this.seal.prepareSender(track);
    const { sender } = this;
    await this.seal.startSender(track, { streamId: 's', mid: '0', mimeType: 'video/vp8', sender });
    return kid;
  }

  messages(tag: string): RequestMessage[] {
    return this.sent.filter(({ t }) => t === tag);
  }

  declared(): string[][] {
    return this.sent.flatMap((message) =>
      message.t === 'declareKids' ? [message.kids.map(toHex)] : [],
    );
  }

  activations(): number {
    return this.client.asked.filter((type) => type === 'activate').length;
  }

  async untilActivations(count: number): Promise<void> {
    await until(() => this.activations() === count, `not ${count} activations`);
  }

  async untilDeclared(count: number): Promise<void> {
    await until(() => this.declared().length === count, `not ${count} declarations`);
    // What follows a declaration waits for its answer.
    await until(() => this.seal['schedule'].isPending, 'no switch is pending');
  }
}

describe('a sealed session', () => {
  test('announces its secret when it is connected, and every new one', async () => {
    const stage = await new Stage().connected();
    assert.equal(stage.messages('e2eeReady').length, 1);
    await stage.seal.setSecret('the next secret');
    await until(() => stage.messages('e2eeReady').length === 2, 'no second announcement');
    const hints = stage.messages('e2eeReady').map((message) => 'hint' in message && message.hint);
    assert.equal(new Set(hints).size, 2);
  });

  test('declares the new key beside the old one, switches when all are ready, then lets go of the old', async () => {
    const stage = await new Stage().connected();
    const old = toHex(await stage.publish());
    assert.equal(stage.seal.onAnnounced('bob', 1), false);
    await stage.seal.setSecret('the next secret');
    await stage.untilDeclared(1);
    const [[first, next] = []] = stage.declared();
    assert.equal(first, old);
    assert.notEqual(next, old);
    assert.equal(stage.activations(), 1);

    const announced = stage.messages('e2eeReady').at(-1);
    assert.ok(announced?.t === 'e2eeReady');
    assert.equal(stage.seal.onAnnounced('bob', announced.hint), true);
    await until(() => stage.keyFrames.length > 0, 'no key frame was asked for');
    assert.equal(stage.activations(), 2);
    assert.deepEqual(stage.keyFrames, [{ encodingOptions: [{ keyFrame: true }] }]);
    assert.ok(stage.client.asked.includes('switchSignals'));

    await stage.clock.advance(9_999);
    assert.equal(stage.declared().length, 1);
    await stage.clock.advance(1);
    assert.deepEqual(stage.declared()[1], [next]);
    assert.deepEqual(stage.errors, []);
  });

  test('switches after five seconds though somebody is not ready, and at once when asked so', async () => {
    const stage = await new Stage().connected();
    await stage.publish();
    stage.seal.onAnnounced('bob', 1);
    await stage.seal.setSecret('the next secret');
    await stage.untilDeclared(1);
    await stage.clock.advance(4_999);
    assert.equal(stage.activations(), 1);
    await stage.clock.advance(1);
    await stage.untilActivations(2);
    await stage.seal.setSecret('a third secret', true);
    await stage.untilActivations(3);
  });

  test('does not wait for somebody who leaves', async () => {
    const stage = await new Stage().connected();
    await stage.publish();
    stage.seal.onAnnounced('bob', 1);
    await stage.seal.setSecret('the next secret');
    await stage.untilDeclared(1);
    assert.equal(stage.activations(), 1);
    stage.seal.onConnectionLeft('bob');
    await stage.untilActivations(2);
  });

  test('moves a stream that was being published during the change to the new secret', async () => {
    const stage = await new Stage().connected();
    stage.seal.attachSender(stage.sender, 'up-0', 'video');
    const kid = await stage.seal.prepareSender('up-0');
    await stage.seal.setSecret('the next secret');
    const { sender } = stage;
    const binding = { streamId: 's', mid: '0', mimeType: 'video/vp8', sender };
    await stage.seal.startSender('up-0', binding);
    await stage.untilActivations(2);
    assert.equal(stage.declared()[0]?.[0], toHex(kid));
  });

  test('says so when a transform does not start', async () => {
    const stage = await new Stage().connected();
    await stage.seal.prepareSender('up-0');
    const { sender } = stage;
    const started = stage.seal
      .startSender('up-0', { streamId: 's', mid: '0', mimeType: 'video/vp8', sender })
      .then(
        () => assert.fail('nothing runs'),
        (error: unknown) => error as Error,
      );
    await until(() => stage.activations() === 1, 'the worker was not asked');
    await stage.clock.advance(10_000);
    assert.equal((await started).name, 'OT_ENCRYPTION_INTERNAL_ERROR');
  });

  test('takes another context when the counters of one are used up', async () => {
    const stage = await new Stage().connected();
    await stage.publish();
    const senders = (stage.client.core as unknown as { senders: Map<string, object> }).senders;
    const { sealer } = senders.get('up-0') as { sealer: { active: { ctr: number } } };
    sealer.active.ctr = 2 ** 32;
    const frame: EncodedFrame = {
      data: Uint8Array.of(1, 2, 3).buffer,
      getMetadata: () => ({ mimeType: 'video/VP8' }),
    };
    const options = { role: 'send', track: 'up-0', kind: 'video' } as const;
    const passed: EncodedFrame[] = [];
    await stage.client.core.onFrame<EncodedFrame>(options, frame, (output) => passed.push(output));
    assert.equal(passed.length, 0);
    await stage.untilActivations(2);
    await until(() => stage.keyFrames.length > 0, 'no key frame was asked for');
    await stage.client.core.onFrame<EncodedFrame>(options, frame, (output) => passed.push(output));
    assert.equal(passed.length, 1);
  });
});

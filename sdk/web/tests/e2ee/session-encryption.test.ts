import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { E2eeClient } from '../../src/e2ee/client';
import type { Notice, Request, Requests, RequestType } from '../../src/e2ee/protocol';
import { SessionEncryption } from '../../src/e2ee/session-encryption';
import type { EncodedFrame } from '../../src/e2ee/worker-core';
import { WorkerCore } from '../../src/e2ee/worker-core';
import type { Reply, RequestMessage } from '../../src/signaling/channel';
import { FakeClock, settled, toHex, until } from '../support';

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

  onFailure(): () => void {
    return () => undefined;
  }

  close(): void {
    this.listeners.clear();
  }
}

type Answer = (message: RequestMessage) => Promise<Reply>;

/** What servers do with requests: answer, refuse, or never say a word. */
const OK: Answer = () => Promise.resolve({ t: 'ok', re: 1 });
const REFUSES: Answer = () => Promise.reject(new Error('refused'));
const SILENT: Answer = () => new Promise(() => undefined);

class Stage {
  readonly clock = new FakeClock();
  readonly client = new DirectClient(this.clock);
  readonly sent: RequestMessage[] = [];
  readonly errors: unknown[] = [];
  readonly keyFrames: unknown[] = [];
  answer = OK;
  readonly encryption = new SessionEncryption(
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

  async entered(secret = 'a long secret'): Promise<this> {
    await this.encryption.setSecret(secret);
    this.encryption.enter('ada', (message) => {
      this.sent.push(message);
      return this.answer(message);
    });
    return this;
  }

  async publish(track = 'up-0', mid = '0'): Promise<Uint8Array> {
    const kid = await this.prepare(track);
    await this.start(track, mid);
    return kid;
  }

  prepare(track: string): Promise<Uint8Array> {
    this.encryption.attachSender(this.sender, track, 'video');
    return this.encryption.prepareSender(track, 'publication');
  }

  start(track: string, mid = '0'): Promise<void> {
    const { sender } = this;
    return this.encryption.startSender(track, { streamId: 's', mid, codec: undefined, sender });
  }

  /** The KID that a frame leaves under now. */
  async kidInUse(track = 'up-0'): Promise<string | undefined> {
    const frame: EncodedFrame = {
      data: Uint8Array.of(1, 2, 3).buffer,
      getMetadata: () => ({ mimeType: 'video/VP9' }),
    };
    const passed: EncodedFrame[] = [];
    const options = { role: 'send', track, kind: 'video' } as const;
    await this.client.core.onFrame<EncodedFrame>(options, frame, (output) => passed.push(output));
    return passed[0] && toHex(new Uint8Array(passed[0].data).subarray(1, 9));
  }

  async untilUnder(kid: (now: string | undefined) => boolean, complaint: string): Promise<void> {
    for (let turn = 0; turn < 500; turn += 1) {
      if (kid(await this.kidInUse())) return;
      await settled();
    }
    assert.fail(complaint);
  }

  messages<Type extends RequestMessage['t']>(tag: Type): Extract<RequestMessage, { t: Type }>[] {
    return this.sent.filter(({ t }) => t === tag) as Extract<RequestMessage, { t: Type }>[];
  }

  declared(): string[][] {
    return this.messages('declareKids').map(({ kids }) => kids.map(toHex));
  }

  hint(): number {
    return this.messages('e2eeReady').at(-1)?.hint ?? -1;
  }

  async untilDeclared(count: number): Promise<void> {
    await until(() => this.declared().length >= count, `not ${count} declarations`);
  }
}

describe('an encrypted session', () => {
  test('announces its secret when it is entered, and every new one, and again on resume', async () => {
    const stage = await new Stage().entered();
    assert.equal(stage.messages('e2eeReady').length, 1);
    await stage.encryption.setSecret('the next secret');
    assert.equal(stage.messages('e2eeReady').length, 2);
    const hints = stage.messages('e2eeReady').map(({ hint }) => hint);
    assert.equal(new Set(hints).size, 2);
    await stage.encryption.setSecret('the next secret');
    assert.equal(stage.messages('e2eeReady').length, 2);
    const kid = toHex(await stage.publish());
    stage.encryption.onResumed();
    assert.equal(stage.hint(), hints[1]);
    assert.deepEqual(stage.declared().at(-1), [kid]);
  });

  test('declares the new key beside the old one, switches when all are ready, then lets go of the old', async () => {
    const stage = await new Stage().entered();
    const old = toHex(await stage.publish());
    assert.equal(stage.encryption.onAnnounced('bob', 1), false);
    await stage.encryption.setSecret('the next secret');
    await stage.untilDeclared(1);
    const [[first, next] = []] = stage.declared();
    assert.equal(first, old);
    assert.notEqual(next, old);
    assert.equal(await stage.kidInUse(), old);

    assert.equal(stage.encryption.onAnnounced('bob', stage.hint()), true);
    await until(() => stage.keyFrames.length > 0, 'no key frame was asked for');
    assert.equal(await stage.kidInUse(), next);
    assert.deepEqual(stage.keyFrames, [{ encodingOptions: [{ keyFrame: true }] }]);

    await stage.clock.advance(9_999);
    assert.equal(stage.declared().length, 1);
    await stage.clock.advance(1);
    assert.deepEqual(stage.declared()[1], [next]);
    assert.deepEqual(stage.errors, []);
  });

  test('keeps every key declared for ten seconds, over any number of changes', async () => {
    const stage = await new Stage().entered();
    const used = [toHex(await stage.publish())];
    for (const [index, secret] of ['secret two', 'secret three', 'secret four'].entries()) {
      await stage.encryption.setSecret(secret);
      await stage.untilUnder((kid) => kid !== used.at(-1), `change ${index} did not happen`);
      used.push((await stage.kidInUse()) ?? '');
      await stage.untilDeclared(index + 1);
      await stage.clock.advance(2_000);
      assert.deepEqual(stage.declared().at(-1), used);
    }
    // The first change was at 0 s, the second at 2 s, the third at 4 s; it is 6 s now.
    for (const gone of [1, 2, 3]) {
      await stage.clock.advance(gone === 1 ? 3_999 : 1_999);
      assert.deepEqual(stage.declared().at(-1), used.slice(gone - 1));
      await stage.clock.advance(1);
      assert.deepEqual(stage.declared().at(-1), used.slice(gone));
    }
  });

  for (const [name, answer] of [
    ['answers with errors', REFUSES],
    ['never answers', SILENT],
  ] as const) {
    test(`switches after five seconds though the server ${name}`, async () => {
      const stage = await new Stage().entered();
      const old = await stage.publish();
      stage.encryption.onAnnounced('bob', 1);
      stage.answer = answer;
      await stage.encryption.setSecret('the next secret');
      await stage.clock.advance(4_999);
      assert.equal(await stage.kidInUse(), toHex(old));
      await stage.clock.advance(1);
      await stage.untilUnder((kid) => kid !== toHex(old), 'it did not switch');
    });

    test(`has switched when an immediate change resolves though the server ${name}`, async () => {
      const stage = await new Stage().entered();
      const old = toHex(await stage.publish());
      stage.encryption.onAnnounced('bob', 1);
      stage.answer = answer;
      await stage.encryption.setSecret('the next secret', true);
      const kid = await stage.kidInUse();
      assert.ok(kid && kid !== old);
      // The old one is withdrawn, as far as the server listens.
      assert.deepEqual(stage.declared().at(-1), [kid]);
    });
  }

  test('switches every track though one of them cannot be declared', async () => {
    const stage = await new Stage().entered();
    const [camera, screen] = [
      toHex(await stage.publish()),
      toHex(await stage.publish('up-1', '1')),
    ];
    stage.answer = (message) =>
      message.t === 'declareKids' && message.mid === '1' ? REFUSES(message) : OK(message);
    await stage.encryption.setSecret('the next secret');
    await stage.untilUnder((kid) => kid !== camera, 'the camera stays under the old secret');
    assert.notEqual(await stage.kidInUse('up-1'), screen);
    await until(() => stage.errors.length > 0, 'the failure is not told');
  });

  test('switches when the time is up by a timer that comes early', async () => {
    const stage = await new Stage().entered();
    stage.clock.earlyMs = 0.5;
    const old = toHex(await stage.publish());
    stage.encryption.onAnnounced('ghost', 1);
    await stage.encryption.setSecret('the next secret');
    await stage.untilDeclared(1);
    assert.equal(await stage.kidInUse(), old);
    await stage.clock.advance(5_000);
    await stage.untilUnder((now) => now !== undefined && now !== old, 'the old key is used on');
  });

  test('does not wait for somebody who leaves', async () => {
    const stage = await new Stage().entered();
    const old = toHex(await stage.publish());
    stage.encryption.onAnnounced('bob', 1);
    await stage.encryption.setSecret('the next secret');
    assert.equal(await stage.kidInUse(), old);
    stage.encryption.onConnectionLeft('bob');
    await stage.untilUnder((kid) => kid !== old, 'it did not switch');
  });

  test('changes the secret in the order that was asked for', async () => {
    const stage = await new Stage().entered();
    const old = toHex(await stage.publish());
    const changes = ['the second secret', 'the third secret', 'the fourth secret'];
    await Promise.all(changes.map((secret) => stage.encryption.setSecret(secret)));
    const newest = new Stage();
    await newest.entered(changes.at(-1));
    assert.equal(stage.hint(), newest.hint());
    const suffix = newest.hint().toString(16).padStart(4, '0');
    await stage.untilUnder((kid) => kid?.endsWith(suffix) === true, `not under ${suffix}`);
    assert.ok(!old.endsWith(suffix));
  });

  test('derives of the changes that wait for one only the newest, and resolves all of them', async () => {
    const stage = await new Stage().entered();
    stage.client.asked.length = 0;
    const secrets = ['two', 'three', 'four', 'five'].map((name) => `the secret ${name}`);
    const done: string[] = [];
    const changes = secrets.map((secret) =>
      stage.encryption.setSecret(secret).then(() => done.push(secret)),
    );
    await Promise.all(changes);
    assert.deepEqual(done, secrets);
    assert.equal(stage.client.asked.filter((type) => type === 'setSecret').length, 2);
    const newest = await new Stage().entered(secrets.at(-1));
    assert.equal(stage.hint(), newest.hint());
  });

  test('an immediate change that waits and is overtaken is immediate still', async () => {
    const stage = await new Stage().entered();
    const old = toHex(await stage.publish());
    stage.encryption.onAnnounced('bob', 1);
    const changes = [
      stage.encryption.setSecret('the second secret'),
      stage.encryption.setSecret('the third secret', true),
      stage.encryption.setSecret('the fourth secret'),
    ];
    await Promise.all(changes);
    assert.notEqual(await stage.kidInUse(), old);
  });

  test('a change that fails rejects its calls alone, and the next one happens', async () => {
    const stage = await new Stage().entered();
    const { client } = stage;
    const request = client.request.bind(client);
    let failures = 1;
    client.request = (type, body) =>
      type === 'setSecret' && failures-- > 0
        ? Promise.reject(new Error('no key'))
        : request(type, body);
    const first = assert.rejects(stage.encryption.setSecret('the second secret'), /no key/);
    const second = stage.encryption.setSecret('the third secret');
    await Promise.all([first, second]);
    const newest = await new Stage().entered('the third secret');
    assert.equal(stage.hint(), newest.hint());
  });

  test('an immediate change ends one that is pending, also to the same secret', async () => {
    const stage = await new Stage().entered();
    const old = toHex(await stage.publish());
    stage.encryption.onAnnounced('bob', 1);
    await stage.encryption.setSecret('the next secret');
    assert.equal(await stage.kidInUse(), old);
    await stage.encryption.setSecret('the next secret', true);
    const kid = await stage.kidInUse();
    assert.notEqual(kid, old);
    await stage.clock.advance(20_000);
    assert.equal(await stage.kidInUse(), kid);
  });

  test('moves a stream that was being published during the change to the new secret', async () => {
    const stage = await new Stage().entered();
    const kid = toHex(await stage.prepare('up-0'));
    await stage.encryption.setSecret('the next secret');
    await stage.start('up-0');
    await stage.untilUnder((now) => now !== undefined && now !== kid, 'it stays under the old one');
    const inUse = await stage.kidInUse();
    assert.ok(stage.declared().some((kids) => kids.includes(inUse ?? '')));
  });

  test('declares what is in use of a stream whose transform begins after a change', async () => {
    const stage = await new Stage().entered();
    await stage.encryption.prepareSender('up-0', 'publication');
    const started = stage.start('up-0');
    await until(() => stage.client.asked.includes('startSender'), 'the worker was not asked');
    await stage.encryption.setSecret('the next secret', true);
    stage.encryption.attachSender(stage.sender, 'up-0', 'video');
    await started;
    await settled();
    const inUse = await stage.kidInUse();
    assert.ok(inUse !== undefined && stage.declared().at(-1)?.includes(inUse));
  });

  test('a stream that is published while a change is pending follows it', async () => {
    const stage = await new Stage().entered();
    stage.encryption.onAnnounced('bob', 1);
    const kid = toHex(await stage.prepare('up-0'));
    await stage.encryption.setSecret('the next secret');
    await stage.start('up-0');
    assert.equal(await stage.kidInUse(), kid);
    await stage.untilDeclared(1);
    await stage.clock.advance(5_000);
    await stage.untilUnder((now) => now !== kid, 'it stays under the old one');
    assert.ok(stage.declared()[0]?.includes((await stage.kidInUse()) ?? ''));
  });

  test('says so when a transform does not start', async () => {
    const stage = await new Stage().entered();
    await stage.encryption.prepareSender('up-0', 'publication');
    const started = stage.start('up-0').then(
      () => assert.fail('nothing runs'),
      (error: unknown) => error as Error,
    );
    await until(() => stage.client.asked.includes('startSender'), 'the worker was not asked');
    await stage.clock.advance(10_000);
    assert.equal((await started).name, 'OT_ENCRYPTION_INTERNAL_ERROR');
  });

  test('takes another context when the counters of one are used up', async () => {
    const stage = await new Stage().entered();
    const kid = toHex(await stage.publish());
    const { tracks } = (
      stage.client.core as unknown as { senders: { tracks: Map<string, object> } }
    ).senders;
    const { encryptor } = tracks.get('up-0') as { encryptor: { active: { ctr: number } } };
    encryptor.active.ctr = 2 ** 32;
    assert.equal(await stage.kidInUse(), undefined);
    await until(() => stage.keyFrames.length > 0, 'no key frame was asked for');
    const next = await stage.kidInUse();
    assert.ok(next && next !== kid);
    assert.equal(next.slice(0, 8), kid.slice(0, 8));
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Bytes } from '../../src/e2ee/bytes';
import { FORMATS } from '../../src/e2ee/frames/index';
import { TrackOpener } from '../../src/e2ee/receiver';
import { ReplayWindow } from '../../src/e2ee/replay';
import { sealFrame } from '../../src/e2ee/seal';
import { deriveSessionKey, makeKid, SessionKeys } from '../../src/e2ee/secret';
import { SecretRing } from '../../src/e2ee/secret-ring';
import { TrackSealer } from '../../src/e2ee/sender';
import { hex, Random } from '../support';

const { opus } = FORMATS;
const FRAME = hex('780102030405');

async function keysOf(secret: string): Promise<SessionKeys> {
  return SessionKeys.fromSessionKey(await deriveSessionKey(secret, 'session', 10));
}

function openerFor(ring: SecretRing, streamId = 'stream'): TrackOpener {
  return new TrackOpener(ring, (keys, kid) => keys.streamKey(streamId, kid));
}

async function sealerFor(keys: SessionKeys, streamId = 'stream'): Promise<TrackSealer> {
  const sealer = new TrackSealer();
  const kid = await sealer.prepare(keys);
  await sealer.bind(streamId);
  assert.ok(sealer.activate(kid));
  return sealer;
}

async function sealed(sealer: TrackSealer, frame = FRAME): Promise<Bytes> {
  const result = await sealer.seal(opus, frame);
  assert.ok(typeof result !== 'string');
  return result;
}

async function outcome(opener: TrackOpener, wire: Bytes, now: number): Promise<string> {
  const result = await opener.open(opus, wire, now);
  return 'refused' in result ? result.refused : 'opened';
}

describe('a sending track', () => {
  test('drops every frame until its stream is known and its context active', async () => {
    const sealer = new TrackSealer();
    assert.equal(await sealer.seal(opus, FRAME), 'no-key');
    const kid = await sealer.prepare(await keysOf('a secret'));
    assert.equal(await sealer.seal(opus, FRAME), 'no-key');
    assert.equal(sealer.activate(kid), false);
    await sealer.bind('stream');
    assert.equal(await sealer.seal(opus, FRAME), 'no-key');
    assert.ok(sealer.activate(kid));
    assert.notEqual(typeof (await sealer.seal(opus, FRAME)), 'string');
  });

  test('never uses a counter twice, however its frames are interleaved', async () => {
    const sealer = await sealerFor(await keysOf('a secret'));
    const wires = await Promise.all(Array.from({ length: 300 }, () => sealer.seal(opus, FRAME)));
    assert.equal(new Set(wires.map(String)).size, 300);
  });

  test('drops frames again when its stream ended', async () => {
    const sealer = await sealerFor(await keysOf('a secret'));
    sealer.release();
    assert.equal(await sealer.seal(opus, FRAME), 'no-key');
  });

  test('makes another context for every secret and every start', () => {
    const kids = new Set(Array.from({ length: 1_000 }, () => makeKid(7)));
    assert.equal(kids.size, 1_000);
    for (const kid of kids) {
      assert.equal(kid >> 63n, 1n);
      assert.equal(kid & 0xffffn, 7n);
    }
  });
});

describe('a received track', () => {
  test('opens a frame once and drops its replay silently', async () => {
    const keys = await keysOf('a secret');
    const ring = new SecretRing();
    ring.add(keys, 0);
    const opener = openerFor(ring);
    const wire = await sealed(await sealerFor(keys));
    assert.equal(await outcome(opener, wire, 0), 'opened');
    assert.equal(await outcome(opener, wire, 1), 'replay');
  });

  test('opens frames of two secrets with equal hints', async () => {
    const first = await keysOf('a secret');
    const twin = Object.assign(Object.create(SessionKeys.prototype) as SessionKeys, {
      ...(await keysOf('another')),
      hint: first.hint,
    });
    const ring = new SecretRing();
    ring.add(first, 0);
    ring.add(twin, 0);
    const opener = openerFor(ring);
    assert.equal(await outcome(opener, await sealed(await sealerFor(first)), 0), 'opened');
    assert.equal(await outcome(opener, await sealed(await sealerFor(twin)), 0), 'opened');
  });

  test('retires the old context ten seconds after a new one began, for ever', async () => {
    const keys = await keysOf('a secret');
    const ring = new SecretRing();
    ring.add(keys, 0);
    const opener = openerFor(ring);
    const [old, next] = [await sealerFor(keys), await sealerFor(keys)];
    assert.equal(await outcome(opener, await sealed(old), 0), 'opened');
    assert.equal(await outcome(opener, await sealed(next), 1_000), 'opened');
    assert.equal(await outcome(opener, await sealed(old), 10_900), 'opened');
    assert.equal(await outcome(opener, await sealed(old), 11_000), 'replay');
    assert.equal(await outcome(opener, await sealed(old), 9_999_999), 'replay');
    assert.equal(await outcome(opener, await sealed(next), 9_999_999), 'opened');
  });

  test('derives keys for at most twenty unknown KIDs a second', async () => {
    const keys = await keysOf('a secret');
    let derivations = 0;
    const ring = new SecretRing();
    ring.add(keys, 0);
    const opener = new TrackOpener(ring, (candidate, kid) => {
      derivations += 1;
      return candidate.streamKey('stream', kid);
    });
    const forged = async (): Promise<Bytes> => {
      const kid = makeKid(keys.hint);
      const key = await keys.streamKey('another stream', kid);
      return (await sealFrame(opus, key, kid, 0n, FRAME))!;
    };
    for (let index = 0; index < 60; index += 1) {
      assert.equal(await outcome(opener, await forged(), 500), 'auth');
    }
    assert.equal(derivations, 20);
    assert.equal(await outcome(opener, await forged(), 1_501), 'auth');
    assert.equal(derivations, 21);
  });

  test('of another stream, secret or codec is refused', async () => {
    const keys = await keysOf('a secret');
    const ring = new SecretRing();
    ring.add(keys, 0);
    const wire = await sealed(await sealerFor(keys));
    assert.equal(await outcome(openerFor(ring, 'other stream'), wire, 0), 'auth');
    const result = await openerFor(ring).open(FORMATS.vp9, wire, 0);
    assert.deepEqual(result, { refused: 'auth' });
    const strangers = new SecretRing();
    strangers.add(await keysOf('a stranger'), 0);
    assert.equal(await outcome(openerFor(strangers), wire, 0), 'secret');
  });

  test('never raises on random bytes, nor on sealed frames with random damage', async () => {
    const random = new Random(11);
    const keys = await keysOf('a secret');
    const ring = new SecretRing();
    ring.add(keys, 0);
    const sealer = await sealerFor(keys);
    for (let round = 0; round < 1_500; round += 1) {
      const opener = openerFor(ring);
      const wire = round % 2 === 0 ? random.bytes(random.below(64)) : await sealed(sealer);
      if (round % 2 === 1) {
        const index = random.below(wire.length);
        wire[index] = (wire[index] ?? 0) ^ (1 << random.below(8));
      }
      const codec = (['opus', 'vp8', 'vp9', 'h264', 'av1'] as const)[random.below(5)] ?? 'opus';
      assert.ok('refused' in (await opener.open(FORMATS[codec], wire, round * 1_000)));
    }
  });
});

describe('the secrets in use', () => {
  test('are at most three, the newest first', async () => {
    const ring = new SecretRing();
    const all = await Promise.all(['one secret', 'two secret', 'three ', 'four'].map(keysOf));
    for (const keys of all) ring.add(keys, 0);
    assert.equal(ring.newest, all[3]);
    assert.equal(ring.has(all[0]!, 1), false);
    for (const keys of all.slice(1)) assert.ok(ring.has(keys, 1));
  });

  test('end ten seconds after the last frame they opened, sixty after they were replaced', async () => {
    const [old, next] = [await keysOf('old secret'), await keysOf('new secret')];
    const ring = new SecretRing();
    ring.add(old, 0);
    ring.add(next, 100_000);
    assert.ok(ring.has(old, 109_999));
    ring.opened(old, 109_999);
    assert.ok(ring.has(old, 119_998));
    for (let now = 119_000; now < 160_000; now += 5_000) ring.opened(old, now);
    assert.ok(ring.has(old, 159_999));
    assert.equal(ring.has(old, 160_000), false);
    assert.ok(ring.has(next, 9_999_999));
  });

  test('end at once when somebody is to be shut out', async () => {
    const [old, next] = [await keysOf('old secret'), await keysOf('new secret')];
    const ring = new SecretRing();
    ring.add(old, 0);
    ring.add(next, 1, true);
    assert.equal(ring.has(old, 1), false);
  });
});

test('the replay window agrees with a set of all counters seen', () => {
  const random = new Random(12);
  const window = new ReplayWindow();
  const seen = new Set<number>();
  let highest = -1;
  for (let round = 0; round < 30_000; round += 1) {
    const jump = random.below(200) === 0 ? random.below(5_000) : random.below(8);
    const ctr = Math.max(0, highest + 3 - jump - random.below(2) * random.below(1_400));
    const expected = seen.has(ctr) || ctr <= highest - 1_024;
    assert.equal(window.isReplay(ctr), expected, `counter ${ctr} after ${highest}`);
    if (expected) continue;
    window.accept(ctr);
    seen.add(ctr);
    highest = Math.max(highest, ctr);
  }
  window.accept(highest + 4_000_000_000);
  assert.equal(window.isReplay(highest), true);
});

import { decodeHeader, SFrameKey, SUITES } from '../../src/e2ee/sframe';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Bytes } from '../../src/e2ee/bytes';
import { FORMATS } from '../../src/e2ee/frames/index';
import { Publication, senderOf } from '../../src/e2ee/kid';
import { type Decryptor, ReceiveHistory } from '../../src/e2ee/receiver';
import { ReplayWindow } from '../../src/e2ee/replay';
import { encryptFrame } from '../../src/e2ee/frame-encryption';
import { deriveSessionKey, SessionKeys } from '../../src/e2ee/secret';
import { SecretRing } from '../../src/e2ee/secret-ring';
import { TrackEncryptor } from '../../src/e2ee/sender';
import { hex, Random } from '../support';

const { opus } = FORMATS;
const FRAME = hex('780102030405');
const OWNER = { connectionId: 'connection', streamId: 'stream' };

async function keysOf(secret: string): Promise<SessionKeys> {
  return SessionKeys.fromSessionKey(await deriveSessionKey(secret, 'session', 10));
}

function ringOf(...newestLast: SessionKeys[]): SecretRing {
  const ring = new SecretRing();
  for (const keys of newestLast) ring.add(keys, 0);
  return ring;
}

function decryptorFor(ring: SecretRing, owner = OWNER): Decryptor {
  return new ReceiveHistory(ring).subscribe(owner, 'audio');
}

async function encryptorFor(
  keys: SessionKeys,
  publication = new Publication(),
  owner = OWNER,
): Promise<TrackEncryptor> {
  const encryptor = new TrackEncryptor();
  encryptor.begin(publication, keys);
  encryptor.bind(owner);
  assert.ok(await encryptor.use(keys));
  return encryptor;
}

async function encrypted(encryptor: TrackEncryptor, frame = FRAME): Promise<Bytes> {
  const result = await encryptor.encrypt(opus, frame);
  assert.ok(typeof result !== 'string');
  return result;
}

async function outcome(decryptor: Decryptor, wire: Bytes, now: number): Promise<string> {
  const result = await decryptor.decrypt(opus, wire, now);
  return 'refused' in result ? result.refused : 'decrypted';
}

describe('a sending track', () => {
  test('drops every frame until its stream is known and its context active', async () => {
    const encryptor = new TrackEncryptor();
    const keys = await keysOf('a secret');
    assert.equal(await encryptor.encrypt(opus, FRAME), 'no-key');
    const kid = encryptor.begin(new Publication(), keys);
    assert.equal(await encryptor.encrypt(opus, FRAME), 'no-key');
    assert.equal(await encryptor.use(keys), undefined);
    encryptor.bind(OWNER);
    assert.equal(await encryptor.encrypt(opus, FRAME), 'no-key');
    assert.equal(await encryptor.use(keys), kid);
    assert.notEqual(typeof (await encryptor.encrypt(opus, FRAME)), 'string');
  });

  test('never uses a counter twice, however its frames are interleaved', async () => {
    const encryptor = await encryptorFor(await keysOf('a secret'));
    const wires = await Promise.all(
      Array.from({ length: 300 }, () => encryptor.encrypt(opus, FRAME)),
    );
    assert.equal(new Set(wires.map(String)).size, 300);
  });

  test('never encrypts two streams under one nonce, though the server gives both one id', async () => {
    const keys = await keysOf('a secret');
    const [one, two] = [await encryptorFor(keys), await encryptorFor(keys)];
    const [first, second] = [await encrypted(one), await encrypted(two)];
    assert.notDeepEqual(first.subarray(1, 9), second.subarray(1, 9));
    assert.notDeepEqual(first.subarray(9), second.subarray(9));
  });

  test('never encrypts under one nonce again after it was bound again, to the same id', async () => {
    const keys = await keysOf('a secret');
    const encryptor = await encryptorFor(keys);
    const before = await encrypted(encryptor);
    encryptor.bind(OWNER);
    assert.equal(await encryptor.encrypt(opus, FRAME), 'no-key');
    await encryptor.use(keys);
    assert.notDeepEqual((await encrypted(encryptor)).subarray(0, 9), before.subarray(0, 9));
  });

  test('drops frames again when its stream ended, also one that ends while a key is derived', async () => {
    const keys = await keysOf('a secret');
    const encryptor = await encryptorFor(keys);
    encryptor.release();
    assert.equal(await encryptor.encrypt(opus, FRAME), 'no-key');
    encryptor.begin(new Publication(), keys);
    encryptor.bind(OWNER);
    const using = encryptor.use(keys);
    encryptor.release();
    assert.equal(await using, undefined);
    assert.equal(await encryptor.encrypt(opus, FRAME), 'no-key');
  });

  test('lets no frame out that was being encrypted when its key was revoked', async () => {
    const [old, next] = [await keysOf('a secret'), await keysOf('next secret')];
    const encryptor = await encryptorFor(old);
    const underway = encryptor.encrypt(opus, FRAME);
    const switching = encryptor.use(next, true);
    assert.equal(await underway, 'no-key');
    assert.ok(await switching);
    assert.notEqual(typeof (await encryptor.encrypt(opus, FRAME)), 'string');
  });

  test('has one sender part through all changes, and never a context twice', () => {
    const publication = new Publication();
    const kids = Array.from({ length: 65_536 }, (_, index) => publication.nextKid(index & 0xff));
    assert.equal(new Set(kids.map((kid) => kid >> 16n)).size, 65_536);
    assert.equal(new Set(kids.map(senderOf)).size, 1);
    for (const kid of kids.slice(0, 100)) assert.equal(kid >> 63n, 1n);
    assert.throws(() => publication.nextKid(0));
    assert.notEqual(senderOf(new Publication().nextKid(0)), senderOf(kids[0]!));
    // A context that wraps on its way is the next one all the same.
    const random = new Set(Array.from({ length: 50 }, () => new Publication().nextKid(0)));
    assert.equal(random.size, 50);
  });
});

describe('a received track', () => {
  test('opens a frame once and drops its replay silently', async () => {
    const keys = await keysOf('a secret');
    const decryptor = decryptorFor(ringOf(keys));
    const wire = await encrypted(await encryptorFor(keys));
    assert.equal(await outcome(decryptor, wire, 0), 'decrypted');
    assert.equal(await outcome(decryptor, wire, 1), 'replay');
  });

  test('opens a frame once though it comes twice at the same time, as the first of all', async () => {
    const keys = await keysOf('a secret');
    const decryptor = decryptorFor(ringOf(keys));
    const wire = await encrypted(await encryptorFor(keys));
    const outcomes = await Promise.all([0, 0, 0].map((now) => outcome(decryptor, wire, now)));
    assert.deepEqual(outcomes.sort(), ['decrypted', 'replay', 'replay']);
  });

  test('pins one of two publications that come at the same time', async () => {
    const keys = await keysOf('a secret');
    const decryptor = decryptorFor(ringOf(keys));
    const wires = [
      await encrypted(await encryptorFor(keys)),
      await encrypted(await encryptorFor(keys)),
    ];
    const outcomes = await Promise.all(wires.map((wire) => outcome(decryptor, wire, 0)));
    assert.deepEqual(outcomes.sort(), ['decrypted', 'sender']);
  });

  test('decrypts frames of two secrets with equal hints', async () => {
    const first = await keysOf('a secret');
    const twin = Object.assign(Object.create(SessionKeys.prototype) as SessionKeys, {
      ...(await keysOf('another')),
      hint: first.hint,
    });
    const publication = new Publication();
    const decryptor = decryptorFor(ringOf(first, twin));
    for (const keys of [first, twin]) {
      const wire = await encrypted(await encryptorFor(keys, publication));
      assert.equal(await outcome(decryptor, wire, 0), 'decrypted');
    }
  });

  test('goes on to open when the same secret is set again, and after it had ended', async () => {
    const [keys, other] = [await keysOf('a secret'), await keysOf('another')];
    const ring = ringOf(keys);
    const decryptor = decryptorFor(ring);
    const encryptor = await encryptorFor(keys);
    const first = await encrypted(encryptor);
    assert.equal(await outcome(decryptor, first, 0), 'decrypted');
    assert.equal(ring.add(await keysOf('a secret'), 0), keys);
    assert.equal(await outcome(decryptor, await encrypted(encryptor), 1), 'decrypted');
    ring.add(other, 2, true);
    assert.equal(await outcome(decryptor, await encrypted(encryptor), 3), 'secret');
    ring.add(await keysOf('a secret'), 4);
    assert.equal(await outcome(decryptor, await encrypted(encryptor), 5), 'decrypted');
    assert.equal(await outcome(decryptor, first, 6), 'replay');
  });

  test('derives keys for at most twenty unknown KIDs a second, and sixty in all', async () => {
    const keys = await keysOf('a secret');
    let derivations = 0;
    const counted = Object.assign(Object.create(SessionKeys.prototype) as SessionKeys, keys, {
      sframeKey: (...of: Parameters<SessionKeys['sframeKey']>) => {
        derivations += 1;
        return keys.sframeKey(...of);
      },
    });
    const history = new ReceiveHistory(ringOf(counted));
    const forged = async (): Promise<Bytes> => {
      const kid = new Publication().nextKid(keys.hint);
      const key = await keys.sframeKey({ connectionId: 'x', streamId: 'y' }, kid);
      return (await encryptFrame(opus, key, kid, 0, FRAME))!;
    };
    const flood = async (streamId: string, now: number): Promise<void> => {
      const decryptor = history.subscribe({ connectionId: 'c', streamId }, 'audio');
      for (let index = 0; index < 30; index += 1) {
        assert.equal(await outcome(decryptor, await forged(), now), 'auth');
      }
    };
    await flood('stream', 500);
    assert.equal(derivations, 20);
    for (let index = 0; index < 4; index += 1) await flood(`stream ${index}`, 600);
    assert.equal(derivations, 60);
    await flood('stream', 1_501);
    assert.equal(derivations, 80);
  });

  test('of another stream, connection, secret or codec is refused', async () => {
    const keys = await keysOf('a secret');
    const ring = ringOf(keys);
    const wire = await encrypted(await encryptorFor(keys));
    for (const owner of [
      { ...OWNER, streamId: 'other' },
      { ...OWNER, connectionId: 'other' },
    ]) {
      assert.equal(await outcome(decryptorFor(ring, owner), wire, 0), 'auth');
    }
    const result = await decryptorFor(ring).decrypt(FORMATS.vp9, wire, 0);
    assert.deepEqual(result, { refused: 'auth' });
    const strangers = ringOf(await keysOf('a stranger'));
    assert.equal(await outcome(decryptorFor(strangers), wire, 0), 'secret');
  });

  test('does not open for another connection what it knows the key of', async () => {
    const keys = await keysOf('a secret');
    const history = new ReceiveHistory(ringOf(keys));
    const encryptor = await encryptorFor(keys);
    const decryptor = history.subscribe(OWNER, 'audio');
    assert.equal(await outcome(decryptor, await encrypted(encryptor), 0), 'decrypted');
    const swapped = history.subscribe({ ...OWNER, connectionId: 'eve' }, 'audio');
    assert.equal(await outcome(swapped, await encrypted(encryptor), 1), 'auth');
  });

  test('never raises on random bytes, nor on encrypted frames with random damage', async () => {
    const random = new Random(11);
    const keys = await keysOf('a secret');
    const ring = ringOf(keys);
    const encryptor = await encryptorFor(keys);
    for (let round = 0; round < 1_500; round += 1) {
      const decryptor = decryptorFor(ring);
      const wire = round % 2 === 0 ? random.bytes(random.below(64)) : await encrypted(encryptor);
      if (round % 2 === 1) {
        const index = random.below(wire.length);
        wire[index] = (wire[index] ?? 0) ^ (1 << random.below(8));
      }
      const codec = (['opus', 'vp8', 'vp9', 'h264', 'av1'] as const)[random.below(5)] ?? 'opus';
      assert.ok('refused' in (await decryptor.decrypt(FORMATS[codec], wire, round * 1_000)));
    }
  });
});

describe('the secrets in use', () => {
  test('are at most three, the newest first', async () => {
    const ring = new SecretRing();
    const all = await Promise.all(
      ['one secret', 'two secret', 'three secret', 'four secret'].map(keysOf),
    );
    for (const keys of all) ring.add(keys, 0);
    assert.equal(ring.newest, all[3]);
    assert.equal(ring.find(all[0]!.id, 1), undefined);
    for (const keys of all.slice(1)) assert.ok(ring.find(keys.id, 1));
  });

  test('end ten seconds after the last frame they decrypted, sixty after they were replaced', async () => {
    const [old, next] = [await keysOf('old secret'), await keysOf('new secret')];
    const ring = new SecretRing();
    ring.add(old, 0);
    ring.add(next, 100_000);
    assert.ok(ring.find(old.id, 109_999));
    ring.decrypted(old.id, 109_999);
    assert.ok(ring.find(old.id, 119_998));
    for (let now = 119_000; now < 160_000; now += 5_000) ring.decrypted(old.id, now);
    assert.ok(ring.find(old.id, 159_999));
    assert.equal(ring.find(old.id, 160_000), undefined);
    assert.ok(ring.find(next.id, 9_999_999));
  });

  test('end at once when somebody is to be shut out', async () => {
    const [old, next] = [await keysOf('old secret'), await keysOf('new secret')];
    const ring = new SecretRing();
    ring.add(old, 0);
    ring.add(next, 1, true);
    assert.equal(ring.find(old.id, 1), undefined);
  });
});

for (const width of [128, 1_024]) {
  test(`a replay window of ${width} agrees with a set of all counters seen`, () => {
    const random = new Random(12);
    const window = new ReplayWindow(width);
    const seen = new Set<number>();
    let highest = -1;
    for (let round = 0; round < 30_000; round += 1) {
      const jump = random.below(200) === 0 ? random.below(5 * width) : random.below(8);
      const ctr = Math.max(0, highest + 3 - jump - random.below(2) * random.below(1.4 * width));
      const expected = seen.has(ctr) || ctr <= highest - width;
      assert.equal(window.isReplay(ctr), expected, `counter ${ctr} after ${highest}`);
      // What is too old changes nothing.
      if (expected && round % 3 !== 0) continue;
      window.accept(ctr);
      if (expected) continue;
      seen.add(ctr);
      highest = Math.max(highest, ctr);
    }
    const copy = window.copy();
    window.accept(highest + 4_000_000_000);
    assert.equal(window.isReplay(highest), true);
    assert.equal(copy.isReplay(highest), true);
    assert.equal(copy.isReplay(highest + 1), false);
  });
}

test('frames that are encrypted and decrypted at the same time do not mix', async () => {
  const random = new Random(11);
  const metadata = Uint8Array.of(2, 0);
  const keys = await Promise.all(
    [1, 2].map(() => SFrameKey.fromRaw(SUITES[6]!, random.bytes(96), random.bytes(12))),
  );
  const plain = Array.from({ length: 60 }, () => random.bytes(random.below(6_000)));
  const keyOf = (index: number): SFrameKey => keys[index % 2]!;
  const encrypted = await Promise.all(
    plain.map((frame, index) => keyOf(index).encryptSFrame(7n, index, metadata, frame)),
  );
  const decrypted = await Promise.all(
    encrypted.map((frame, index) =>
      keyOf(index).decryptSFrame(decodeHeader(frame)!, metadata, frame),
    ),
  );
  assert.deepEqual(decrypted, plain);
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CodecName } from '../../src/e2ee/frames/index';
import { FORMATS, SIGNAL_FORMAT } from '../../src/e2ee/frames/index';
import { composeKid, contextOf, keyOf, senderOf } from '../../src/e2ee/kid';
import { ReceiveHistory } from '../../src/e2ee/receiver';
import { decryptFrame, encryptFrame } from '../../src/e2ee/frame-encryption';
import { deriveSessionKey, SessionKeys } from '../../src/e2ee/secret';
import { SecretRing } from '../../src/e2ee/secret-ring';
import { decodeHeader, encodeHeader, importHkdf, SFrameKey, SUITES } from '../../src/e2ee/sframe';
import { decryptSignal } from '../../src/e2ee/signals';
import { bigEndian, concat, lengthPrefixed, utf8 } from '../../src/e2ee/bytes';
import { hex, readJson, toHex } from '../support';

interface Ours {
  format: string;
  kdf: {
    secret: string;
    sessionId: string;
    iterations: number;
    sessionKey: string;
    hint: number;
    connectionId: string;
    streamId: string;
    baseKey: string;
    signalBaseKey: string;
    verificationCode: string;
  }[];
  kids: { sender: number; context: number; hint: number; kid: string }[];
  key: { kid: string; sframeKey: string; sframeSalt: string };
  frames: { codec: CodecName; ctr: number; plain: string; decrypted: string; wire: string }[];
  bad: {
    name: string;
    codec: CodecName;
    connectionId: string;
    streamId: string;
    wire: string;
    expected: string;
  }[];
  signals: {
    connectionId: string;
    ctr: number;
    to: string;
    type: string;
    data: string;
    wire: string;
  }[];
  badSignals: { name: string; from: string; receiver: string; wire: string; expected: string }[];
}

interface Published {
  header: { kid: number; ctr: number; encoded: string }[];
  [aead: string]: unknown[];
}

const ours = readJson<Ours>('../../tests/vectors/e2ee-v2-vectors.json');
assert.ok(ours, 'tests/vectors/e2ee-v2-vectors.json is part of the repository');
const [first] = ours.kdf;
assert.ok(first);
const kid = BigInt(`0x${ours.key.kid}`);
const RECEIVER = 'conn-9';

describe('e2ee/2 vectors', () => {
  test('are of this format', () => assert.equal(ours.format, 'e2ee/2'));

  for (const [index, row] of ours.kdf.entries()) {
    test(`derive keys, hint and verification code of case ${index}`, async () => {
      const { connectionId, streamId } = row;
      const raw = await deriveSessionKey(row.secret, row.sessionId, row.iterations);
      assert.equal(toHex(raw), row.sessionKey);
      const keys = await SessionKeys.fromSessionKey(raw);
      assert.equal(keys.hint, row.hint);
      assert.equal(toHex(await keys.baseKey({ connectionId, streamId })), row.baseKey);
      const signals = await keys.baseKey({ connectionId, streamId: undefined });
      assert.equal(toHex(signals), row.signalBaseKey);
      assert.equal(keys.verificationCode, row.verificationCode);
    });
  }

  test('compose key ids', () => {
    for (const row of ours.kids) {
      const composed = composeKid(row.sender, row.context, row.hint);
      assert.equal(toHex(bigEndian(composed, 8)), row.kid);
      assert.deepEqual(
        [senderOf(composed), contextOf(composed), keyOf(composed)],
        [row.sender, row.context, row.hint],
      );
    }
  });

  for (const row of ours.frames) {
    test(`encrypt and open ${row.codec} at counter ${row.ctr}`, async () => {
      const format = FORMATS[row.codec];
      const key = await SFrameKey.fromRaw(
        SUITES[6]!,
        hex(ours.key.sframeKey),
        hex(ours.key.sframeSalt),
      );
      const wire = await encryptFrame(format, key, kid, row.ctr, hex(row.plain));
      assert.ok(wire);
      assert.equal(toHex(wire), row.wire);
      const parts = format.parse(hex(row.wire));
      assert.ok(parts);
      const header = decodeHeader(parts.sframe);
      assert.ok(header);
      assert.equal(header.kid, kid);
      const decrypted = await decryptFrame(format, key, header, parts);
      assert.ok(decrypted);
      assert.equal(toHex(decrypted), row.decrypted);
      // And from the secret alone.
      const result = await open(row.codec, first, row.wire);
      assert.ok('frame' in result);
      assert.equal(toHex(result.frame), row.decrypted);
    });
  }

  for (const row of ours.bad) {
    test(`refuse "${row.name}" as ${row.expected}`, async () => {
      assert.deepEqual(await open(row.codec, row, row.wire), { refused: row.expected });
    });
  }

  for (const { to, type, data, ctr, connectionId, wire } of ours.signals) {
    test(`encrypt and open the signal "${type}" to "${to}"`, async () => {
      const keys = await firstKeys();
      const key = await keys.sframeKey({ connectionId, streamId: undefined }, kid);
      const plain = concat(lengthPrefixed(to), lengthPrefixed(type), utf8(data));
      const encrypted = await encryptFrame(SIGNAL_FORMAT, key, kid, ctr, plain);
      assert.equal(encrypted && toHex(encrypted), wire);
      const sent = { from: connectionId, to: RECEIVER, encrypted: hex(wire), now: 0 };
      const decrypted = await decryptSignal(await history(), sent);
      assert.deepEqual(decrypted, { signalType: type, data });
    });
  }

  for (const row of ours.badSignals) {
    test(`refuse the signal "${row.name}" as ${row.expected}`, async () => {
      const sent = { from: row.from, to: row.receiver, encrypted: hex(row.wire), now: 0 };
      assert.deepEqual(await decryptSignal(await history(), sent), { refused: row.expected });
    });
  }
});

async function firstKeys(): Promise<SessionKeys> {
  return SessionKeys.fromSessionKey(hex(first!.sessionKey));
}

async function history(): Promise<ReceiveHistory> {
  const ring = new SecretRing();
  ring.add(await firstKeys(), 0);
  return new ReceiveHistory(ring);
}

async function open(
  codec: CodecName,
  { connectionId, streamId }: { connectionId: string; streamId: string },
  wire: string,
): Promise<Awaited<ReturnType<ReturnType<ReceiveHistory['subscribe']>['decrypt']>>> {
  const kind = codec === 'opus' ? 'audio' : 'video';
  const decryptor = (await history()).subscribe({ connectionId, streamId }, kind);
  return decryptor.decrypt(FORMATS[codec], hex(wire), 0);
}
interface AeadRow {
  cipher_suite: number;
  key: string;
  nonce: string;
  aad: string;
  pt: string;
  ct: string;
}

interface SFrameRow {
  cipher_suite: number;
  kid: number;
  ctr: number;
  base_key: string;
  metadata: string;
  pt: string;
  ct: string;
}

for (const file of ['sframe-test-vectors', 'sframe-test-vectors-aes256']) {
  const published = readJson<Published>(`../../../shared/data/${file}.json`);
  describe(`published vectors ${file}`, { skip: published ? false : 'not on this machine' }, () => {
    for (const [section, rows] of Object.entries(published ?? {})) {
      if (section === 'header') test('headers', () => checkHeaders(rows as Published['header']));
      else if (section.startsWith('sframe')) test(section, () => checkSFrames(rows as SFrameRow[]));
      else test(section, () => checkAeads(rows as AeadRow[]));
    }
  });
}

function checkHeaders(rows: Published['header']): void {
  assert.ok(rows.length > 200);
  for (const row of rows) {
    // JSON.parse rounds the files' 64-bit numbers as the header's `ctr` is rounded.
    const bytes = hex(row.encoded);
    const header = decodeHeader(bytes);
    assert.ok(header, row.encoded);
    assert.equal(Number(header.kid), row.kid);
    assert.equal(Number(header.ctr), row.ctr);
    assert.equal(header.length, bytes.length);
    // Writers stop at 2^32 and readers refuse more, so only exact counters are ever encoded.
    if (Number.isSafeInteger(header.ctr)) {
      assert.equal(toHex(encodeHeader(header.kid, header.ctr)), row.encoded);
    } else {
      assert.ok(header.ctr >= 2 ** 53, row.encoded);
    }
  }
}

async function checkAeads(rows: AeadRow[]): Promise<void> {
  assert.ok(rows.length > 0);
  for (const row of rows) {
    // The nonce of counter 0 is the salt.
    const key = await SFrameKey.fromRaw(SUITES[row.cipher_suite]!, hex(row.key), hex(row.nonce));
    const encrypted = await key.encrypt(0, hex(row.aad), hex(row.pt));
    assert.equal(toHex(encrypted), row.ct);
    const decrypted = await key.decrypt(0, hex(row.aad), encrypted);
    assert.equal(decrypted && toHex(decrypted), row.pt);
    encrypted[0] = (encrypted[0] ?? 0) ^ 1;
    assert.equal(await key.decrypt(0, hex(row.aad), encrypted), undefined);
  }
}

async function checkSFrames(rows: SFrameRow[]): Promise<void> {
  assert.ok(rows.length > 0);
  for (const row of rows) {
    const base = await importHkdf(hex(row.base_key));
    const key = await SFrameKey.derive(SUITES[row.cipher_suite]!, base, BigInt(row.kid));
    const sframe = await key.encryptSFrame(
      BigInt(row.kid),
      row.ctr,
      hex(row.metadata),
      hex(row.pt),
    );
    assert.equal(toHex(sframe), row.ct);
    const header = decodeHeader(sframe);
    assert.ok(header);
    const decrypted = await key.decryptSFrame(header, hex(row.metadata), sframe);
    assert.equal(decrypted && toHex(decrypted), row.pt);
  }
}

test('a header that is not in its shortest form is refused', () => {
  for (const bytes of ['8000', '8007', '0807', '900001', '', '80', 'f0']) {
    assert.equal(decodeHeader(hex(bytes)), undefined, bytes);
  }
  assert.equal(toHex(bigEndian(0x1234, 4)), '00001234');
});

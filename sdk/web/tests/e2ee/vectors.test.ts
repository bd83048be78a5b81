import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bigEndian } from '../../src/e2ee/bytes';
import type { CodecName } from '../../src/e2ee/frames/index';
import { FORMATS } from '../../src/e2ee/frames/index';
import { openFrame, sealFrame } from '../../src/e2ee/seal';
import { deriveSessionKey, SessionKeys } from '../../src/e2ee/secret';
import { decodeHeader, encodeHeader, importHkdf, SFrameKey, SUITES } from '../../src/e2ee/sframe';
import { TrackOpener } from '../../src/e2ee/receiver';
import { SecretRing } from '../../src/e2ee/secret-ring';
import { hex, readJson, toHex } from '../support';

interface Ours {
  kdf: {
    secret: string;
    sessionId: string;
    iterations: number;
    sessionKey: string;
    hint: number;
    streamId: string;
    baseKey: string;
  }[];
  frames: { codec: CodecName; ctr: number; plain: string; decrypted: string; wire: string }[];
  bad: { name: string; codec: CodecName; streamId: string; wire: string; expected: string }[];
  key: { contextId: string; kid: string; sframeKey: string; sframeSalt: string };
}

interface Published {
  header: { kid: number; ctr: number; encoded: string }[];
  [aead: string]: unknown[];
}

const ours = readJson<Ours>('../../tests/vectors/e2ee-v1-vectors.json');
assert.ok(ours, 'tests/vectors/e2ee-v1-vectors.json is part of the repository');
const [firstKdf] = ours.kdf;
assert.ok(firstKdf);
const kid = BigInt(`0x${ours.key.kid}`);

describe('e2ee/1 vectors', () => {
  for (const [index, row] of ours.kdf.entries()) {
    test(`derive session key, hint and base key of case ${index}`, async () => {
      const raw = await deriveSessionKey(row.secret, row.sessionId, row.iterations);
      assert.equal(toHex(raw), row.sessionKey);
      const keys = await SessionKeys.fromSessionKey(raw);
      assert.equal(keys.hint, row.hint);
      assert.equal(toHex(await keys.streamBaseKey(row.streamId)), row.baseKey);
    });
  }

  for (const row of ours.frames) {
    test(`seal and open ${row.codec} at counter ${row.ctr}`, async () => {
      const format = FORMATS[row.codec];
      const key = await SFrameKey.fromRaw(
        SUITES[6]!,
        hex(ours.key.sframeKey),
        hex(ours.key.sframeSalt),
      );
      const wire = await sealFrame(format, key, kid, BigInt(row.ctr), hex(row.plain));
      assert.ok(wire);
      assert.equal(toHex(wire), row.wire);
      const parts = format.parse(hex(row.wire));
      assert.ok(parts);
      const header = decodeHeader(parts.sframe);
      assert.ok(header);
      assert.equal(header.kid, kid);
      const opened = await openFrame(format, key, header, parts);
      assert.ok(opened);
      assert.equal(toHex(opened), row.decrypted);
    });

    test(`open ${row.codec} at counter ${row.ctr} from the secret alone`, async () => {
      const opener = await openerFor(firstKdf.streamId);
      const result = await opener.open(FORMATS[row.codec], hex(row.wire), 0);
      assert.ok('frame' in result);
      assert.equal(toHex(result.frame), row.decrypted);
    });
  }

  for (const row of ours.bad) {
    test(`refuse "${row.name}" as ${row.expected}`, async () => {
      const opener = await openerFor(row.streamId);
      const result = await opener.open(FORMATS[row.codec], hex(row.wire), 0);
      assert.deepEqual(result, { refused: row.expected });
    });
  }
});

async function openerFor(streamId: string): Promise<TrackOpener> {
  const keys = await SessionKeys.fromSessionKey(hex(firstKdf!.sessionKey));
  const ring = new SecretRing();
  ring.add(keys, 0);
  return new TrackOpener(ring, (candidate, id) => candidate.streamKey(streamId, id));
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
    // The files hold 64-bit numbers, which JSON.parse rounds: read them from the encoding.
    const bytes = hex(row.encoded);
    const header = decodeHeader(bytes);
    assert.ok(header, row.encoded);
    assert.equal(Number(header.kid), row.kid);
    assert.equal(Number(header.ctr), row.ctr);
    assert.equal(header.length, bytes.length);
    assert.equal(toHex(encodeHeader(header.kid, header.ctr)), row.encoded);
  }
}

async function checkAeads(rows: AeadRow[]): Promise<void> {
  assert.ok(rows.length > 0);
  for (const row of rows) {
    // The nonce of counter 0 is the salt.
    const key = await SFrameKey.fromRaw(SUITES[row.cipher_suite]!, hex(row.key), hex(row.nonce));
    const sealed = await key.encrypt(0n, hex(row.aad), hex(row.pt));
    assert.equal(toHex(sealed), row.ct);
    const opened = await key.decrypt(0n, hex(row.aad), sealed);
    assert.equal(opened && toHex(opened), row.pt);
    sealed[0] = (sealed[0] ?? 0) ^ 1;
    assert.equal(await key.decrypt(0n, hex(row.aad), sealed), undefined);
  }
}

async function checkSFrames(rows: SFrameRow[]): Promise<void> {
  assert.ok(rows.length > 0);
  for (const row of rows) {
    const base = await importHkdf(hex(row.base_key));
    const key = await SFrameKey.derive(SUITES[row.cipher_suite]!, base, BigInt(row.kid));
    const sframe = await key.seal(BigInt(row.kid), BigInt(row.ctr), hex(row.metadata), hex(row.pt));
    assert.equal(toHex(sframe), row.ct);
    const header = decodeHeader(sframe);
    assert.ok(header);
    const opened = await key.open(header, hex(row.metadata), sframe);
    assert.equal(opened && toHex(opened), row.pt);
  }
}

test('a header that is not in its shortest form is refused', () => {
  for (const bytes of ['8000', '8007', '0807', '900001', '', '80', 'f0']) {
    assert.equal(decodeHeader(hex(bytes)), undefined, bytes);
  }
  assert.equal(toHex(bigEndian(0x1234, 4)), '00001234');
});

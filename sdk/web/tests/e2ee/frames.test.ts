import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Bytes } from '../../src/e2ee/bytes';
import { at, concat } from '../../src/e2ee/bytes';
import { obus } from '../../src/e2ee/frames/av1';
import { escape, nalUnits, unescape } from '../../src/e2ee/frames/h264';
import { FORMATS, formatOf } from '../../src/e2ee/frames/index';
import { hex, Random, toHex } from '../support';

const ROUNDS = 4_000;

describe('H.264 frames', () => {
  const { h264 } = FORMATS;

  test('survive what packetisers do: other start codes, a grown SPS, trailing zeros', () => {
    const random = new Random(1);
    for (let round = 0; round < ROUNDS; round += 1) {
      const frame = accessUnit(random);
      const parts = h264.split(frame);
      assert.ok(parts);
      const sframe = concat(Uint8Array.of(0xf0), random.zeroRichBytes(20 + random.below(80)));
      const wire = renormalised(random, parts.wrap(sframe));
      const parsed = h264.parse(wire);
      assert.ok(parsed);
      assert.equal(toHex(parsed.sframe), toHex(sframe));
      const restored = nalUnits(parsed.unwrap(parts.plaintext)).map(toHex);
      assert.deepEqual(restored, nalUnits(frame).map(toHex));
    }
  });

  test('carry no start code inside the encrypted slice', () => {
    const random = new Random(2);
    for (let round = 0; round < ROUNDS; round += 1) {
      const plain = random.zeroRichBytes(random.below(120));
      const escaped = escape(concat(plain, Uint8Array.of(0x80)));
      assert.doesNotMatch(toHex(escaped), /^(..)*?0000(00|01|02)/);
      assert.equal(toHex(unescape(escaped)), `${toHex(plain)}80`);
    }
  });

  test('name the picture parameter set of the real slice', () => {
    for (const [slice, header] of [
      ['0000000165888400', '6588'],
      ['00000001419a00ff', '419b'],
      // first_mb 0, slice_type 5, pic_parameter_set_id 2 → 1 00110 011, filled with ones
      ['00000001' + '419980ff', '4199ff'],
    ] as const) {
      const wire = h264.split(hex(slice))?.wrap(hex('f0aa'));
      assert.ok(wire);
      assert.ok(toHex(wire).startsWith(`00000001${header}`), toHex(wire));
    }
  });

  test('of nothing are not sent', () => {
    assert.equal(h264.split(hex('')), undefined);
    assert.equal(h264.split(hex('0102030405')), undefined);
    assert.equal(h264.split(hex('000000010000')), undefined);
  });

  test('of random bytes never raise', () => {
    const random = new Random(3);
    for (let round = 0; round < ROUNDS; round += 1) {
      h264.parse(random.zeroRichBytes(random.below(60)));
      h264.split(random.zeroRichBytes(random.below(60)));
    }
  });
});

describe('AV1 frames', () => {
  const { av1 } = FORMATS;

  test('survive added sizes and a removed temporal delimiter', () => {
    const random = new Random(4);
    for (let round = 0; round < ROUNDS; round += 1) {
      const frame = temporalUnit(random);
      const parts = av1.split(frame);
      assert.ok(parts);
      const sframe = concat(Uint8Array.of(0xf0), random.bytes(20 + random.below(300)));
      const wire = withSizes(parts.wrap(sframe));
      const parsed = av1.parse(wire);
      assert.ok(parsed);
      assert.equal(toHex(parsed.sframe), toHex(sframe));
      assert.equal(toHex(parsed.unwrap(parts.plaintext)), toHex(frame));
    }
  });

  test('begin with a sequence header exactly when they are key frames', () => {
    const random = new Random(5);
    for (let round = 0; round < 200; round += 1) {
      const frame = temporalUnit(random);
      const hasSequenceHeader = obus(frame).some((obu) => obu.type === 1);
      const wire = av1.split(frame)?.wrap(hex('f0'));
      assert.ok(wire);
      assert.equal((at(wire, 0) >> 3) & 15, hasSequenceHeader ? 1 : 6);
    }
  });

  test('of random bytes never raise', () => {
    const random = new Random(6);
    for (let round = 0; round < ROUNDS; round += 1) {
      av1.parse(random.bytes(random.below(60)));
      av1.split(random.bytes(random.below(60)))?.wrap(hex('f0'));
    }
  });
});

test('a VP8 key frame shorter than its clear part is not sent', () => {
  assert.equal(FORMATS.vp8.split(hex('706b009d012a800200')), undefined);
  assert.ok(FORMATS.vp8.split(hex('51')));
});

test('only codecs of the format have one', () => {
  assert.equal(formatOf('video', 'video/VP8'), FORMATS.vp8);
  assert.equal(formatOf('audio', 'audio/opus'), FORMATS.opus);
  // Browsers that do not name it have Opus alone; of video nothing is guessed.
  assert.equal(formatOf('audio', undefined), FORMATS.opus);
  assert.equal(formatOf('video', undefined), undefined);
  // A video codec's clear bytes are never left of audio, whatever a track is called.
  for (const mimeType of [
    'audio/red',
    'audio/PCMU',
    'video/H265',
    'video/opus',
    'constructor',
    '',
  ]) {
    assert.equal(formatOf('audio', mimeType), undefined);
    assert.equal(formatOf('video', mimeType), undefined);
  }
  for (const mimeType of ['audio/vp8', 'video/vp8']) {
    assert.equal(formatOf('audio', mimeType), undefined);
  }
  assert.equal(formatOf('video', 'audio/opus'), undefined);
});

function accessUnit(random: Random): Bytes {
  const isKey = random.below(2) === 0;
  const units = isKey ? [0x67, 0x68, 0x65] : [0x06, 0x41, 0x41].slice(random.below(2));
  return concat(
    ...units.flatMap((header) => [
      random.below(2) === 0 ? hex('000001') : hex('00000001'),
      Uint8Array.of(header),
      escape(concat(random.zeroRichBytes(4 + random.below(40)), Uint8Array.of(0x80))),
    ]),
  );
}

function renormalised(random: Random, wire: Bytes): Bytes {
  return concat(
    ...nalUnits(wire).flatMap((unit) => [
      random.below(2) === 0 ? hex('000001') : hex('00000001'),
      unit,
      (at(unit, 0) & 31) === 7 ? hex('55') : hex(''),
    ]),
  );
}

function temporalUnit(random: Random): Bytes {
  const types = random.below(2) === 0 ? [2, 1, 6] : [2, 6];
  return concat(
    ...types.map((type) => {
      const payload = type === 2 ? hex('') : random.bytes(1 + random.below(200));
      return concat(Uint8Array.of((type << 3) | 2), leb128(payload.length), payload);
    }),
  );
}

function withSizes(frame: Bytes): Bytes {
  return concat(
    ...obus(frame).map(({ header, payload }) =>
      concat(Uint8Array.of(at(header, 0) | 2), leb128(payload.length), payload),
    ),
  );
}

function leb128(value: number): Bytes {
  return value < 128
    ? Uint8Array.of(value)
    : Uint8Array.of((value & 127) | 128, ...leb128(value >> 7));
}

/**
 * H.264 in Annex B (e2ee/2 section 4): the whole access unit is encrypted and travels as one opaque slice
 * NAL unit. Copies of SPS and PPS go before it as hints for depacketizers; they are not trusted.
 */
import type { Bytes } from '../bytes';
import { at, concat, EMPTY } from '../bytes';
import type { FrameFormat } from './index';

const START_CODE = Uint8Array.of(0, 0, 0, 1);
const NAL_SLICE = 1;
const NAL_IDR = 5;
const NAL_SPS = 7;
const NAL_PPS = 8;
const SLICE_P = 5;
const SLICE_I = 7;
/** Three Exp-Golomb codes of a slice header fit in far less; more is not read. */
const SLICE_HEADER_BYTES = 24;

export const h264: FrameFormat = {
  id: 3,
  split(frame) {
    const units = nalUnits(frame);
    if (units.length === 0) return undefined;
    return {
      clear: EMPTY,
      plaintext: joinUnits(units).subarray(START_CODE.length),
      wrap: (sframe) => wrapAccessUnit(units, sframe),
    };
  },
  parse(wire) {
    const slice = nalUnits(wire).find((unit) => isSlice(unit));
    const sframe = slice && unwrapSlice(slice);
    return (
      sframe && {
        clear: EMPTY,
        sframe,
        unwrap: (plaintext) => concat(START_CODE, plaintext),
      }
    );
  },
};

function wrapAccessUnit(units: readonly Bytes[], sframe: Bytes): Bytes {
  const isIdr = units.some((unit) => typeOf(unit) === NAL_IDR);
  const slice = units.find(isSlice);
  const header = sliceHeader(isIdr ? SLICE_I : SLICE_P, slice ? pictureParameterSetId(slice) : 0);
  const body = escape(concat(sframe, Uint8Array.of(0x80)));
  const hints = units.filter((unit) => typeOf(unit) === NAL_SPS || typeOf(unit) === NAL_PPS);
  return joinUnits([...hints, concat(Uint8Array.of(isIdr ? 0x65 : 0x41), header, body)]);
}

function unwrapSlice(unit: Bytes): Bytes | undefined {
  const reader = new BitReader(unit, 8);
  for (let code = 0; code < 3; code += 1) {
    if (reader.expGolomb() === undefined) return undefined;
  }
  const body = unescape(unit.subarray(Math.ceil(reader.position / 8)));
  return at(body, body.length - 1) === 0x80 ? body.subarray(0, -1) : undefined;
}

function typeOf(unit: Uint8Array): number {
  return at(unit, 0) & 0x1f;
}

function isSlice(unit: Uint8Array): boolean {
  return typeOf(unit) === NAL_SLICE || typeOf(unit) === NAL_IDR;
}

/** The NAL units between start codes of 3 or 4 bytes, trailing zero bytes off. */
export function nalUnits(frame: Bytes): Bytes[] {
  const units: Bytes[] = [];
  let start = -1;
  const finish = (end: number): void => {
    let last = end;
    while (last > start && at(frame, last - 1) === 0) last -= 1;
    if (start >= 0 && last > start) units.push(frame.subarray(start, last));
  };
  let index = 0;
  while (index + 2 < frame.length) {
    if (at(frame, index + 2) > 1) index += 3;
    else if (at(frame, index) === 0 && at(frame, index + 1) === 0 && at(frame, index + 2) === 1) {
      finish(index);
      start = index + 3;
      index = start;
    } else index += 1;
  }
  finish(frame.length);
  return units;
}

function joinUnits(units: readonly Bytes[]): Bytes {
  return concat(...units.flatMap((unit) => [START_CODE, unit]));
}

/** first_mb_in_slice 0, slice_type, pic_parameter_set_id, filled up with 1 bits. */
function sliceHeader(sliceType: number, parameterSet: number): Bytes {
  const bits = expGolombBits(0) + expGolombBits(sliceType) + expGolombBits(parameterSet);
  const length = Math.ceil(bits.length / 8);
  const padded = bits.padEnd(length * 8, '1');
  return Uint8Array.from({ length }, (_, index) =>
    parseInt(padded.slice(index * 8, index * 8 + 8), 2),
  );
}

function expGolombBits(value: number): string {
  const bits = (value + 1).toString(2);
  return '0'.repeat(bits.length - 1) + bits;
}

function pictureParameterSetId(slice: Bytes): number {
  const reader = new BitReader(unescape(slice.subarray(0, SLICE_HEADER_BYTES)), 8);
  reader.expGolomb();
  reader.expGolomb();
  const id = reader.expGolomb() ?? 0;
  return id <= 255 ? id : 0;
}

/** Emulation prevention (H.264 7.4.1): 00 00 before 00..03 becomes 00 00 03. */
export function escape(bytes: Bytes): Bytes {
  const escaped = new Uint8Array(bytes.length + Math.ceil(bytes.length / 2));
  let length = 0;
  let zeros = 0;
  for (const byte of bytes) {
    if (zeros >= 2 && byte <= 3) {
      escaped[length++] = 3;
      zeros = 0;
    }
    escaped[length++] = byte;
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return escaped.subarray(0, length);
}

export function unescape(bytes: Bytes): Bytes {
  const plain = new Uint8Array(bytes.length);
  let length = 0;
  let zeros = 0;
  for (const byte of bytes) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    plain[length++] = byte;
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return plain.subarray(0, length);
}

class BitReader {
  constructor(
    private readonly bytes: Uint8Array,
    /** In bits from the start of `bytes`. */
    public position: number,
  ) {}

  /** `undefined` when the code is longer than 31 bits or than the bytes. */
  expGolomb(): number | undefined {
    let zeros = 0;
    while (this.bit() === 0) {
      zeros += 1;
      if (zeros > 31 || this.position >= this.bytes.length * 8) return undefined;
    }
    let value = 1;
    for (let index = 0; index < zeros; index += 1) value = value * 2 + this.bit();
    return this.position <= this.bytes.length * 8 ? value - 1 : undefined;
  }

  private bit(): number {
    const byte = at(this.bytes, this.position >> 3);
    const bit = (byte >> (7 - (this.position & 7))) & 1;
    this.position += 1;
    return bit;
  }
}

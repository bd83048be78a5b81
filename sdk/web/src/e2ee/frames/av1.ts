/**
 * AV1 (e2ee/2 section 4): the whole temporal unit is encrypted and travels as one frame OBU; a copy of the
 * sequence header before it lets packetizers recognise a key frame. The copy is not trusted.
 */
import type { Bytes } from '../bytes';
import { at, concat, EMPTY } from '../bytes';
import type { FrameFormat } from './index';

const OBU_SEQUENCE_HEADER = 1;
const OBU_FRAME = 6;
/** A frame OBU without extension and size: it reaches to the end. */
const FRAME_OBU_HEADER = Uint8Array.of(OBU_FRAME << 3);
const HAS_EXTENSION = 0b100;
const HAS_SIZE = 0b010;
/** A temporal unit has a handful; more is not read. */
const MAX_OBUS = 64;

interface Obu {
  readonly type: number;
  readonly header: Bytes;
  readonly payload: Bytes;
}

export const av1: FrameFormat = {
  id: 4,
  split(frame) {
    if (frame.length === 0) return undefined;
    const sequenceHeader = obus(frame).find((obu) => obu.type === OBU_SEQUENCE_HEADER);
    const hint = sequenceHeader ? withSize(sequenceHeader) : EMPTY;
    return {
      clear: EMPTY,
      plaintext: frame,
      wrap: (sframe) => concat(hint, FRAME_OBU_HEADER, sframe),
    };
  },
  parse(wire) {
    const sframe = obus(wire).find((obu) => obu.type === OBU_FRAME)?.payload;
    return sframe && { clear: EMPTY, sframe, unwrap: (plaintext) => plaintext };
  },
};

/** The OBUs up to the first malformed one. */
export function obus(bytes: Bytes): Obu[] {
  const found: Obu[] = [];
  let position = 0;
  while (position < bytes.length && found.length < MAX_OBUS) {
    const flags = at(bytes, position);
    const headerEnd = position + ((flags & HAS_EXTENSION) === 0 ? 1 : 2);
    const size =
      (flags & HAS_SIZE) === 0
        ? { value: bytes.length - headerEnd, end: headerEnd }
        : leb128(bytes, headerEnd);
    if (!size || size.value < 0 || size.end + size.value > bytes.length) break;
    const end = size.end + size.value;
    found.push({
      type: (flags >> 3) & 0b1111,
      header: bytes.subarray(position, headerEnd),
      payload: bytes.subarray(size.end, end),
    });
    position = end;
  }
  return found;
}

function withSize({ header, payload }: Obu): Bytes {
  const flags = header.slice();
  flags[0] = at(header, 0) | HAS_SIZE;
  const size: number[] = [];
  for (let rest = payload.length; ; rest >>>= 7) {
    size.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    if (rest <= 0x7f) break;
  }
  return concat(flags, Uint8Array.from(size), payload);
}

/** AV1 4.10.5, limited to 5 bytes: no frame is longer. */
function leb128(bytes: Uint8Array, start: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let index = 0; index < 5 && start + index < bytes.length; index += 1) {
    const byte = at(bytes, start + index);
    value += (byte & 0x7f) * 2 ** (7 * index);
    if ((byte & 0x80) === 0) return { value, end: start + index + 1 };
  }
  return undefined;
}

/**
 * Whether bytes are one whole MessagePack value of little depth and not too many parts, before
 * anything is made of it. It counts as the server does (signaling/protocol/counting.py).
 */
import { CONTAINER_VALUES, MAX_MESSAGE_DEPTH, MAX_MESSAGE_VALUES } from '../rules';

interface Item {
  /** Where its own bytes end. */
  readonly end: number;
  /** How many values it holds. */
  readonly values: number;
  readonly isContainer: boolean;
}

interface Shape {
  /** Bytes that hold the count behind the tag; 0: the tag has it. */
  readonly width: 0 | 1 | 2 | 4;
  /** Bytes that follow always. */
  readonly fixed?: number;
  /** Values of a count of one; 0: the count is in bytes. */
  readonly values?: 1 | 2;
}

const SHAPES: Readonly<Record<number, Shape>> = {
  0xc0: { width: 0 },
  0xc2: { width: 0 },
  0xc3: { width: 0 },
  0xc4: { width: 1 },
  0xc5: { width: 2 },
  0xc6: { width: 4 },
  0xc7: { width: 1, fixed: 1 },
  0xc8: { width: 2, fixed: 1 },
  0xc9: { width: 4, fixed: 1 },
  0xca: { width: 0, fixed: 4 },
  0xcb: { width: 0, fixed: 8 },
  0xcc: { width: 0, fixed: 1 },
  0xcd: { width: 0, fixed: 2 },
  0xce: { width: 0, fixed: 4 },
  0xcf: { width: 0, fixed: 8 },
  0xd0: { width: 0, fixed: 1 },
  0xd1: { width: 0, fixed: 2 },
  0xd2: { width: 0, fixed: 4 },
  0xd3: { width: 0, fixed: 8 },
  0xd4: { width: 0, fixed: 2 },
  0xd5: { width: 0, fixed: 3 },
  0xd6: { width: 0, fixed: 5 },
  0xd7: { width: 0, fixed: 9 },
  0xd8: { width: 0, fixed: 17 },
  0xd9: { width: 1 },
  0xda: { width: 2 },
  0xdb: { width: 4 },
  0xdc: { width: 2, values: 1 },
  0xdd: { width: 4, values: 1 },
  0xde: { width: 2, values: 2 },
  0xdf: { width: 4, values: 2 },
};

/** Decoders make room for as many elements as a header claims: here the claim is checked. */
export function isBounded(bytes: Uint8Array): boolean {
  /** Values that are still to come, by depth. */
  const open = [1];
  let offset = 0;
  let total = 1;
  while (open.length > 0) {
    const left = open.pop() ?? 0;
    if (left === 0) continue;
    open.push(left - 1);
    const item = itemAt(bytes, offset);
    if (!item) return false;
    offset = item.end;
    if (offset + item.values > bytes.length) return false;
    if (!item.isContainer) continue;
    total += item.values + CONTAINER_VALUES;
    open.push(item.values);
    if (total > MAX_MESSAGE_VALUES || open.length > MAX_MESSAGE_DEPTH + 1) return false;
  }
  return offset === bytes.length;
}

function itemAt(bytes: Uint8Array, offset: number): Item | undefined {
  const tag = bytes[offset];
  if (tag === undefined) return undefined;
  const next = offset + 1;
  if (tag <= 0x7f || tag >= 0xe0) return scalar(next);
  if (tag <= 0x8f) return container(next, (tag & 0x0f) * 2);
  if (tag <= 0x9f) return container(next, tag & 0x0f);
  if (tag <= 0xbf) return scalar(next + (tag & 0x1f));
  const shape = SHAPES[tag];
  return shape && longItem(bytes, next, shape);
}

function longItem(bytes: Uint8Array, next: number, shape: Shape): Item {
  const { width, fixed = 0, values } = shape;
  let count = 0;
  for (let index = 0; index < width; index += 1) count = count * 256 + (bytes[next + index] ?? 0);
  const end = next + width + fixed;
  return values ? container(end, count * values) : scalar(end + count);
}

const scalar = (end: number): Item => ({ end, values: 0, isContainer: false });

const container = (end: number, values: number): Item => ({ end, values, isContainer: true });

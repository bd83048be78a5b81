/** Every message of the server, in every wrong shape, against the one place that looks. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { decodeMessage } from '../../src/signaling/codec';
import type { Part, Shape } from '../../src/signaling/shape';
import { SERVER_SHAPES } from '../../src/signaling/shapes';

const decoded = (message: object): ReturnType<typeof decodeMessage> =>
  decodeMessage(encode(message, { ignoreUndefined: true }).slice().buffer);

/** Of every type that MessagePack has. */
const VALUES: readonly unknown[] = [
  ...[null, true, 7, -7, 7.5, 2 ** 60, NaN, Infinity, 'x', '', 'x'.repeat(70_000)],
  ...[new Uint8Array(2), [], [7], [{}], [null], {}, { x: 7 }, { x: {} }],
];

/** A value that the shape allows. */
function sample(shape: Shape): unknown {
  const { type, least, words = [], of, keys, members = {} } = shape;
  const samples: Record<Shape['type'], () => unknown> = {
    any: () => 'x',
    flag: () => true,
    whole: () => Math.max(1, least ?? 0),
    number: () => 1.5,
    text: () => 'x',
    id: () => 'x',
    bytes: () => new Uint8Array(least ?? 1),
    word: () => words[0],
    list: () => (of ? [sample(of)] : []),
    map: () => (keys && of ? { [String(sample(keys))]: sample(of) } : {}),
    part: () =>
      Object.fromEntries(Object.entries(members).map(([name, one]) => [name, sample(one)])),
  };
  return samples[type]();
}

type Judge = (value: unknown, shape: Shape) => boolean;

const isWithin = (size: number, { least = -Infinity, most = Infinity }: Shape): boolean =>
  size >= least && size <= most;

/** Written once more, by hand: the SDK's own check must not be what it is compared with. */
const JUDGES: Readonly<Record<Shape['type'], Judge>> = {
  any: () => true,
  flag: (value) => value === true || value === false,
  whole: (value, shape) => Number.isSafeInteger(value) && isWithin(value as number, shape),
  number: (value) => typeof value === 'number' && Math.abs(value) < Infinity,
  text: (value, shape) => typeof value === 'string' && isWithin(value.length, shape),
  id: (value) => value === 'x',
  word: (value, { words }) => (words as readonly unknown[]).includes(value),
  bytes: (value, shape) => value instanceof Uint8Array && isWithin(value.length, shape),
  list: (value) => Array.isArray(value) && value.length === 0,
  map: (value, shape) =>
    value?.constructor === Object &&
    Object.entries(value).every(([key, one]) => inMap(shape, key, one)),
  part: () => false,
};

const isOf = (shape: Shape, value: unknown): boolean => JUDGES[shape.type](value, shape);

function inMap({ keys, of }: Partial<Shape>, key: string, value: unknown): boolean {
  return Boolean(keys && of) && isOf(keys as Shape, key) && isOf(of as Shape, value);
}

interface Place {
  readonly path: string;
  readonly shape: Shape;
  /** The message with another value there; `undefined`: with none. */
  readonly put: (value: unknown) => object;
}

/** Every place of a message where a value stands, those within lists, maps and parts too. */
function placesOf(shape: Part, made: object, put: (value: object) => object, path = ''): Place[] {
  return Object.entries(shape.members).flatMap(([name, member]): Place[] => {
    const here = path === '' ? name : `${path}.${name}`;
    const putHere = (value: unknown): object => put({ ...made, [name]: value });
    const inner = (made as Record<string, unknown>)[name];
    return [{ path: here, shape: member, put: putHere }, ...within(member, inner, putHere, here)];
  });
}

function within(
  { members, of, keys }: Shape,
  made: unknown,
  put: (value: unknown) => object,
  path: string,
): Place[] {
  if (members) return placesOf({ type: 'part', members }, made as object, put, path);
  if (!of) return [];
  const place = `${path}[]`;
  const putOne = (value: unknown): object =>
    put(keys ? { [String(sample(keys))]: value } : [value]);
  const [entry] = Object.values(made as object) as unknown[];
  return [{ path: place, shape: of, put: putOne }, ...within(of, entry, putOne, place)];
}

const known = (path: string, kind: string): string => `"${kind}" with a wrong or missing "${path}"`;

/** How many shapes were tried: ids have rules of their own, and tests of their own. */
function tryAt({ path, shape, put }: Place, kind: string, value: unknown): number {
  const isRight = isOf(shape, value) || (value === null && Boolean(shape.isNullable));
  if (isRight && (value === '' || value === 'x'.repeat(70_000))) return 0;
  const { fault } = decoded(put(value));
  assert.equal(fault === undefined, isRight, `${path}: ${JSON.stringify(value)}`);
  if (fault) assert.ok(fault.error.message.includes(`"${kind}" with a wrong or missing "`));
  return 1;
}

describe('a message of the server', () => {
  let count = 0;
  for (const [kind, shape] of Object.entries(SERVER_SHAPES)) {
    const message = { t: kind, ...(sample(shape) as object) };

    test(`${kind}: as the protocol has it, and with more members, is one`, () => {
      assert.deepEqual(decoded(message).message, message);
      assert.deepEqual(decoded({ ...message, ofTomorrow: [7] }).fault, undefined);
    });

    for (const place of placesOf(shape, message, (made) => made)) {
      test(`${kind}: "${place.path}" is what it must be, or the message is refused whole`, () => {
        for (const value of VALUES) count += tryAt(place, kind, value);
        const isMember = !place.path.endsWith('[]');
        const { fault } = decoded(place.put(undefined));
        const isNeeded = isMember && !place.shape.isOptional;
        if (isNeeded) assert.ok(fault?.error.message.includes(known(place.path, kind)));
        else if (isMember) assert.equal(fault, undefined);
      });
    }
  }

  test('was tried in thousands of shapes', () => {
    assert.ok(count > 1_500, String(count));
  });

  test('has bounds where people see it', () => {
    const error = { t: 'error', code: 'x', name: 'OT_X', number: 1, message: 'x' };
    for (const wrong of [{ message: 'x'.repeat(1_001) }, { name: 'x'.repeat(65) }]) {
      assert.ok(decoded({ ...error, ...wrong }).fault);
    }
    const gone = { t: 'connectionDestroyed', connectionId: 'x' };
    assert.ok(decoded({ ...gone, reason: 'because' }).fault);
    assert.ok(decoded({ t: 'disconnected', reason: 'x'.repeat(1_000_000) }).fault);
  });

  test('of an unknown kind passes, and whoever hears it knows nothing of it', () => {
    for (const t of ['ofTomorrow', 'constructor', '__proto__', 'toString']) {
      assert.deepEqual(decoded({ t, x: 1 }).message, { t, x: 1 });
    }
  });
});

/** What a value of a message must be. The table of messages (shapes.ts) is made of these. Pure. */
import { MAX_INTEGER } from '../rules';
import { isId } from './ids';

export type Members = Readonly<Record<string, Shape>>;

type Check = (shape: Shape, value: unknown) => string | undefined;

/** `undefined`: it is right; else the path of what is not, "" for the value itself. */
const right = undefined;
const wrong = '';

/** One type of value, with its bounds. */
export interface Shape {
  readonly type: keyof typeof CHECKS;
  readonly least?: number | undefined;
  readonly most?: number | undefined;
  readonly words?: readonly string[];
  /** Of a list or a map: its values. */
  readonly of?: Shape;
  /** Of a map. */
  readonly keys?: Shape;
  readonly members?: Members;
  readonly isNullable?: boolean;
  readonly isOptional?: boolean;
}

export interface Part extends Shape {
  readonly members: Members;
}

/** Of those that may be null too, as the table of messages writes it. */
interface Nullable extends Shape {
  orNull(): Shape;
}

function isWithin({ least, most }: Shape, size: number): boolean {
  return size >= (least ?? -Infinity) && size <= (most ?? Infinity);
}

const verdict = (isRight: boolean): string | undefined => (isRight ? right : wrong);

const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Uint8Array);

const CHECKS = {
  any: () => right,
  flag: (_, value) => verdict(typeof value === 'boolean'),
  whole: (shape, value) => verdict(Number.isSafeInteger(value) && isWithin(shape, Number(value))),
  number: (shape, value) => verdict(Number.isFinite(value) && isWithin(shape, Number(value))),
  text: (shape, value) => verdict(typeof value === 'string' && isWithin(shape, value.length)),
  id: (_, value) => verdict(isId(value)),
  bytes: (shape, value) => verdict(value instanceof Uint8Array && isWithin(shape, value.length)),
  word: ({ words = [] }, value) => verdict(typeof value === 'string' && words.includes(value)),
  list: (shape, value) => {
    if (!Array.isArray(value) || !isWithin(shape, value.length)) return wrong;
    const { of } = shape;
    for (const entry of of ? value : []) {
      const fault = of && faultIn(of, entry);
      if (fault !== undefined) return joined('[]', fault);
    }
    return right;
  },
  map: ({ keys, of }, value) => {
    if (!isTable(value)) return wrong;
    for (const [key, entry] of Object.entries(value)) {
      if (keys && faultIn(keys, key) !== undefined) return '[]';
      const fault = of && faultIn(of, entry);
      if (fault !== undefined) return joined('[]', fault);
    }
    return right;
  },
  part: ({ members = {} }, value) => {
    if (!isTable(value)) return wrong;
    for (const [name, member] of Object.entries(members)) {
      const fault = faultIn(member, Object.hasOwn(value, name) ? value[name] : undefined);
      if (fault !== undefined) return joined(name, fault);
    }
    return right;
  },
} satisfies Record<string, Check>;

const joined = (name: string, inner: string): string =>
  inner === '' || inner.startsWith('[]') ? `${name}${inner}` : `${name}.${inner}`;

/** The path of the first value that is not as it must be. Members that no shape names pass. */
export function faultIn(shape: Shape, value: unknown): string | undefined {
  if (value === undefined) return shape.isOptional ? right : wrong;
  if (value === null && shape.isNullable) return right;
  const check: Check = CHECKS[shape.type];
  return check(shape, value);
}

function made(shape: Shape): Nullable {
  return { ...shape, orNull: () => ({ ...shape, isNullable: true }) };
}

export const any = (): Shape => ({ type: 'any', isNullable: true });

export const flag = (): Nullable => made({ type: 'flag' });

export const whole = (least = -MAX_INTEGER, most = MAX_INTEGER): Nullable =>
  made({ type: 'whole', least, most });

export const number = (least?: number, most?: number): Nullable =>
  made({ type: 'number', least, most });

export const text = (least?: number, most?: number): Nullable =>
  made({ type: 'text', least, most });

export const id = (): Nullable => made({ type: 'id' });

export const bytes = (least?: number, most?: number): Nullable =>
  made({ type: 'bytes', least, most });

export const word = (...words: string[]): Nullable => made({ type: 'word', words });

export const list = (of: Shape, most?: number): Nullable => made({ type: 'list', of, most });

export const map = (keys: Shape, of: Shape): Nullable => made({ type: 'map', keys, of });

export const part = (members: Members): Part & Nullable => ({
  ...made({ type: 'part' }),
  members,
  orNull: () => ({ type: 'part', members, isNullable: true }),
});

/** May be left out. */
export const opt = (shape: Shape): Shape => ({ ...shape, isOptional: true });

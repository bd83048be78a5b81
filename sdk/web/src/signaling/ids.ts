/** What an id of the server is (e2ee/2, section 2). Keys are derived from ids: two never alias. */

const MAX_ID_UNITS = 256;
/** Control characters, and surrogates without their other half: UTF-8 has no bytes for those. */
const NOT_IN_IDS = /[\p{Cc}\p{Cs}]/u;

const ID_FIELDS = new Set(['connectionId', 'streamId', 'subscriberId', 'mid', 'sessionId', 'from']);
/** A field of these messages that may name nobody. */
const OPTIONAL: ReadonlyMap<string, string> = new Map([
  ['signalReceived', 'from'],
  ['muteForced', 'streamId'],
]);
/** Deeper than any message nests its ids. */
const MAX_DEPTH = 8;

export function isId(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length >= 1 &&
    value.length <= MAX_ID_UNITS &&
    !NOT_IN_IDS.test(value)
  );
}

/** The first field of the message that should hold an id and does not. */
export function fieldWithoutId(message: { readonly t: string }): string | undefined {
  const optional = OPTIONAL.get(message.t);
  for (const [field, value] of Object.entries(message)) {
    if (field === optional && (value === null || value === undefined)) continue;
    const fault = field === 'hints' ? faultInKeys(value) : faultIn(field, value, 0);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultIn(field: string, value: unknown, depth: number): string | undefined {
  if (ID_FIELDS.has(field)) return isId(value) ? undefined : field;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return undefined;
  if (depth === MAX_DEPTH) return field;
  const isList = Array.isArray(value);
  for (const [name, inner] of Object.entries(value)) {
    const fault = faultIn(isList ? '' : name, inner, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultInKeys(hints: unknown): string | undefined {
  if (typeof hints !== 'object' || hints === null) return undefined;
  return Object.keys(hints).every(isId) ? undefined : 'hints';
}

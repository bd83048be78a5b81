// What a script of the page finds when it follows everything that hangs on an object.
'use strict';

/**
 * The paths from `roots` to `text`, in strings and bytes: by own members of any kind and visibility,
 * getters of prototypes, and the entries of collections. `isShut`: what it does not look into.
 */
function pathsTo(text, roots, isShut = () => false) {
  const found = [];
  const seen = new Set();
  const queue = Object.entries(roots);
  while (queue.length > 0) {
    const [path, value] = queue.pop();
    if (textOf(value).includes(text)) found.push(path);
    const isOpen = (typeof value === 'object' && value !== null) || typeof value === 'function';
    if (!isOpen || seen.has(value) || isShut(value)) continue;
    seen.add(value);
    for (const [name, member] of membersOf(value)) queue.push([`${path}.${name}`, member]);
  }
  return { found, count: seen.size };
}

function textOf(value) {
  if (typeof value === 'string') return value;
  if (!ArrayBuffer.isView(value)) return '';
  return new TextDecoder().decode(new Uint8Array(value.buffer));
}

function* membersOf(value) {
  if (value instanceof Map || value instanceof Set) {
    for (const entry of value.entries()) yield* [0, 1].map((index) => [`[${index}]`, entry[index]]);
  }
  // Elements and windows lead everywhere by their prototypes: what the SDK adds is their own.
  const isHost = globalThis.EventTarget && /Window|Element|Document/.test(toString.call(value));
  for (let at = value; at !== null; at = isHost ? null : Object.getPrototypeOf(at)) {
    for (const key of Reflect.ownKeys(at)) {
      try {
        yield [String(key), Reflect.get(at, key, value)];
      } catch {
        // Nobody reads it there.
      }
    }
  }
}

const { toString } = Object.prototype;
globalThis.pathsTo = pathsTo;

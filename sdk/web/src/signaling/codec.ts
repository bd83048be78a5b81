/** Bytes ↔ messages. What has no known tag is ignored; a message with a false id is an error. */
import { decode, encode } from '@msgpack/msgpack';
import { otError } from '../errors';
import { isBounded } from './bounds';
import { fieldWithoutId } from './ids';
import type { ClientMessage, ServerMessage } from './messages';

export const SUBPROTOCOL = 'sealroute.v1.msgpack';
const MAX_MESSAGE_BYTES = 1_048_576;
/** What the server takes (docs/protocol/index.md, "Limits"). */
const MAX_REQUEST_BYTES = 262_144;

export function encodeMessage(message: ClientMessage): Uint8Array<ArrayBuffer> {
  // A copy: the encoder hands out a view into a buffer that it uses again.
  return encode(message, { ignoreUndefined: true }).slice();
}

export function isTooLarge(message: ClientMessage): boolean {
  return encodeMessage(message).length > MAX_REQUEST_BYTES;
}

/** `undefined` for bytes that are no message. */
export function decodeMessage(data: unknown): ServerMessage | undefined {
  if (!(data instanceof ArrayBuffer) || data.byteLength > MAX_MESSAGE_BYTES) return undefined;
  try {
    const bytes = new Uint8Array(data);
    const message = isBounded(bytes) ? decode(bytes) : undefined;
    if (!isTagged(message)) return undefined;
    const field = fieldWithoutId(message);
    return field === undefined ? (message as unknown as ServerMessage) : refused(message, field);
  } catch {
    return undefined;
  }
}

/** Whoever waits for the message gets the error, and without one the application does. */
function refused(message: { t: string; re?: unknown }, field: string): ServerMessage {
  const {
    name,
    code,
    message: text,
  } = otError(
    'OT_UNEXPECTED_SERVER_RESPONSE',
    `The server sent "${message.t.slice(0, 32)}" with a "${field}" that is no id; it was refused`,
  );
  const re = typeof message.re === 'number' ? { re: message.re } : {};
  return { t: 'error', code: 'badMessage', name, number: code, message: text, ...re };
}

function isTagged(message: unknown): message is { t: string } {
  return (
    typeof message === 'object' &&
    message !== null &&
    't' in message &&
    typeof message.t === 'string'
  );
}

/** Bytes ↔ messages. Shapes are the server's to keep; what has no known tag is ignored. */
import { decode, encode } from '@msgpack/msgpack';
import type { ClientMessage, ServerMessage } from './messages';

export const SUBPROTOCOL = 'sealroute.v1.msgpack';
const MAX_MESSAGE_BYTES = 1_048_576;

export function encodeMessage(message: ClientMessage): Uint8Array<ArrayBuffer> {
  // A copy: the encoder hands out a view into a buffer that it uses again.
  return encode(message, { ignoreUndefined: true }).slice();
}

/** `undefined` for bytes that are no message. */
export function decodeMessage(data: unknown): ServerMessage | undefined {
  if (!(data instanceof ArrayBuffer) || data.byteLength > MAX_MESSAGE_BYTES) return undefined;
  try {
    const message = decode(new Uint8Array(data));
    return isTagged(message) ? (message as unknown as ServerMessage) : undefined;
  } catch {
    return undefined;
  }
}

function isTagged(message: unknown): message is { t: string } {
  return (
    typeof message === 'object' &&
    message !== null &&
    't' in message &&
    typeof message.t === 'string'
  );
}

/** Bytes ↔ messages. What has no known tag is ignored; a message in another shape is an error. */
import { decode, encode } from '@msgpack/msgpack';
import { type OTError, PROTOCOL_ERRORS } from '../errors';
import { MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES } from '../rules';
import { isBounded } from './bounds';
import type { ClientMessage, ServerMessage } from './messages';
import { faultIn } from './shape';
import { SERVER_SHAPES } from './shapes';

export function encodeMessage(message: ClientMessage): Uint8Array<ArrayBuffer> {
  // A copy: the encoder hands out a view into a buffer that it uses again.
  return encode(message, { ignoreUndefined: true }).slice();
}

export function isTooLarge(message: ClientMessage): boolean {
  return encodeMessage(message).length > MAX_REQUEST_BYTES;
}

/** A message that is as the protocol says, or what is wrong with what came. */
export type Received =
  | { readonly message: ServerMessage; readonly fault?: undefined }
  | { readonly message?: undefined; readonly fault: Fault };

export interface Fault {
  /** Of the message, or "" for what is none. */
  readonly kind: string;
  /** The request that it answers. */
  readonly re: number | undefined;
  readonly error: OTError;
}

/** The one place that looks at the shape of what the server sends. Unknown kinds pass. */
export function decodeMessage(data: unknown): Received {
  const message = taggedIn(data);
  if (!message) return { fault: { kind: '', re: undefined, error: PROTOCOL_ERRORS.noMessage() } };
  const path = misshapenIn(message);
  if (path === undefined) return { message: message as unknown as ServerMessage };
  const { t: kind, re } = message;
  const error = PROTOCOL_ERRORS.misshapen(kind, path);
  return { fault: { kind, re: typeof re === 'number' ? re : undefined, error } };
}

function taggedIn(data: unknown): Tagged | undefined {
  if (!(data instanceof ArrayBuffer) || data.byteLength > MAX_MESSAGE_BYTES) return undefined;
  const bytes = new Uint8Array(data);
  try {
    const message = isBounded(bytes) ? decode(bytes) : undefined;
    return isTagged(message) ? message : undefined;
  } catch {
    return undefined;
  }
}

function misshapenIn(message: Tagged): string | undefined {
  // What every object has, such as "constructor", is no kind of message.
  if (!Object.hasOwn(SERVER_SHAPES, message.t)) return undefined;
  return faultIn(SERVER_SHAPES[message.t as ServerMessage['t']], message);
}

interface Tagged {
  readonly t: string;
  readonly re?: unknown;
}

function isTagged(message: unknown): message is Tagged {
  return (
    typeof message === 'object' &&
    message !== null &&
    't' in message &&
    typeof message.t === 'string'
  );
}

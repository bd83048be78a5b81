/** One frame in, one frame out, with a key already chosen (e2ee/2, sections 4 and 5). */
import type { Bytes } from './bytes';
import { concat } from './bytes';
import type { FrameFormat, EncryptedFrame } from './frames/index';
import type { Header, SFrameKey } from './sframe';

const VERSION = 2;

/** `undefined`: the frame is nothing that may be sent. */
export async function encryptFrame(
  format: FrameFormat,
  key: SFrameKey,
  kid: bigint,
  ctr: number,
  frame: Bytes,
): Promise<Bytes | undefined> {
  const parts = format.split(frame);
  if (!parts) return undefined;
  const sframe = await key.encryptSFrame(kid, ctr, metadata(format, parts.clear), parts.plaintext);
  return parts.wrap(sframe);
}

/** `undefined`: the tag does not verify. */
export async function decryptFrame(
  format: FrameFormat,
  key: SFrameKey,
  header: Header,
  parts: EncryptedFrame,
): Promise<Bytes | undefined> {
  const plaintext = await key.decryptSFrame(header, metadata(format, parts.clear), parts.sframe);
  return plaintext && parts.unwrap(plaintext);
}

function metadata(format: FrameFormat, clear: Bytes): Bytes {
  return concat(Uint8Array.of(VERSION, format.id), clear);
}

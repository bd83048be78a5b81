/**
 * How each codec's frames carry an SFrame (e2ee/2 section 4): which bytes stay in the clear for
 * packetizers, and what surrounds the encrypted part.
 */
import type { Bytes } from '../bytes';
import { at, EMPTY } from '../bytes';
import { av1 } from './av1';
import { h264 } from './h264';

/** A frame taken apart for encryption. `clear` is authenticated. */
export interface ClearFrame {
  readonly clear: Bytes;
  readonly plaintext: Bytes;
  /** Puts the finished SFrame where packetizers and decoders expect frame bytes. */
  wrap(sframe: Bytes): Bytes;
}

/** A received frame taken apart for decryption. */
export interface EncryptedFrame {
  readonly clear: Bytes;
  readonly sframe: Bytes;
  unwrap(plaintext: Bytes): Bytes;
}

export interface FrameFormat {
  /** The codec id under the authentication (e2ee/2 section 5). */
  readonly id: number;
  /** `undefined`: nothing that may be sent. */
  split(frame: Bytes): ClearFrame | undefined;
  /** `undefined`: not a frame of this format. */
  parse(wire: Bytes): EncryptedFrame | undefined;
}

export type CodecName = 'opus' | 'vp8' | 'vp9' | 'h264' | 'av1';

const VIDEO_CODECS = ['vp8', 'vp9', 'h264', 'av1'] as const;
const VP8_KEY_FRAME_CLEAR_BYTES = 10;

export const FORMATS: Readonly<Record<CodecName, FrameFormat>> = {
  opus: prefixed(0, () => 0),
  vp8: prefixed(1, (frame) => ((at(frame, 0) & 1) === 0 ? VP8_KEY_FRAME_CLEAR_BYTES : 1)),
  vp9: prefixed(2, () => 0),
  h264,
  av1,
};

/** Signals are encrypted like frames of a codec of their own. */
export const SIGNAL_FORMAT: FrameFormat = prefixed(0x10, () => 0);

/** The format for a codec that the browser named; audio is Opus or nothing. */
export function formatOf(
  kind: 'audio' | 'video',
  mimeType: string | undefined,
): FrameFormat | undefined {
  const name = mimeType?.toLowerCase() ?? (kind === 'audio' ? 'audio/opus' : '');
  if (kind === 'audio') return name === 'audio/opus' ? FORMATS.opus : undefined;
  const codec = VIDEO_CODECS.find((candidate) => name === `video/${candidate}`);
  return codec && FORMATS[codec];
}

/** The first bytes stay clear, the rest is encrypted. */
function prefixed(id: number, clearLength: (frame: Bytes) => number): FrameFormat {
  const divide = (frame: Bytes): [Bytes, Bytes] | undefined => {
    const length = clearLength(frame);
    if (frame.length === 0 || frame.length < length) return undefined;
    return [frame.subarray(0, length), frame.subarray(length)];
  };
  const join = (clear: Bytes, rest: Bytes): Bytes => {
    if (clear.length === 0) return rest;
    const frame = new Uint8Array(clear.length + rest.length);
    frame.set(clear);
    frame.set(rest, clear.length);
    return frame;
  };
  return {
    id,
    split(frame) {
      const [clear, plaintext] = divide(frame) ?? [EMPTY, undefined];
      return plaintext && { clear, plaintext, wrap: (sframe) => join(clear, sframe) };
    },
    parse(wire) {
      const [clear, sframe] = divide(wire) ?? [EMPTY, undefined];
      return sframe && { clear, sframe, unwrap: (plaintext) => join(clear, plaintext) };
    },
  };
}

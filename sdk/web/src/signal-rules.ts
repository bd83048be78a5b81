/** What a signal may be (OpenTok's limits), checked before anything is sent. Pure. */
import { type OTError, otError } from './errors';
import { MAX_SIGNAL_DATA_BYTES, MAX_SIGNAL_TYPE_BYTES } from './rules';

const SIGNAL_TOO_LONG = 1413;
const INVALID_TYPE = 1461;

export function signalFault(type: unknown, data: unknown): OTError | undefined {
  if (type !== undefined && typeof type !== 'string') {
    return otError('OT_INVALID_PARAMETER', 'The type of a signal must be a string', INVALID_TYPE);
  }
  if (data !== undefined && typeof data !== 'string') {
    return otError('OT_INVALID_PARAMETER', 'The data of a signal must be a string');
  }
  if (byteLength(type) > MAX_SIGNAL_TYPE_BYTES || byteLength(data) > MAX_SIGNAL_DATA_BYTES) {
    return otError(
      'OT_INVALID_PARAMETER',
      'A signal may have a type of 128 bytes and data of 8,192 bytes',
      SIGNAL_TOO_LONG,
    );
  }
  if (!/^[A-Za-z0-9\-_~]*$/.test(type ?? '')) {
    return otError(
      'OT_INVALID_PARAMETER',
      'The type of a signal may hold letters, digits, "-", "_" and "~"',
      INVALID_TYPE,
    );
  }
  return undefined;
}

function byteLength(text: string | undefined): number {
  return new TextEncoder().encode(text ?? '').length;
}

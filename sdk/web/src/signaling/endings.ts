/** When a lost WebSocket ends the stay, and what is said of it (docs/protocol.md, "Close codes"). Pure. */
import { type OTError, otError } from '../errors';
import type { Disconnected } from './messages';

/** OpenTok's reasons of `sessionDisconnected`; after the last one applications join again. */
export type EndReason = 'forceDisconnected' | 'networkDisconnected';

export interface Ending {
  readonly reason: EndReason;
  /** What the application can tell its user, where the reason alone says too little. */
  readonly error?: OTError;
}

const flooded = (): OTError =>
  otError(
    'OT_RATE_LIMIT_EXCEEDED',
    'This client sent more than the server allows and was disconnected; send less, and join again',
  );

/**
 * Each code that a member can get, and what it ends. Without an entry the client resumes: the
 * server keeps its place for the grace time, or says that it does not.
 */
const ENDINGS: ReadonlyMap<number, () => Ending> = new Map([
  [4403, () => ({ reason: 'forceDisconnected' })],
  // Who comes back at once would go on.
  [4430, () => ({ reason: 'forceDisconnected', error: flooded() })],
]);

/** `undefined`: the client resumes. */
export function endingOf(closeCode: number | undefined): Ending | undefined {
  return closeCode === undefined ? undefined : ENDINGS.get(closeCode)?.();
}

/** Of the message `disconnected`. Who hears it did not leave; whoever was not expelled may come back. */
export function reasonTold(reason: Disconnected['reason']): EndReason {
  return reason === 'forceDisconnected' ? reason : 'networkDisconnected';
}

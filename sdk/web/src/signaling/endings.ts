/** When a lost WebSocket ends the stay, and what is said of it (docs/protocol/errors.md, "Close codes"). Pure. */
import { type OTError, otError } from '../errors';
import type { Disconnected } from './messages';

/** OpenTok's reasons of `sessionDisconnected`; after the last one applications join again. */
export type EndReason = 'forceDisconnected' | 'networkDisconnected';

export interface Ending {
  readonly reason: EndReason;
  /** What the application can show its user, where the reason alone says too little. */
  readonly error?: OTError;
}

/** Why the server does not want this client back: the same would happen again. */
const EXPELLED: ReadonlyMap<number, (() => OTError) | undefined> = new Map([
  [1009, () => otError('OT_INVALID_PARAMETER', 'A message was too large for the server')],
  [4400, () => otError('OT_INVALID_PARAMETER', 'The server refused too many messages')],
  [4403, undefined],
  [
    4430,
    () =>
      otError(
        'OT_RATE_LIMIT_EXCEEDED',
        'This client sent more than the server allows and was disconnected; send less, and join again',
      ),
  ],
]);

/** `undefined`: the client resumes, and the server says whether it still knows it. */
export function endingOf(closeCode: number | undefined): Ending | undefined {
  if (closeCode === undefined || !EXPELLED.has(closeCode)) return undefined;
  const error = EXPELLED.get(closeCode)?.();
  return { reason: 'forceDisconnected', ...(error ? { error } : {}) };
}

/** The reason of `disconnected`. A client that gets it did not leave; unless expelled, it may come back. */
export function endReason(reason: Disconnected['reason']): EndReason {
  return reason === 'forceDisconnected' ? reason : 'networkDisconnected';
}

/** When a lost WebSocket ends the stay, and what is said of it (docs/protocol/errors.md, "Close codes"). Pure. */
import { OTError } from '../errors';
import { FINAL_CLOSES } from '../rules';
import type { Disconnected } from './messages';

/** OpenTok's reasons of `sessionDisconnected`; after the last one applications join again. */
export type EndReason = 'forceDisconnected' | 'networkDisconnected';

export interface Ending {
  readonly reason: EndReason;
  /** What the application can show its user, where the reason alone says too little. */
  readonly error?: OTError;
}

/** `undefined`: the client resumes, and the server says whether it still knows it. */
export function endingOf(closeCode: number | undefined): Ending | undefined {
  if (closeCode === undefined || !FINAL_CLOSES.has(closeCode)) return undefined;
  const row = FINAL_CLOSES.get(closeCode);
  const error = row && new OTError(row.name, row.message, row.number);
  return { reason: 'forceDisconnected', ...(error ? { error } : {}) };
}

/** The reason of `disconnected`. A client that gets it did not leave; unless expelled, it may come back. */
export function endReason(reason: Disconnected['reason']): EndReason {
  return reason === 'forceDisconnected' ? reason : 'networkDisconnected';
}

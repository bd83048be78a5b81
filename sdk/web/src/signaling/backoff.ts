/** When to try again after the WebSocket was lost. Pure. */
import { FIRST_RETRY_MS, MAX_RETRY_MS } from '../rules';

/**
 * Milliseconds until attempt number `attempt` (from 0), or `undefined` to give up: the server
 * keeps the connection for `graceMs` only. `random` in 0..1 spreads the clients of a room.
 */
export function retryDelay(
  attempt: number,
  lostForMs: number,
  graceMs: number,
  random: number,
): number | undefined {
  const base = Math.min(FIRST_RETRY_MS * 2 ** attempt, MAX_RETRY_MS);
  const delay = base * (0.5 + random / 2);
  return lostForMs + delay < graceMs ? delay : undefined;
}

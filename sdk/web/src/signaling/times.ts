/** The times that a server sets, within what they are for. Pure. */
import type { Welcome } from './messages';

const KEEP_ALIVE_MS = { least: 50, most: 120_000, without: 15_000 };
const GRACE_MS = { least: 0, most: 600_000, without: 60_000 };

type Times = Pick<Welcome, 'keepAliveMs' | 'graceMs'>;

/** With "0" a client would do nothing but ping; without a number it would not notice an end. */
export function clampedTimes({ keepAliveMs, graceMs }: Times): Times {
  return {
    keepAliveMs: clamped(keepAliveMs, KEEP_ALIVE_MS),
    graceMs: clamped(graceMs, GRACE_MS),
  };
}

function clamped(given: unknown, { least, most, without }: typeof GRACE_MS): number {
  if (typeof given !== 'number' || Number.isNaN(given)) return without;
  return Math.min(Math.max(given, least), most);
}

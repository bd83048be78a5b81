/** The times that a server sets, within what they are for. Pure. */
import {
  DEFAULT_GRACE_MS,
  DEFAULT_KEEP_ALIVE_MS,
  MAX_GRACE_MS,
  MAX_KEEP_ALIVE_MS,
  MIN_KEEP_ALIVE_MS,
} from '../rules';
import type { Welcome } from './messages';

const KEEP_ALIVE_MS = {
  least: MIN_KEEP_ALIVE_MS,
  most: MAX_KEEP_ALIVE_MS,
  without: DEFAULT_KEEP_ALIVE_MS,
};
const GRACE_MS = { least: 0, most: MAX_GRACE_MS, without: DEFAULT_GRACE_MS };

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

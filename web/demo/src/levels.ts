/** What the SDK says of networks and of what is heard, as bars. Pure. */
import type { Level } from './state';

const CONDITIONS: Readonly<Record<string, Level>> = {
  ...{ critical: 1, warning: 1, fair: 2, good: 3, excellent: 3 },
};
/** Of five: without loss it is 4.4; below 3 many people are not satisfied (ITU-T G.107). */
const GOOD_SCORE = 3.8;
const FAIR_SCORE = 3;
/** Of 1: quieter is the room itself. */
export const LOUD = 0.12;

/** The worse of the two; what is not known counts for nothing. */
export function levelOf(condition: string | undefined, audioScore: number | undefined): Level {
  const known = [ofCondition(condition), ofScore(audioScore)].filter((level) => level > 0);
  return known.length === 0 ? 0 : (Math.min(...known) as Level);
}

function ofCondition(condition = ''): Level {
  return (Object.hasOwn(CONDITIONS, condition) ? CONDITIONS[condition] : undefined) ?? 0;
}

function ofScore(score: number | undefined): Level {
  if (score === undefined) return 0;
  if (score >= GOOD_SCORE) return 3;
  return score >= FAIR_SCORE ? 2 : 1;
}

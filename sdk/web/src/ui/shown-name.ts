/** Names of others as an element shows them: no name covers the lock, looks like it, or turns texts around. Pure. */

/** What is longer ends in an ellipsis. */
const MAX_SHOWN = 60;
/** Looked at: marks upon marks, and what is not seen, are left out of it. */
const MAX_READ = 8 * MAX_SHOWN;
/** Locks, shields and checks, the signs of recording and of audio that stand beside a name. */
const SIGNS =
  /[\u{1f50a}\u{1f507}\u{1f50f}-\u{1f513}\u{1f5dd}\u{1f6e1}\u2705\u2611\u2713\u2714\u26a0\u{1f534}\u23fa\u23f8\u25c9\u25cf\u2b24\u26ab]\ufe0f?/gu;
const INVISIBLE = /[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu;
const MARKS = /(\p{M}{2})\p{M}+/gu;

/** At most 60 characters on one line. */
export function shownName(name: unknown): string {
  if (typeof name !== 'string') return '';
  const line = name
    .slice(0, MAX_READ)
    .replace(INVISIBLE, ' ')
    .replace(SIGNS, ' ')
    .replace(MARKS, '$1')
    .replace(/\s+/g, ' ')
    .trim();
  const points = [...line];
  return points.length > MAX_SHOWN ? `${points.slice(0, MAX_SHOWN - 1).join('')}…` : line;
}

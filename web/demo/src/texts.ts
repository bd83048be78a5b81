/** Texts of other people and of the server: bounded, on one line, and in no other direction. */

export const MAX_NAME = 60;
/** Of a device. */
export const MAX_LABEL = 80;
export const MAX_MESSAGE = 2_000;
const MAX_MARKS = 2;
/** A name in JSON, as the server writes it into tokens, is shorter. */
const MAX_DATA = 4_096;

/** Controls, line ends, what has no glyph, and what turns the direction of the text around it. */
const INVISIBLE = /[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu;
/** Joiners make letters of Persian and emoji; alone they make names that look alike. */
const LONE_JOINERS = /(?<![\p{L}\p{M}\p{S}\p{Emoji}])[\u200c\u200d]+|[\u200c\u200d]{2,}/gu;
/** Marks upon marks cover the lines above. */
const MARKS = new RegExp(`(\\p{M}{${MAX_MARKS}})\\p{M}+`, 'gu');

/** At most `limit` code points that are shown as themselves; "" when nothing is left. */
export function readable(text: unknown, limit: number): string {
  if (typeof text !== 'string') return '';
  // No more is looked at than can be left.
  const begin = text.slice(0, limit * 8);
  const line = begin
    .replace(INVISIBLE, ' ')
    .replace(LONE_JOINERS, '')
    .replace(MARKS, '$1')
    .replace(/\s+/g, ' ')
    .trim();
  const points = [...line];
  return points.length > limit ? `${points.slice(0, limit - 1).join('')}…` : line;
}

/** What the token of a member service says of its owner: no person's, which are JSON. */
export function isRecorder(data: unknown): boolean {
  return data === 'recorder';
}

/** The name in what the room's token says of its owner. */
export function nameIn(data: unknown): string {
  if (typeof data !== 'string' || data.length > MAX_DATA) return '';
  try {
    return readable((JSON.parse(data) as { name?: unknown } | null)?.name, MAX_NAME);
  } catch {
    return '';
  }
}

/** First letters of the first and the last word. */
export function initials(name: string): string {
  const words = name.split(' ').filter(Boolean);
  const last = words.length > 1 ? words.at(-1) : undefined;
  return [words[0], last].map((word) => [...(word ?? '')][0]?.toUpperCase() ?? '').join('');
}

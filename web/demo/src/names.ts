/** What others call themselves, without what this page says itself: whose tile is the own one, what is encrypted, who records. */
import { MAX_NAME, readable } from './texts';
import { type Key, LANGUAGES } from './words';

/** Texts that stand beside a name, or where a name may stand. */
const SIGNS: readonly Key[] = [
  ...(['you', 'recorder', 'header.recorded', 'people.recording', 'people.sharing'] as const),
  ...(['said.recorded', 'state.encrypted', 'state.securing', 'notice.failed'] as const),
  ...(['tile.encrypted', 'tile.waiting', 'tile.mismatch', 'tile.muted', 'tile.hand'] as const),
  ...(['tile.ownScreen', 'tile.isSpeaking', 'people.micOn', 'people.cameraOn'] as const),
];
/** Locks, shields, checks, lights of recording, raised hands and microphones. */
const SYMBOLS =
  /[\u{1f50f}-\u{1f513}\u{1f5dd}\u{1f6e1}\u2705\u2611\u2713\u2714\u{1f534}\u23fa\u25c9\u25cf\u2b24\u26ab\u{1f3a4}\u{1f399}\u{1f507}\u270b\u{1f590}\u{1f91a}\u{1f64b}]\ufe0f?/gu;
/** Between what is part of a name and what only stands beside it. */
const BREAK = /[^\u200d\u200c\p{L}\p{M}\p{N}\s.'’-]+|\s[-.]+\s|\s*-{2,}\s*/gu;
/** Letters of other scripts that look like Latin ones, and those. */
const ALIKE = new Map([
  ...pairs('авгдеѕіјкмнорсԛтухһѡԝу', 'abrdesijkmhopcqtyxhwwy'),
  ...pairs('αγεικνορτυχω', 'ayeiknoptuxw'),
  ...pairs('ıɑɡո', 'iagn'),
]);

function pairs(from: string, to: string): [string, string][] {
  const latin = [...to];
  return [...from].map((letter, index) => [letter, latin[index] ?? '']);
}

/** As it looks: without case, marks, spaces, and from which script a letter is. */
function looks(text: string): string {
  const plain = text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '');
  return [...plain].map((letter) => ALIKE.get(letter) ?? letter).join('');
}

const RESERVED: ReadonlySet<string> = new Set(
  Object.values(LANGUAGES).flatMap((texts) => SIGNS.map((key) => looks(texts[key]))),
);

/** The name of somebody else; "" when nothing is left of it. */
export function nameOfOther(text: unknown): string {
  const name = readable(text, MAX_NAME).replace(SYMBOLS, ' ');
  const parts = name.normalize('NFKC').split(BREAK);
  const own = parts.filter((part) => !RESERVED.has(looks(part)));
  // A name without such a word keeps all else.
  if (own.length === parts.length) return readable(name, MAX_NAME);
  return readable(own.join(' '), MAX_NAME);
}

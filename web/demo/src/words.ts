/** What the page says, in each language of `languages/`. Pure. */
import de from '../languages/de.json';
import en from '../languages/en.json';
import es from '../languages/es.json';
import ja from '../languages/ja.json';
import { readable } from './texts';

export type Key = keyof typeof en;
export type Params = Readonly<Record<string, string | number>>;
type Texts = Readonly<Record<Key, string>>;
/** A text that has a form for one and one for many. */
export type Counted = Key extends infer Name
  ? Name extends `${infer Base}.one`
    ? Base
    : never
  : never;

/** Another language is a file and an entry here. */
export const LANGUAGES: Readonly<Record<string, Texts>> = { en, de, es, ja };
const DEFAULT = 'en';
/** The name of what records for somebody. It is no text that can be read, so nobody else has it. */
export const RECORDER = '\u0000recorder';
/** Of what a browser says that has no sentence here. */
const MAX_ERROR = 300;

/** The first language of the reader, as browsers list them, that there are texts for. */
export function chooseLanguage(wanted: readonly (string | null)[]): string {
  const bases = wanted.map((tag) => (tag ?? '').toLowerCase().split('-')[0] ?? '');
  return bases.find((base) => Object.hasOwn(LANGUAGES, base)) ?? DEFAULT;
}

export class Words {
  private readonly texts: Texts;
  private readonly plurals: Intl.PluralRules;

  constructor(readonly language: string) {
    this.texts = LANGUAGES[language] ?? en;
    this.plurals = new Intl.PluralRules(language);
  }

  /** A name of "" is that of a guest, `RECORDER` that of a recorder. */
  say(key: Key, params: Params = {}): string {
    return this.texts[key].replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = Object.hasOwn(params, name) ? params[name] : '';
      return name === 'name' ? this.name(String(value)) : String(value);
    });
  }

  count(base: Counted, count: number): string {
    const form = this.plurals.select(count) === 'one' ? 'one' : 'other';
    return this.say(`${base}.${form}`, { count });
  }

  name(name: string): string {
    if (name === RECORDER) return this.texts.recorder;
    return name === '' ? this.texts.guest : name;
  }

  /**
   * What people read when something went wrong, by the name of the error. Browsers are quoted, for
   * they know what they miss; servers never, for their words would stand where the page speaks.
   */
  error(error: unknown): string {
    const { name, message } = error instanceof Error ? error : new Error();
    const key = `error.${name}`;
    // Names come from the server too, and every object has a "constructor".
    if (isKey(key)) return this.say(key);
    const isQuoted = error instanceof DOMException || error instanceof TypeError;
    return readable(isQuoted ? message : '', MAX_ERROR) || this.say('error.unknown');
  }

  /** Hours and minutes. */
  time(unixMs: number): string {
    const format = { hour: '2-digit', minute: '2-digit' } as const;
    return new Intl.DateTimeFormat(this.language, format).format(unixMs);
  }
}

export function isKey(key: string): key is Key {
  return Object.hasOwn(en, key);
}

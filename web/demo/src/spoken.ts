/** The page in the language of its reader, and its live region. */
import { element, mark, write } from './elements';
import type { Announcement } from './state';
import { isKey, LANGUAGES, type Words } from './words';

/** As long as the longest sentence takes. */
const READ_MS = 8_000;
const LISTS = ['lobby-language', 'language'] as const;

/** Every text that is in the page from the start. */
export function translate(words: Words): void {
  document.documentElement.lang = words.language;
  for (const node of document.querySelectorAll<HTMLElement>('[data-text]')) {
    const key = node.dataset['text'] ?? '';
    if (isKey(key)) write(node, words.say(key));
  }
  for (const node of document.querySelectorAll<HTMLElement>('[data-label]')) {
    const key = node.dataset['label'] ?? '';
    if (isKey(key)) mark(node, 'aria-label', words.say(key));
  }
  // On phones the label of a button is not seen.
  for (const node of document.querySelectorAll<HTMLElement>('button:has(> .label)')) {
    node.title = node.querySelector('.label')?.textContent ?? '';
  }
}

export function offerLanguages(language: string, onChange: (language: string) => void): void {
  for (const id of LISTS) {
    const list = element<HTMLSelectElement>(id);
    const options = Object.entries(LANGUAGES).map(([tag, texts]) => {
      const option = new Option(texts.language, tag, false, tag === language);
      option.lang = tag;
      return option;
    });
    list.replaceChildren(...options);
    list.addEventListener('change', () => {
      for (const other of LISTS) element<HTMLSelectElement>(other).value = list.value;
      onChange(list.value);
    });
  }
}

/** Sentences are added, so that none is lost to the next; they go when they were read. */
export class Announcer {
  private last = 0;

  announce(said: readonly Announcement[], words: Words): void {
    for (const { id, key, params } of said) {
      if (id <= this.last) continue;
      this.last = id;
      this.say(words.say(key, params));
    }
  }

  say(text: string): void {
    const line = document.createElement('p');
    line.textContent = text;
    element('announcer').append(line);
    setTimeout(() => line.remove(), READ_MS);
  }
}

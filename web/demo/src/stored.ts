/** What the page remembers of its reader: name and language. Browsers may keep nothing. */

type Stored = 'name' | 'language';
const key = (name: Stored): string => `sealroute.${name}`;

export function stored(name: Stored): string | null {
  try {
    return localStorage.getItem(key(name));
  } catch {
    return null;
  }
}

export function store(name: Stored, value: string): void {
  try {
    localStorage.setItem(key(name), value);
  } catch {
    // It is asked for again next time.
  }
}

/**
 * The link of a room: the session's id in the query, the secret behind the # sign.
 * Browsers never send what stands behind the # sign.
 */

const SECRET_BYTES = 18;

export function readLink(location: Pick<URL, 'search' | 'hash'>): {
  room: string | null;
  secret: string | null;
} {
  const room = new URLSearchParams(location.search).get('room');
  const fragment = location.hash.replace(/^#/, '');
  return { room, secret: fragment ? decoded(fragment) : null };
}

/** Links are typed and cut off, too: what is not encoded is taken as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function writeLink(base: string, room: string, secret: string): string {
  const url = new URL(base);
  url.search = new URLSearchParams({ room }).toString();
  url.hash = encodeURIComponent(secret);
  return url.href;
}

/** A secret with 144 random bits, readable in a link. */
export function generateSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}

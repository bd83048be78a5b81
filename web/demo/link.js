// @ts-check
/**
 * The link of a room: the session's id in the query, the secret behind the # sign.
 * Browsers never send what stands behind the # sign.
 */

const SECRET_BYTES = 18;

/** @param {Location | URL} location @returns {{room: string | null, secret: string | null}} */
export function readLink(location) {
  const room = new URLSearchParams(location.search).get('room');
  const fragment = location.hash.replace(/^#/, '');
  return { room, secret: fragment ? decoded(fragment) : null };
}

/** Links are typed and cut off, too: what is not encoded is taken as it is. @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {string} base @param {string} room @param {string} secret */
export function writeLink(base, room, secret) {
  const url = new URL(base);
  url.search = new URLSearchParams({ room }).toString();
  url.hash = encodeURIComponent(secret);
  return url.href;
}

/** A secret with 144 random bits, readable in a link. */
export function generateSecret() {
  const bytes = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}

/** A secret nobody can guess: 32 random bytes in base64url, fit for a URL's fragment. */
export function generateEncryptionSecret(): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(32));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/** What a browser says of the network it is in. */

/** Calls `listener` when the way to the network may have become another one; the result ends it. */
export function onNetworkChange(listener: () => void): () => void {
  const { connection } = (globalThis.navigator ?? {}) as { connection?: EventTarget };
  globalThis.addEventListener?.('online', listener);
  connection?.addEventListener?.('change', listener);
  return () => {
    globalThis.removeEventListener?.('online', listener);
    connection?.removeEventListener?.('change', listener);
  };
}

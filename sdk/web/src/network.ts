/** What a browser says of the network it is in. */

interface NetworkListener {
  /** There was none, and now there is one. */
  onBack(): void;
  /** The way to the network may have become another one. */
  onChange(): void;
}

/** Tells `listener` until the result is called. */
export function watchNetwork(listener: NetworkListener): () => void {
  const { connection } = (globalThis.navigator ?? {}) as { connection?: EventTarget };
  const onBack = (): void => listener.onBack();
  const onChange = (): void => listener.onChange();
  globalThis.addEventListener?.('online', onBack);
  connection?.addEventListener?.('change', onChange);
  return () => {
    globalThis.removeEventListener?.('online', onBack);
    connection?.removeEventListener?.('change', onChange);
  };
}

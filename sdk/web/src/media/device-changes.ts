/** One listener for the browser's `devicechange`, however many care. */
type Listener = () => void;

const listeners = new Set<Listener>();

function notify(): void {
  for (const listener of [...listeners]) listener();
}

/** Calls when a device was plugged in or out; returns what ends that. */
export function onDeviceChange(listener: Listener): () => void {
  const { mediaDevices } = globalThis.navigator as { mediaDevices?: MediaDevices };
  if (listeners.size === 0) mediaDevices?.addEventListener('devicechange', notify);
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) mediaDevices?.removeEventListener('devicechange', notify);
  };
}

/** Keeps a transport alive while its network changes: ICE is restarted until it is back. */
import type { Clock } from '../clock';

/** Wi-Fi often comes back by itself within this time. */
const PATIENCE_MS = 1_000;
/** A restart gets this time before the next one. */
const RETRY_MS = 4_000;

/** Watches `peer` to its end. `restart` may fail, as long as signaling is away: it is tried again. */
export function restartWhenLost(
  peer: RTCPeerConnection,
  clock: Clock,
  restart: () => Promise<void>,
): void {
  let cancel: (() => void) | undefined;
  const retry = (): void => {
    cancel = clock.after(RETRY_MS, retry);
    restart().catch(() => undefined);
  };
  peer.addEventListener('connectionstatechange', () => {
    const { connectionState } = peer;
    if (connectionState === 'failed') {
      cancel?.();
      retry();
    } else if (connectionState === 'disconnected') {
      cancel ??= clock.after(PATIENCE_MS, retry);
    } else if (connectionState !== 'connecting') {
      cancel?.();
      cancel = undefined;
    }
  });
}

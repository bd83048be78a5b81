/** Keeps a transport alive while its network changes: ICE is restarted until it is back. */
import type { Clock } from '../clock';

/** Wi-Fi often comes back by itself within this time. */
const PATIENCE_MS = 1_000;
/** A restart gets this time before the next one. */
const RETRY_MS = 4_000;
/** Changes of network come in flocks. */
const CALM_MS = 2_000;

type Peer = Pick<RTCPeerConnection, 'connectionState' | 'addEventListener'>;

/** Watches one peer connection to its end. */
export class IceKeeper {
  private cancel: (() => void) | undefined;
  private restartedAt = -Infinity;

  /**
   * `restart` may fail, as long as signaling is away: it is tried again. `onTrouble`: signaling
   * may be away too, without a sign.
   */
  constructor(
    private readonly peer: Peer,
    private readonly clock: Clock,
    private readonly restart: () => Promise<void>,
    private readonly onTrouble: () => void,
  ) {
    peer.addEventListener('connectionstatechange', () => this.onState());
  }

  /**
   * The network is another one, or seems dead: ICE restarts at once. Media goes on over the way
   * it has until the restart has found a better one, so a false alarm costs nothing.
   */
  hurry(): void {
    if (this.isOver || this.clock.now() - this.restartedAt < CALM_MS) return;
    this.attempt();
  }

  /** Signaling is back: what could not be said is said now. */
  onResumed(): void {
    if (this.cancel && !this.isOver) this.attempt();
  }

  private get isOver(): boolean {
    const { connectionState } = this.peer;
    return connectionState === 'closed' || connectionState === 'new';
  }

  private readonly attempt = (): void => {
    this.cancel?.();
    this.cancel = undefined;
    if (this.peer.connectionState === 'closed') return;
    this.restartedAt = this.clock.now();
    this.cancel = this.clock.after(RETRY_MS, this.attempt);
    this.restart().then(
      () => {
        if (this.peer.connectionState === 'connected') this.rest();
      },
      () => undefined,
    );
  };

  private onState(): void {
    const { connectionState } = this.peer;
    if (connectionState === 'failed' || connectionState === 'disconnected') this.onTrouble();
    if (connectionState === 'failed') this.attempt();
    else if (connectionState === 'disconnected') {
      this.cancel ??= this.clock.after(PATIENCE_MS, this.attempt);
    } else if (connectionState !== 'connecting') this.rest();
  }

  private rest(): void {
    this.cancel?.();
    this.cancel = undefined;
  }
}

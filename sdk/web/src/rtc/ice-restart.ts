/** Keeps a transport alive while its network changes: ICE is restarted until it is back. */
import type { Clock } from '../clock';

/** Wi-Fi often comes back by itself within this time. */
const PATIENCE_MS = 1_000;
/** A restart gets this time before the next one. */
const RETRY_MS = 4_000;
/** Changes of network come in flocks. */
const CALM_MS = 2_000;
/** What restarts have not brought back by then, people are told of. */
const INTERRUPTED_MS = 10_000;

type Peer = Pick<RTCPeerConnection, 'connectionState' | 'addEventListener'>;

export interface PathListener {
  /** Signaling may be away too, without a sign. */
  onTrouble(): void;
  /** What was connected has not been for long, whatever was tried; or it is again. */
  onInterrupted(isInterrupted: boolean): void;
}

/** Watches one peer connection to its end. */
export class IceKeeper {
  private cancel: (() => void) | undefined;
  private restartedAt = -Infinity;
  private isRestarting = false;
  /** Another restart was wanted while one was under way: it may have been for the network before. */
  private isWantedAgain = false;
  private cancelInterruption: (() => void) | undefined;
  private wasConnected = false;
  private isInterrupted = false;

  /** `restart` may fail, as long as signaling is away: it is tried again. */
  constructor(
    private readonly peer: Peer,
    private readonly clock: Clock,
    private readonly restart: () => Promise<void>,
    private readonly listener: PathListener,
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

  /** One at a time: where answers are slow, restarts would queue up and keep one another down. */
  private readonly attempt = (): void => {
    this.rest();
    if (this.peer.connectionState === 'closed') return;
    if (this.isRestarting) {
      this.isWantedAgain = true;
      return;
    }
    this.isRestarting = true;
    this.restartedAt = this.clock.now();
    this.restart().then(
      () => this.onRestarted(this.peer.connectionState === 'connected'),
      () => this.onRestarted(false),
    );
  };

  private onRestarted(isConnected: boolean): void {
    this.isRestarting = false;
    const isWanted = this.isWantedAgain;
    this.isWantedAgain = false;
    if (isWanted) this.attempt();
    else if (!isConnected && !this.isOver) {
      const passedMs = this.clock.now() - this.restartedAt;
      this.cancel ??= this.clock.after(Math.max(RETRY_MS - passedMs, CALM_MS), this.attempt);
    }
  }

  private onState(): void {
    const { connectionState } = this.peer;
    this.watchPath(connectionState);
    if (connectionState === 'failed' || connectionState === 'disconnected') {
      this.listener.onTrouble();
    }
    if (connectionState === 'failed') this.attempt();
    else if (connectionState === 'disconnected') {
      this.cancel ??= this.clock.after(PATIENCE_MS, this.attempt);
    } else if (connectionState !== 'connecting') this.rest();
  }

  /** Restarts go through other states: only "connected" ends an interruption. */
  private watchPath(state: RTCPeerConnectionState): void {
    if (state === 'connected' || state === 'closed') {
      this.wasConnected = state === 'connected';
      this.cancelInterruption?.();
      this.cancelInterruption = undefined;
      if (this.isInterrupted && this.wasConnected) this.listener.onInterrupted(false);
      this.isInterrupted = false;
    } else if (this.wasConnected && !this.isInterrupted) {
      this.cancelInterruption ??= this.clock.after(INTERRUPTED_MS, () => {
        this.isInterrupted = true;
        this.listener.onInterrupted(true);
      });
    }
  }

  private rest(): void {
    this.cancel?.();
    this.cancel = undefined;
  }
}

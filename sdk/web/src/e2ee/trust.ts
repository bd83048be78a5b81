/**
 * The states of trust (e2ee/2 section 11). What is here alone decides whether anything may be
 * sent or played; events and widgets show exactly these states. Pure.
 */

export type SessionEncryptionState =
  /** The client has no secret and is not connected yet: nothing can be sent or played. */
  | 'unknown'
  /** No secret, and the server said that the session is clear. */
  | 'none'
  /** There is a secret, or one is to come, and the server has confirmed nothing yet. */
  | 'required'
  /** An encrypted, routed session; no secret is in use. */
  | 'confirmed'
  /** Encrypted media and signals alone. */
  | 'keyed'
  /** The server contradicted the encryption: the connection ends. */
  | 'refused';

/** What the server says of the session it lets the client into. Its types are not believed. */
export interface Claims {
  readonly session?: {
    readonly sessionId?: unknown;
    readonly e2ee?: unknown;
    readonly mediaMode?: unknown;
  };
  readonly connection?: { readonly connectionId?: unknown };
}

/** Why a session is not entered. */
export type Contradiction =
  /** The server calls the session clear, but the client has a secret or saw the session encrypted. */
  | 'clear'
  /** Encryption of this format exists in routed sessions alone. */
  | 'notRouted'
  /** Neither true nor false, no known media mode, or another session. */
  | 'nonsense'
  /** A resume that differs from what was said at first. */
  | 'changed';

export class SessionTrust {
  state: SessionEncryptionState = 'unknown';
  /** What the first welcome said; resumes must repeat it. */
  private claimed: string | undefined;

  constructor(
    private readonly sessionId: string,
    private readonly onChange: (change: SessionEncryptionChange) => void,
  ) {}

  /** Frames and signals are encrypted, or not sent and not played. */
  get isEncrypted(): boolean {
    return this.state !== 'none' && this.state !== 'unknown';
  }

  /** Whether streams and signals may be sent and received. */
  get mayExchange(): boolean {
    return this.state === 'none' || this.state === 'keyed';
  }

  /** A clear session: no secret can make it another one. */
  get isClear(): boolean {
    return this.state === 'none';
  }

  /** Another connection begins. Once encryption was meant, the way back to clear is closed. */
  connecting(isRequired: boolean): void {
    this.claimed = undefined;
    if (isRequired || this.isEncrypted) this.become('required');
    else this.become('unknown');
  }

  /** A secret was set before the server has said anything. */
  require(): void {
    if (this.state === 'unknown') this.become('required');
  }

  /** `undefined`: the session may be entered. Before this nothing is made. */
  onWelcome(claims: Claims): Contradiction | undefined {
    const contradiction = this.judge(claims);
    if (contradiction) {
      this.become('refused');
      return contradiction;
    }
    this.claimed = fingerprint(claims);
    this.become(claims.session?.e2ee === true ? 'confirmed' : 'none');
    return undefined;
  }

  onResumed(claims: Claims): Contradiction | undefined {
    if (this.claimed === fingerprint(claims)) return undefined;
    this.become('refused');
    return 'changed';
  }

  /** Keys were derived and are in place. */
  onKeyed(): void {
    if (this.state === 'confirmed') this.become('keyed');
  }

  /** The connection is over. */
  left(): void {
    this.claimed = undefined;
    if (this.state === 'none') this.become('unknown');
    else if (this.state === 'keyed' || this.state === 'confirmed') this.become('required');
  }

  private judge({ session, connection }: Claims): Contradiction | undefined {
    const { sessionId, e2ee, mediaMode } = session ?? {};
    const isPlace = sessionId === this.sessionId && isName(connection?.connectionId);
    const isSense = typeof e2ee === 'boolean' && MEDIA_MODES.includes(mediaMode);
    if (!isPlace || !isSense) return 'nonsense';
    if (!e2ee) return this.isEncrypted ? 'clear' : undefined;
    return mediaMode === 'routed' ? undefined : 'notRouted';
  }

  private become(state: SessionEncryptionState): void {
    const oldValue = this.state;
    if (oldValue === state) return;
    this.state = state;
    this.onChange({ oldValue, newValue: state });
  }
}

export interface SessionEncryptionChange {
  readonly oldValue: SessionEncryptionState;
  readonly newValue: SessionEncryptionState;
}

const MEDIA_MODES: readonly unknown[] = ['routed', 'relayed'];

const isName = (value: unknown): boolean => typeof value === 'string' && value !== '';

function fingerprint({ session, connection }: Claims): string {
  const { sessionId, e2ee, mediaMode } = session ?? {};
  return JSON.stringify([sessionId, e2ee, mediaMode, connection?.connectionId]);
}

export type StreamEncryptionState =
  /** A stream of a clear session. */
  | 'none'
  /** No frame of it was decrypted, or left encrypted, yet. */
  | 'pending'
  /** A frame of it was decrypted, or left encrypted, under a key of the session. */
  | 'encrypted'
  /** Frames arrive and do not decrypt. */
  | 'failing';

/** Of one Publisher or Subscriber. */
export class StreamTrust {
  state: StreamEncryptionState = 'pending';
  private hasPassed = false;

  constructor(private readonly onChange: (change: StreamEncryptionChange) => void) {}

  /**
   * It is sent or received in a session: what came before says nothing of this one. Returns what
   * to call when a frame has passed.
   */
  begin(isEncrypted: boolean): () => void {
    this.hasPassed = false;
    this.become(isEncrypted ? 'pending' : 'none');
    return () => this.onPassed();
  }

  /** A frame was decrypted, or encrypted and sent. */
  onPassed(): void {
    if (this.state === 'none') return;
    this.hasPassed = true;
    if (this.state === 'pending') this.become('encrypted');
  }

  onFailing(isFailing: boolean): void {
    if (this.state === 'none') return;
    if (isFailing) this.become('failing');
    else if (this.state === 'failing') this.become(this.hasPassed ? 'encrypted' : 'pending');
  }

  private become(newValue: StreamEncryptionState): void {
    const oldValue = this.state;
    if (oldValue === newValue) return;
    this.state = newValue;
    this.onChange({ oldValue, newValue });
  }
}

export interface StreamEncryptionChange {
  readonly oldValue: StreamEncryptionState;
  readonly newValue: StreamEncryptionState;
}

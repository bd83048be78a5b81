'use client';

import { createContext, useContext } from 'react';
import type { OpenTok, Session, SessionEncryptionState, Stream } from './ot.js';

/** The session that encloses a component, and its state. */
export interface SessionState {
  /** The SDK that made the session. */
  readonly ot: OpenTok;
  /** The Session itself. */
  readonly session: Session;
  /** Whether the session was joined; see `usable` for media. */
  readonly connected: boolean;
  /** Streams can be sent and received: where the secret comes late, once it is set. */
  readonly usable: boolean;
  /** Exactly the session's own. */
  readonly encryptionState: SessionEncryptionState;
  /** Streams of the other clients. */
  readonly streams: readonly Stream[];
}

export const SessionContext = createContext<SessionState | null>(null);

/** The state of the enclosing `OTSession`; null until it has made its session. */
export function useSession(): SessionState | null {
  return useContext(SessionContext);
}

import { createContext, useContext } from 'react';
import type { OpenTok, Session, SessionEncryptionState, Stream } from './ot';

export interface SessionState {
  readonly ot: OpenTok;
  readonly session: Session;
  readonly connected: boolean;
  /** Streams can be sent and received: where the secret comes late, once it is set. */
  readonly usable: boolean;
  /** Exactly the session's own. */
  readonly encryptionState: SessionEncryptionState;
  readonly streams: readonly Stream[];
}

export const SessionContext = createContext<SessionState | null>(null);

/** The state of the enclosing `OTSession`; null until it has made its session. */
export function useSession(): SessionState | null {
  return useContext(SessionContext);
}

'use client';

import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { SessionContext } from './context.js';
import { useEvents, useLatest } from './hooks.js';
import {
  loadedOpenTok,
  type EventHandlers,
  type OpenTok,
  type Session,
  type SessionEncryptionState,
  type Stream,
} from './ot.js';

/** What `OTSession` takes. */
export interface OTSessionProps {
  /** The project's API key. */
  apiKey?: string;
  /** The name that applications with a key pair use instead of `apiKey`. */
  applicationId?: string;
  /** The session to join; another one leaves this one first. */
  sessionId: string;
  /** Token of this client for the session. */
  token: string;
  /**
   * 8 to 256 characters. A changed value changes it mid-call. `undefined`: it is still to come, and
   * the session must be encrypted. Left out or `null`: none is set.
   */
  encryptionSecret?: string | null | undefined;
  /** Further options of `OT.initSession`. */
  options?: object;
  /** Handlers of the Session's events, by name; `error` gets the same as `onError`. */
  eventHandlers?: EventHandlers;
  /** Called when the session was joined. */
  onConnect?: () => void;
  /** Also gets errors about the secret, and why the server or the encryption ended the session. `eventHandlers.error` gets the same. */
  onError?: (error: Error) => void;
  /** Instead of the global `OT`. */
  ot?: OpenTok;
  /** Get the session by `useSession`; mounted before it is joined. */
  children?: ReactNode;
}

/** Connects while it is mounted and gives its children the session. */
export function OTSession(props: OTSessionProps): ReactNode {
  const { sessionId, token, encryptionSecret, children } = props;
  const apiKey = props.apiKey ?? props.applicationId ?? '';
  const chosen = props.ot;
  const latest = useLatest(props);
  /** Sessions that could not connect: their later failures are not reported. */
  const failed = useRef(new WeakSet<Session>());
  /** What each session has, or gets, already: a key is derived once for it. */
  const given = useRef(new WeakMap<Session, string>());
  const [made, setMade] = useState<{ ot: OpenTok; session: Session } | null>(null);
  const session = made?.session ?? null;
  const [connected, setConnected] = useState(false);
  const [encryptionState, setEncryptionState] = useState<SessionEncryptionState>('unknown');
  const [streams, setStreams] = useState<readonly Stream[]>([]);

  useEffect(() => {
    const { encryptionSecret: secret } = latest.current;
    // Here and not while it renders: on a server there is no script that could have been loaded.
    const ot = chosen ?? loadedOpenTok();
    const started = ot.initSession(apiKey, sessionId, optionsOf(latest.current));
    if (typeof secret === 'string') given.current.set(started, secret);
    const fail = (error: Error): void => {
      latest.current.onError?.(error);
      latest.current.eventHandlers?.error?.(error);
    };
    let mounted = true;
    started.on({
      streamCreated: ({ stream }: { stream: Stream }) =>
        setStreams((known) => [...known.filter(({ id }) => id !== stream.id), stream]),
      streamDestroyed: ({ stream }: { stream: Stream }) =>
        setStreams((known) => known.filter(({ id }) => id !== stream.id)),
      sessionDisconnected: ({ error }: { error?: Error }) => {
        setConnected(false);
        if (error && mounted) fail(error);
      },
      encryptionStateChanged: ({ newValue }: { newValue: SessionEncryptionState }) => {
        if (mounted) setEncryptionState(newValue);
      },
    });
    setMade({ ot, session: started });
    setEncryptionState(started.encryptionState);
    started.connect(token, (error) => {
      if (!mounted) return;
      if (error) {
        failed.current.add(started);
        fail(error);
        return;
      }
      setConnected(true);
      latest.current.onConnect?.();
    });
    return () => {
      mounted = false;
      setMade(null);
      setConnected(false);
      setStreams([]);
      started.disconnect();
    };
  }, [chosen, apiKey, sessionId, token, latest]);

  useEffect(() => {
    if (!session || typeof encryptionSecret !== 'string') return undefined;
    if (given.current.get(session) === encryptionSecret) return undefined;
    given.current.set(session, encryptionSecret);
    let isCurrent = true;
    // Also while it connects: nothing may be published under the secret before.
    session.setEncryptionSecret(encryptionSecret).catch((error: Error) => {
      if (!isCurrent || failed.current.has(session)) return;
      // Without a key of its own the session must not go on; with one it keeps that.
      if (session.encryptionState !== 'keyed') session.disconnect();
      latest.current.onError?.(error);
      latest.current.eventHandlers?.error?.(error);
    });
    return () => {
      isCurrent = false;
    };
  }, [session, encryptionSecret, latest]);

  useEvents(session, props.eventHandlers);
  const state = useMemo(() => {
    const usable = connected && (encryptionState === 'keyed' || encryptionState === 'none');
    return made ? { ...made, connected, usable, encryptionState, streams } : null;
  }, [made, connected, encryptionState, streams]);
  return <SessionContext.Provider value={state}>{children}</SessionContext.Provider>;
}

function optionsOf(props: OTSessionProps): object {
  const { options, encryptionSecret } = props;
  if (!('encryptionSecret' in props) || encryptionSecret === null) return { ...options };
  // Whoever names the prop means to encrypt: a server that says otherwise must not win the time
  // until the secret is there.
  if (encryptionSecret === undefined) return { ...options, requireEncryption: true };
  return { ...options, encryptionSecret };
}

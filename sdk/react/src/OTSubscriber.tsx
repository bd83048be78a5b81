'use client';

import { useEffect, useRef, useState, type CSSProperties, type ReactNode } from 'react';
import { useSession } from './context.js';
import { useEvents, useLatest } from './hooks.js';
import type { EventHandlers, Stream, Subscriber } from './ot.js';

const RETRY_ATTEMPTS = 5;
const RETRY_MS = 1_000;

/** Options of `Session.subscribe`. */
export interface OTSubscriberProperties {
  /** Whether audio is received; the default is true. */
  subscribeToAudio?: boolean;
  /** Whether video is received; the default is true. */
  subscribeToVideo?: boolean;
  [name: string]: unknown;
}

/** What `OTSubscriber` takes. */
export interface OTSubscriberProps {
  /** Given by `OTStreams`, or by the page. Without one nothing is shown. */
  stream?: Stream;
  /** Options of `Session.subscribe`; changes of `subscribeToAudio` and `subscribeToVideo` take effect. */
  properties?: OTSubscriberProperties;
  /** Also `encryptionStateChanged`, `encryptionSecretMismatch` and `encryptionSecretMatch`. */
  eventHandlers?: EventHandlers;
  /** Called when the stream is subscribed to. */
  onSubscribe?: () => void;
  /** Called with the error of the subscription. */
  onError?: (error: Error) => void;
  /** Subscribes again after an error; the default is false. */
  retry?: boolean;
  /** How often it does; the default is 5. */
  maxRetryAttempts?: number;
  /** Milliseconds between the attempts; the default is 1,000. */
  retryAttemptTimeout?: number;
  /** Of the element around the video. */
  className?: string;
  /** Of the element around the video. */
  style?: CSSProperties;
}

/** Shows one stream of the enclosing session. */
export function OTSubscriber(props: OTSubscriberProps): ReactNode {
  const { stream, className, style, eventHandlers } = props;
  const { subscribeToAudio, subscribeToVideo } = props.properties ?? {};
  const state = useSession();
  const container = useRef<HTMLDivElement>(null);
  const latest = useLatest(props);
  const [subscriber, setSubscriber] = useState<Subscriber | null>(null);
  const [attempt, setAttempt] = useState(0);
  const session = state?.connected ? state.session : null;
  // What fails for want of the secret is tried again when it is there.
  const usable = state?.usable ?? false;

  useEffect(() => {
    if (!session || !stream || !container.current) return undefined;
    const target = document.createElement('div');
    container.current.append(target);
    let mounted = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const settled = (error?: Error): void => {
      if (!mounted) return;
      const { retry, maxRetryAttempts, retryAttemptTimeout, onError, onSubscribe } = latest.current;
      if (!error) onSubscribe?.();
      else if (retry && attempt < (maxRetryAttempts ?? RETRY_ATTEMPTS))
        timer = setTimeout(() => setAttempt(attempt + 1), retryAttemptTimeout ?? RETRY_MS);
      else onError?.(error);
    };
    const properties = { width: '100%', height: '100%', ...latest.current.properties };
    const created = session.subscribe(stream, target, properties, settled);
    setSubscriber(created);
    return () => {
      mounted = false;
      clearTimeout(timer);
      setSubscriber(null);
      session.unsubscribe(created);
      target.remove();
    };
  }, [session, usable, stream, attempt, latest]);

  useEffect(() => {
    if (subscribeToAudio !== undefined) subscriber?.subscribeToAudio(subscribeToAudio);
  }, [subscriber, subscribeToAudio]);
  useEffect(() => {
    if (subscribeToVideo !== undefined) subscriber?.subscribeToVideo(subscribeToVideo);
  }, [subscriber, subscribeToVideo]);
  useEvents(subscriber, eventHandlers);
  return <div ref={container} className={className ?? 'OTSubscriberContainer'} style={style} />;
}

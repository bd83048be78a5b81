'use client';

import { useEffect, useRef, useState, type CSSProperties, type ReactNode } from 'react';
import { useSession } from './context.js';
import { useEvents, useLatest } from './hooks.js';
import type { EventHandlers, Publisher } from './ot.js';

/** Options of `OT.initPublisher`. */
export interface OTPublisherProperties {
  /** Whether audio is sent; the default is true. */
  publishAudio?: boolean;
  /** Whether video is sent; the default is true. */
  publishVideo?: boolean;
  [name: string]: unknown;
}

/** What `OTPublisher` takes. */
export interface OTPublisherProps {
  /** Options of `OT.initPublisher`; changes of `publishAudio` and `publishVideo` take effect. */
  properties?: OTPublisherProperties;
  /** `encryptionStateChanged` is among the events. */
  eventHandlers?: EventHandlers;
  /** Called when camera and microphone are there. */
  onInit?: () => void;
  /** Called when the stream is published. */
  onPublish?: () => void;
  /** Called with the error of the capture or of the publication. */
  onError?: (error: Error) => void;
  /** Of the element around the video. */
  className?: string;
  /** Of the element around the video. */
  style?: CSSProperties;
}

/** Publishes into the enclosing session while it is mounted and the session is connected. */
export function OTPublisher(props: OTPublisherProps): ReactNode {
  const { className, style, eventHandlers } = props;
  const { publishAudio, publishVideo } = props.properties ?? {};
  const state = useSession();
  const container = useRef<HTMLDivElement>(null);
  const latest = useLatest(props);
  const [publisher, setPublisher] = useState<Publisher | null>(null);
  const ot = state?.ot;
  const session = state?.connected ? state.session : null;
  // What fails for want of the secret is tried again when it is there.
  const usable = state?.usable ?? false;

  useEffect(() => {
    if (!ot || !session || !container.current) return undefined;
    const target = document.createElement('div');
    container.current.append(target);
    let mounted = true;
    const settle = (done: (() => void) | undefined) => (error?: Error) => {
      if (!mounted) return;
      if (error) latest.current.onError?.(error);
      else done?.();
    };
    const created = ot.initPublisher(
      target,
      { width: '100%', height: '100%', ...latest.current.properties },
      settle(() => latest.current.onInit?.()),
    );
    session.publish(
      created,
      settle(() => latest.current.onPublish?.()),
    );
    setPublisher(created);
    return () => {
      mounted = false;
      setPublisher(null);
      session.unpublish(created);
      created.destroy();
      target.remove();
    };
  }, [ot, session, usable, latest]);

  useEffect(() => {
    if (publishAudio !== undefined) publisher?.publishAudio(publishAudio);
  }, [publisher, publishAudio]);
  useEffect(() => {
    if (publishVideo !== undefined) publisher?.publishVideo(publishVideo);
  }, [publisher, publishVideo]);
  useEvents(publisher, eventHandlers);
  return <div ref={container} className={className ?? 'OTPublisherContainer'} style={style} />;
}

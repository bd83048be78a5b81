'use client';

import { cloneElement, type ReactElement, type ReactNode } from 'react';
import { useSession } from './context.js';
import type { OTSubscriberProps } from './OTSubscriber.js';

/** What `OTStreams` takes. */
export interface OTStreamsProps {
  /** One `OTSubscriber` without a stream: it is shown once for each stream of the session. */
  children: ReactElement<Partial<OTSubscriberProps>>;
}

/** Repeats its child for every stream of the enclosing session. */
export function OTStreams({ children }: OTStreamsProps): ReactNode {
  const streams = useSession()?.streams ?? [];
  return streams.map((stream) => cloneElement(children, { key: stream.id, stream }));
}

'use client';

import { useEffect, useRef } from 'react';
import type { Emitter, EventHandlers } from './ot.js';

/** The newest value, readable in effects that must not run again when it changes. */
export function useLatest<Value>(value: Value): { readonly current: Value } {
  const latest = useRef(value);
  useEffect(() => {
    latest.current = value;
  });
  return latest;
}

/** Listens with the newest handlers; renders that pass new functions do not subscribe again. */
export function useEvents(emitter: Emitter | null, handlers: EventHandlers | undefined): void {
  const latest = useLatest(handlers);
  const names = Object.keys(handlers ?? {})
    .sort()
    .join(' ');
  useEffect(() => {
    if (!emitter || names === '') return undefined;
    const forwarded = Object.fromEntries(
      names.split(' ').map((name) => [name, (event: unknown) => latest.current?.[name]?.(event)]),
    );
    emitter.on(forwarded);
    return () => {
      emitter.off(forwarded);
    };
  }, [emitter, names, latest]);
}

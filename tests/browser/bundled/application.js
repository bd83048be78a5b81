'use client';
// An application of the React components as somebody writes it who installed both packages. It has
// no JSX, so that no bundler needs a plugin. What it joins stands in the fragment of its address.
import { createElement, Fragment, useEffect, useState } from 'react';
import OT from 'sealroute';
import { OTPublisher, OTSession, OTStreams, OTSubscriber, useSession } from 'sealroute-react';

function note(name) {
  return (event) => (globalThis.events ??= []).push([name, event?.name ?? event?.type ?? null]);
}

function Encryption() {
  const state = useSession();
  return createElement('output', { id: 'encryption' }, state?.encryptionState);
}

/** Development builds run each effect twice. */
function CountedEffects() {
  useEffect(() => {
    globalThis.effects = (globalThis.effects ?? 0) + 1;
  }, []);
  return null;
}

function Call({ given: { serverUrl, secret, ...session } }) {
  const [options] = useState(() => ({ serverUrl }));
  return createElement(
    OTSession,
    { ot: OT, options, encryptionSecret: secret, onError: note('error'), ...session },
    createElement(Encryption),
    createElement(OTPublisher, {
      properties: { name: 'Bundled', publishAudio: false },
      onError: note('publishError'),
    }),
    createElement(
      OTStreams,
      null,
      createElement(OTSubscriber, { onSubscribe: note('subscribed'), onError: note('error') }),
    ),
  );
}

export default function Application() {
  // A server that renders has no address line; both draw the same at first.
  const [given, setGiven] = useState(null);
  useEffect(() => {
    setGiven(Object.fromEntries(new URLSearchParams(globalThis.location.hash.slice(1))));
  }, []);
  return createElement(
    Fragment,
    null,
    createElement(CountedEffects),
    createElement('h1', null, 'A call'),
    given && createElement(Call, { given }),
  );
}

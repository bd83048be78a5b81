// A small application of the React components: publishes, shows everybody, changes its secret.
import { Fragment, StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { OTPublisher, OTSession, OTStreams, OTSubscriber, useSession } from 'sealroute-react';

const given = new URLSearchParams(location.hash.slice(1));
const events = (globalThis.events = []);
const note = (name) => (event) => events.push([name, event?.name ?? event?.type ?? null]);

// For tests that say what a lying server would.
if (given.has('watched')) {
  globalThis.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      globalThis.lyingSocket = this;
    }
  };
}

const noteState = (name) => (event) => events.push([name, event.newValue]);

/** What an application shows of the encryption. */
function Encryption() {
  const state = useSession();
  globalThis.sessionState = state;
  return <output id="encryption">{state?.encryptionState}</output>;
}

function App() {
  const [secret, setSecret] = useState(
    given.get('secret') ?? (given.get('prop') === 'null' ? null : undefined),
  );
  const [shown, setShown] = useState(true);
  Object.assign(globalThis, { setSecret, setShown });
  return (
    <OTSession
      apiKey={given.get('apiKey')}
      sessionId={given.get('sessionId')}
      token={given.get('token')}
      {...(given.get('prop') === 'none' ? {} : { encryptionSecret: secret })}
      onConnect={note('connected')}
      onError={note('error')}
      eventHandlers={{
        error: note('handlerError'),
        sessionDisconnected: ({ reason, error }) => note(reason)(error),
      }}
    >
      <Encryption />
      {shown && (
        <OTPublisher
          properties={{ name: 'React', publishAudio: false }}
          onPublish={note('published')}
          eventHandlers={{ encryptionStateChanged: noteState('publisher') }}
          onError={note('publishError')}
        />
      )}
      <OTStreams>
        <OTSubscriber
          onSubscribe={note('subscribed')}
          eventHandlers={{
            encryptionSecretMismatch: note('mismatch'),
            encryptionSecretMatch: note('match'),
            encryptionStateChanged: noteState('subscriber'),
          }}
        />
      </OTStreams>
    </OTSession>
  );
}

// Development servers wrap applications like this: each effect begins, ends and begins again.
const Mode = given.has('strict') ? StrictMode : Fragment;
createRoot(document.getElementById('root')).render(
  <Mode>
    <App />
  </Mode>,
);

// An application in TypeScript against the types that are published: `npm run build` compiles it.
import OT, { initSession, type OTError, type SessionOptions } from '../../dist/types/index.js';

const options: SessionOptions = { encryptionSecret: 'a secret of the application' };
const session = initSession('key', 'session', options);
const report = (error?: OTError): void => {
  document.title = error ? `${error.name} ${error.code}` : '';
};

session
  .on('streamCreated', ({ stream }) => {
    const subscriber = session.subscribe(stream, 'others', { width: '100%' }, report);
    subscriber.on({
      encryptionSecretMismatch: () => subscriber.setStyle('nameDisplayMode', 'off'),
      audioLevelUpdated: ({ audioLevel }) => (document.title = audioLevel.toFixed(2)),
    });
  })
  .on('signal:chat', ({ data, from, encrypted }) => {
    document.title = `${data} ${from?.connectionId ?? ''} ${String(encrypted)}`;
  })
  .on({ sessionDisconnected: ({ reason }) => (document.title = reason) });

const publisher = OT.initPublisher('me', { videoSource: 'screen' }, report);
session.connect('token', (error) => {
  report(error);
  session.publish(publisher, (failure, published) => {
    report(failure);
    document.title = published?.stream?.streamId ?? '';
  });
});

export const verified: Promise<string> = session.connect
  .promise('token')
  .then(() => session.publish.promise('me', { name: 'Ada' }))
  .then((live) => live.getStats())
  .then(() => session.getVerificationCode());
OT.on('exception', ({ title }) => (document.title = title));

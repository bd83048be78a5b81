import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Directory } from '../../src/directory';
import { Publications } from '../../src/publications';
import { Publisher } from '../../src/publisher';
import { Random, settled } from '../support';
import { installBrowser, newTrack } from './fake-browser';

test('a publisher fails while the server says that it drops its frames', async () => {
  const clock = installBrowser(new Random(1));
  const directory = new Directory();
  directory.addConnection({ connectionId: 'me', creationTime: 1 });
  const told = { streamId: 'own', connectionId: 'me', creationTime: 1, hasAudio: true };
  const stream = directory.addStream({ ...told, hasVideo: false, name: '' });
  let encrypted: (() => void) | undefined;
  const publications = new Publications({
    clock,
    directory,
    isEncrypted: true,
    isAtWork: () => false,
    sending: {
      publish: ([source]) => {
        encrypted = source?.onEncrypted;
        return Promise.resolve({ streamId: 'own', senders: {} });
      },
      unpublish: () => Promise.resolve(),
      forget: () => Promise.resolve(),
    },
    update: () => undefined,
    sendStats: () => undefined,
  });
  const publisher = new Publisher(undefined, { audioSource: newTrack('audio'), videoSource: null });
  const states: string[] = [];
  publisher.on('encryptionStateChanged', ({ newValue }) => states.push(newValue));
  assert.equal(await publications.add(publisher), stream);
  encrypted?.();
  await settled();
  publications.onNotEncrypted('another');
  publications.onNotEncrypted('own');
  await clock.advance(2_900);
  publications.onNotEncrypted('own');
  await clock.advance(2_900);
  assert.equal(publisher.encryptionState, 'failing');
  await clock.advance(100);
  assert.deepEqual(states, ['encrypted', 'failing', 'encrypted']);
});

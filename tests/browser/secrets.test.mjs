// Secrets: wrong, late, changed, missing, invalid.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Lab, SECRET } from './support/lab.mjs';

const TONE_HZ = 1_000;
const NEXT = 'the next secret of the lab';

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

const setSecret = (person, secret, options) =>
  person.do(
    (given, more) => labResult(globalThis.lab.session.setEncryptionSecret(given, more)),
    secret,
    options,
  );

test('a wrong secret is a mismatch without video; the right one later is a match with video', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  const bob = await lab.join(room, { secret: 'not the secret of the lab' });
  const streamId = await ada.publish();
  await bob.untilEvent('encryptionSecretMismatch');
  await bob.seesNothingOf(streamId);
  assert.equal(await bob.count('encryptionSecretMatch'), 0);
  assert.equal(await setSecret(bob, SECRET), null);
  await bob.untilEvent('encryptionSecretMatch');
  await bob.sees(streamId);
  await bob.hears(streamId, TONE_HZ);
  assert.equal(await bob.count('encryptionSecretMismatch'), 1);
});

test('a stream without audio recovers too', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  const bob = await lab.join(room, { secret: 'not the secret of the lab' });
  const streamId = await ada.publish({ properties: { audioSource: null } });
  await bob.untilEvent('encryptionSecretMismatch');
  assert.equal(await setSecret(bob, SECRET), null);
  await bob.untilEvent('encryptionSecretMatch');
  await bob.sees(streamId);
});

test('when the publisher is the one who was wrong, its change heals everybody', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room, { secret: 'not the secret of the lab' });
  const bob = await lab.join(room);
  const streamId = await ada.publish();
  await bob.untilEvent('encryptionSecretMismatch');
  assert.equal(await setSecret(ada, SECRET), null);
  await bob.untilEvent('encryptionSecretMatch', 1, 12_000);
  await bob.sees(streamId);
});

test('everybody changes the secret in the middle of the call, and the video goes on', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob, eve] = [await lab.join(room), await lab.join(room), await lab.join(room)];
  const streamId = await ada.publish();
  for (const person of [bob, eve]) await person.sees(streamId);
  const codeBefore = await ada.do(() => globalThis.lab.session.getVerificationCode());
  for (const person of [ada, bob, eve]) assert.equal(await setSecret(person, NEXT), null);
  await ada.until(
    async () => {
      const { schedule } = globalThis.lab.session.encryption;
      return schedule.deadline === undefined;
    },
    'the sender did not switch',
    8_000,
  );
  for (const person of [bob, eve]) {
    await person.sees(streamId);
    await person.hears(streamId, TONE_HZ);
    assert.equal(await person.count('encryptionSecretMismatch'), 0);
    const code = await person.do(() => globalThis.lab.session.getVerificationCode());
    assert.notEqual(code, codeBefore);
    assert.equal(code, await ada.do(() => globalThis.lab.session.getVerificationCode()));
  }
});

test('somebody who knows only the old secret is shut out at once when asked so', async () => {
  const room = await lab.server.createRoom();
  const [ada, eve] = [await lab.join(room), await lab.join(room)];
  const streamId = await ada.publish();
  await eve.sees(streamId);
  assert.equal(await setSecret(ada, NEXT, { immediate: true }), null);
  await eve.untilEvent('encryptionSecretMismatch', 1, 5_000);
});

test('an invalid secret fails before anything is sent', async () => {
  const room = await lab.server.createRoom();
  const token = await lab.server.token(room);
  for (const secret of ['', 'short', 'x'.repeat(257)]) {
    const person = await lab.person();
    const failure = await person.connect({ ...room, url: 'http://127.0.0.1:1' }, token, secret);
    assert.deepEqual([failure.name, failure.code], ['OT_INVALID_ENCRYPTION_SECRET', 6004]);
  }
  const ada = await lab.join(room);
  assert.equal((await setSecret(ada, 'short')).name, 'OT_INVALID_ENCRYPTION_SECRET');
});

test('without a secret one can connect to an encrypted session, but not publish or subscribe', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room, { secret: null });
  const bob = await lab.join(room);
  const refused = await ada.do((options) => globalThis.lab.publish(options), {});
  assert.deepEqual(refused, {
    error: 'OT_STREAM_CREATE_FAILED',
    message: 'Tried to publish to an e2ee session but encryption secret was not set',
  });
  await bob.publish();
  await ada.untilEvent('subscribeFailed');
  const { error } = await ada.do(() =>
    globalThis.lab.events.find(({ name }) => name === 'subscribeFailed'),
  );
  assert.equal(error, 'OT_UNABLE_TO_SUBSCRIBE');
  const signal = await ada.do(() => labResult(globalThis.lab.session.signal({ data: 'x' })));
  assert.equal(signal.code, 6000);
});

test('a secret is not silently useless: a clear session refuses it', async () => {
  const room = await lab.server.createRoom({ e2ee: false });
  const person = await lab.person();
  const failure = await person.connect(room, await lab.server.token(room), SECRET);
  assert.equal(failure.name, 'OT_CONNECT_FAILED');
});

test('a browser without transforms is told so by name', async () => {
  const room = await lab.server.createRoom();
  const person = await lab.person();
  await person.do(() => {
    delete globalThis.RTCRtpScriptTransform;
    delete RTCRtpSender.prototype.createEncodedStreams;
  });
  assert.equal(await person.do(() => OT.hasEndToEndEncryptionSupport()), false);
  for (const secret of [SECRET, null]) {
    const failure = await person.connect(room, await lab.server.token(room), secret);
    assert.deepEqual(
      [failure.name, failure.message],
      [
        'OT_UNSUPPORTED_BROWSER',
        'Tried to connect an e2ee session but the browser does not support e2ee',
      ],
    );
  }
});

test('members decrypt the signals of an encrypted session, and the server cannot read them', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  const stranger = await lab.join(room, { secret: 'not the secret of the lab' });
  await ada.do(() => globalThis.lab.session.signal({ type: 'chat', data: 'grüß dich' }));
  await bob.untilEvent('signal');
  const heard = await bob.do(() => globalThis.lab.events.find(({ name }) => name === 'signal'));
  assert.deepEqual([heard.type, heard.data, heard.encrypted], ['signal:chat', 'grüß dich', true]);
  await ada.untilEvent('signal');
  await stranger.untilEvent('exception');
  assert.equal(await stranger.count('signal'), 0);
});

test('a script of the page finds the secret nowhere on what the SDK made', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  await bob.sees(await ada.publish());
  await ada.sees(await bob.publish());
  const search = (secret) =>
    ada.do((given) => {
      const { session, publishers, subscribers } = globalThis.lab;
      return pathsTo(given, { OT, session, publishers, subscribers });
    }, secret);
  const { found, count } = await search(SECRET);
  assert.deepEqual(found, []);
  assert.ok(count > 500, `only ${count} objects were looked at`);
  assert.equal(await setSecret(ada, NEXT), null);
  await ada.do(() => globalThis.lab.session.disconnect());
  for (const secret of [SECRET, NEXT]) assert.deepEqual((await search(secret)).found, []);
});

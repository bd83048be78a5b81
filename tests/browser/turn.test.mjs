// Clients that may use nothing but the TURN server they were told of still see and hear each other.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Lab, SECRET } from './support/lab.mjs';
import { isTurnHere, TurnServer } from './support/turn.mjs';

const TONE_HZ = 1_000;
const RELAY_ONLY = { iceConfig: { transportPolicy: 'relay' } };
const options = { skip: isTurnHere ? false : 'coturn is missing' };

let turn;
let lab;
before(async () => {
  if (!isTurnHere) return;
  turn = await TurnServer.start();
  lab = await Lab.open(turn.environment);
});
afterEach(() => lab?.empty());
after(async () => {
  await lab?.close();
  await turn?.stop();
});

async function joined(room, secret) {
  const person = await lab.person();
  const token = await lab.server.token(room);
  assert.equal(await person.connect(room, token, secret, RELAY_ONLY), null);
  return person;
}

for (const [what, kind, secret] of [
  ['an encrypted session through the server', { e2ee: true }, SECRET],
  ['a relayed session', { e2ee: false, relayed: true }, null],
]) {
  test(`${what}, all of it over TURN`, options, async () => {
    const room = await lab.server.createRoom(kind);
    const [ada, bob] = [await joined(room, secret), await joined(room, secret)];
    const streamId = await ada.publish({ hertz: TONE_HZ });
    await bob.sees(streamId);
    await bob.hears(streamId, TONE_HZ);
    await turn.until(/CHANNEL_BIND processed, success|CREATE_PERMISSION processed, success/);
  });
}

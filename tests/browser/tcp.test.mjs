// Where no datagram passes, media goes over a connection to the same port.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Lab, SECRET } from './support/lab.mjs';

const TONE_HZ = 1_000;

let lab;
before(async () => {
  lab = await Lab.open();
});
afterEach(() => lab.empty());
after(() => lab?.close());

/** A browser that hears of no way to the server but TCP. */
async function joinedWithoutUdp(room) {
  const person = await lab.person();
  await person.do(() => {
    const original = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function setRemote({ type, sdp }) {
      const lines = sdp.split('\r\n').filter((line) => !/^a=candidate:\S+ 1 udp /.test(line));
      return original.call(this, { type, sdp: lines.join('\r\n') });
    };
  });
  const token = await lab.server.token(room);
  assert.equal(await person.connect(room, token, SECRET), null);
  return person;
}

test('two browsers without UDP see and hear each other over TCP', async (context) => {
  const room = await lab.server.createRoom({ e2ee: true });
  const [ada, bob] = [await joinedWithoutUdp(room), await joinedWithoutUdp(room)];
  const begin = performance.now();
  const streamId = await ada.publish({ hertz: TONE_HZ });
  context.diagnostic(`live after ${(performance.now() - begin).toFixed(0)} ms`);
  await bob.sees(streamId);
  await bob.hears(streamId, TONE_HZ);
  assert.ok((await lab.server.metric('sealroute_media_tcp_connections')) >= 2);
});

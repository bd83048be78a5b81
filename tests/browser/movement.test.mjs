// A changed network: ICE is restarted both ways, and calls go on with the streams they had.
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

/** Remembers the page's peer connections, to tell them that they have failed. */
async function joined(room) {
  const person = await lab.person();
  await person.do(() => {
    globalThis.peers = [];
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...given) {
        super(...given);
        globalThis.peers.push(this);
      }
    };
    globalThis.WebSocket = class extends WebSocket {
      constructor(...given) {
        super(...given);
        globalThis.socket = this;
      }
    };
  });
  const token = await lab.server.token(room);
  assert.equal(await person.connect(room, token, SECRET), null);
  return person;
}

const fragments = (person) =>
  person.do(() =>
    globalThis.peers.map((peer) =>
      [peer.localDescription, peer.remoteDescription].map(
        ({ sdp }) => /a=ice-ufrag:(\S+)/.exec(sdp)[1],
      ),
    ),
  );

async function fail(person) {
  await person.do(() => {
    for (const peer of globalThis.peers) {
      Object.defineProperty(peer, 'connectionState', { value: 'failed', configurable: true });
      peer.dispatchEvent(new Event('connectionstatechange'));
      // Nothing says that it is well again: a failed transport stays failed until a restart.
      delete peer.connectionState;
    }
  });
}

/** Until nothing of these user name fragments is left in what both sides have agreed on. */
const credentialsChanged = (person, fragmentsBefore) =>
  person.until(
    (old) =>
      globalThis.peers.every((peer) =>
        [peer.localDescription, peer.remoteDescription].every(
          ({ sdp }) => !old.some((fragment) => sdp.includes(`a=ice-ufrag:${fragment}`)),
        ),
      ),
    'the credentials stay the same',
    10_000,
    fragmentsBefore,
  );

test('transports that failed restart ICE with new credentials; streams stay what they were', async () => {
  const room = await lab.server.createRoom({ e2ee: true });
  const [ada, bob] = [await joined(room), await joined(room)];
  const streamId = await ada.publish({ hertz: TONE_HZ });
  await bob.sees(streamId);
  for (const person of [ada, bob]) {
    const [before] = await fragments(person);
    await fail(person);
    await credentialsChanged(person, before);
    await bob.sees(streamId);
    await bob.hears(streamId, TONE_HZ);
  }
  assert.deepEqual(
    [await ada.count('streamDestroyed'), await bob.count('streamDestroyed')],
    [0, 0],
  );
});

test('a call goes on with its streams when the socket and both transports are lost at once', async () => {
  const room = await lab.server.createRoom({ e2ee: true });
  const [ada, bob] = [await joined(room), await joined(room)];
  const streamId = await ada.publish({ hertz: TONE_HZ });
  await bob.sees(streamId);
  for (const person of [ada, bob]) {
    const [before] = await fragments(person);
    // The restart is asked for over a socket that is gone before the answer.
    await fail(person);
    await person.do(() => globalThis.socket.close());
    await person.untilEvent('sessionReconnected');
    await credentialsChanged(person, before);
    await bob.sees(streamId);
    await bob.hears(streamId, TONE_HZ);
  }
  assert.deepEqual(
    [await ada.count('streamDestroyed'), await bob.count('streamDestroyed')],
    [0, 0],
  );
});

test('a server that begins again ends the stay, and the same token leads into the room again', async () => {
  const room = await lab.server.createRoom({ e2ee: true });
  const [ada, bob] = [await joined(room), await joined(room)];
  await bob.sees(await ada.publish({ hertz: TONE_HZ }));
  await lab.server.restart();
  for (const person of [ada, bob]) {
    await person.untilEvent('sessionDisconnected', 1, 20_000);
    assert.deepEqual(await person.reasonOf('sessionDisconnected'), 'networkDisconnected');
    assert.ok(
      await person.do(() => globalThis.peers.every((peer) => peer.connectionState === 'closed')),
    );
  }
  const [again, other] = [await joined(room), await joined(room)];
  const streamId = await again.publish({ hertz: TONE_HZ });
  await other.sees(streamId);
  await other.hears(streamId, TONE_HZ);
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { OTError } from '../../src/errors';
import { PeerLinks } from '../../src/rtc/peer-links';
import { FakePeer, installBrowser } from '../session/fake-browser';
import { Random, settled } from '../support';

let applied: string[] = [];

class Peer extends FakePeer {
  override setRemoteDescription(description: { sdp: string }): Promise<void> {
    applied.push(description.sdp);
    return super.setRemoteDescription(description);
  }
}

before(() => {
  installBrowser(new Random(1));
  FakePeer.moment = () => Promise.resolve();
  Object.assign(globalThis, { RTCPeerConnection: Peer });
});
after(() => Reflect.deleteProperty(globalThis, 'RTCPeerConnection'));

const described = (print: string, role: string): string =>
  `v=0\r\na=fingerprint:sha-256 ${print}\r\na=setup:${role}\r\n`;

test('the other end of a relayed session keeps its certificate and role, or the link ends', async () => {
  for (const lie of [described('AB:CE', 'actpass'), described('AB:CD', 'active')]) {
    applied = [];
    const failures: OTError[] = [];
    const lost: string[] = [];
    const links = new PeerLinks(
      { iceServers: [], iceTransportPolicy: 'all', isEncrypted: false },
      () => Promise.resolve({ t: 'ok', re: 1 }),
      {
        onTracks: () => undefined,
        onConnected: () => undefined,
        onLost: (subscriberId) => lost.push(subscriberId),
        onFailure: (error) => failures.push(error),
      },
    );
    const tell = async (sdp: string): Promise<void> => {
      links.onDescription({ t: 'peerDescriptionReceived', subscriberId: 's', type: 'offer', sdp });
      await settled();
    };
    const first = described('AB:CD', 'actpass');
    await tell(first);
    await tell(first);
    await tell(lie);
    assert.deepEqual(applied, [first, first]);
    assert.deepEqual(lost, ['s']);
    assert.match(failures.map(({ message }) => message).join(), /another certificate or DTLS role/);
    links.reset();
  }
});

test('a server cannot open peer connections, or hand on candidates, without end', async () => {
  const failures: OTError[] = [];
  let opened = 0;
  let candidates = 0;
  class Counted extends Peer {
    constructor() {
      super();
      opened += 1;
    }

    addIceCandidate(): Promise<void> {
      candidates += 1;
      return Promise.resolve();
    }
  }
  Object.assign(globalThis, { RTCPeerConnection: Counted });
  const links = new PeerLinks(
    { iceServers: [], iceTransportPolicy: 'all', isEncrypted: false },
    () => Promise.resolve({ t: 'ok', re: 1 }),
    {
      onTracks: () => undefined,
      onConnected: () => undefined,
      onLost: () => undefined,
      onFailure: (error) => failures.push(error),
    },
  );
  const sdp = described('AB:CD', 'actpass');
  for (let number = 0; number < 500; number += 1) {
    const subscriberId = `s${number}`;
    links.onDescription({ t: 'peerDescriptionReceived', subscriberId, type: 'offer', sdp });
  }
  await settled();
  assert.equal(opened, 128);
  assert.deepEqual(
    failures.map(({ name }) => name),
    ['OT_UNEXPECTED_SERVER_RESPONSE'],
  );
  const candidate = 'candidate:1 1 udp 1 192.0.2.1 9 typ host';
  for (let number = 0; number < 500; number += 1) {
    const subscriberId = 's0';
    links.onCandidate({ t: 'peerCandidateReceived', subscriberId, candidate, mid: '0' });
  }
  await settled();
  assert.ok(candidates <= 64, `${candidates}`);
  links.reset();
});

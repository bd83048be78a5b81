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

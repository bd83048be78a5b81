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
        isWanted: () => true,
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

const end = 'a=fingerprint:sha-256 AB:CD\r\na=setup:active\r\n';
const line = (kind: string, mid: string, mode: string): string =>
  `m=${kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:${mid}\r\na=${mode}\r\n${end}`;
const OFFER = `v=0\r\n${line('audio', '0', 'sendonly')}${line('video', '1', 'sendonly')}`;
const ANSWER = OFFER.replaceAll('sendonly', 'recvonly');

interface Stage {
  readonly links: PeerLinks;
  readonly sent: string[];
  readonly lost: string[];
  readonly failures: string[];
}

function stage(wanted: readonly string[]): Stage {
  applied = [];
  class Offering extends Peer {
    override createOffer(): Promise<{ type: string; sdp: string }> {
      return Promise.resolve({ type: 'offer', sdp: OFFER });
    }
  }
  Object.assign(globalThis, { RTCPeerConnection: Offering });
  const sent: string[] = [];
  const lost: string[] = [];
  const failures: string[] = [];
  const links = new PeerLinks(
    { iceServers: [], iceTransportPolicy: 'all', isEncrypted: false },
    (message) => {
      sent.push(message.t);
      if (message.t !== 'publish') return Promise.resolve({ t: 'ok', re: 1 });
      return Promise.resolve({ t: 'published', re: 1, streamId: 'own', answer: '', tracks: [] });
    },
    {
      isWanted: (subscriberId) => wanted.includes(subscriberId),
      onTracks: () => undefined,
      onConnected: () => undefined,
      onLost: (subscriberId) => lost.push(subscriberId),
      onFailure: ({ message }) => failures.push(message),
    },
  );
  return { links, sent, lost, failures };
}

test('an offer that is for nobody here opens no peer connection', async () => {
  const { links, sent, failures } = stage(['s']);
  links.onDescription({
    ...{ t: 'peerDescriptionReceived', subscriberId: 'invented', type: 'offer', sdp: OFFER },
  });
  await settled();
  assert.deepEqual([applied, sent, failures], [[], [], []]);
});

for (const [offer, reason] of [
  [OFFER.replace('a=sendonly', 'a=sendrecv'), /an m-line does more than send/],
  [OFFER.replace('a=sendonly', 'a=recvonly'), /an m-line does more than send/],
  [OFFER.replace('a=mid:1', 'a=mid:0'), /a mid comes twice/],
  [`${OFFER}${line('video', '2', 'sendonly')}`, /two m-lines of a kind/],
  [`${OFFER}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n`, /neither audio nor video/],
] as const) {
  test(`an offer that a relayed session does not allow: ${reason.source}`, async () => {
    const { links, sent, lost, failures } = stage(['s']);
    const told = { t: 'peerDescriptionReceived', subscriberId: 's', type: 'offer' } as const;
    links.onDescription({ ...told, sdp: offer });
    await settled();
    assert.deepEqual([applied, sent, lost], [[], [], ['s']]);
    assert.equal(failures.length, 1);
    assert.match(failures.join(), reason);
  });
}

for (const [answer, reason] of [
  [ANSWER, undefined],
  [`${ANSWER}a=msid:- x\r\na=ssrc:7 cname:x\r\n`, undefined],
  [ANSWER.replace('a=recvonly', 'a=sendrecv'), /an m-line does more than receive/],
  [ANSWER.replace('a=recvonly', 'a=sendonly'), /an m-line does more than receive/],
  [ANSWER.replace('a=mid:0', 'a=mid:x'), /an m-line became another one/],
  [`v=0\r\n${line('audio', '0', 'recvonly')}`, /other m-lines than the offer/],
  [ANSWER.replace('SAVPF 96', 'SAVPF 0'), /payload types of its own/],
  [ANSWER.replaceAll('a=recvonly', 'a=inactive'), /an m-line does not take what is sent/],
  [ANSWER.replace('a=recvonly', 'a=inactive'), /an m-line does not take what is sent/],
  [ANSWER.replace('m=audio 9', 'm=audio 0'), /an m-line does not take what is sent/],
] as const) {
  const title = reason?.source ?? 'none, of a real client';
  test(`an answer that a relayed session does not allow: ${title}`, async () => {
    const { links, failures } = stage([]);
    const properties = { name: '', hasAudio: true, hasVideo: true } as const;
    await links.publish([], { ...properties, videoType: 'camera' });
    const peer = { subscriberId: 'p', streamId: 'own', connectionId: 'c' };
    links.onSubscribed({ t: 'peerSubscribed', ...peer, audio: true, video: true });
    await settled();
    const told = { t: 'peerDescriptionReceived', subscriberId: 'p', type: 'answer' } as const;
    links.onDescription({ ...told, sdp: answer });
    await settled();
    assert.equal(applied.length, reason ? 0 : 1);
    if (reason) assert.match(failures.join(), reason);
    else assert.deepEqual(failures, []);
    links.reset();
  });
}

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
      isWanted: () => true,
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

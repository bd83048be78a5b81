import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { SessionEncryption } from '../../src/e2ee/session-encryption';
import { exceptions } from '../../src/exceptions';
import type { AudioFormat } from '../../src/rtc/audio';
import { Uplink } from '../../src/rtc/uplink';
import type { Reply, RequestMessage } from '../../src/signaling/channel';
import { FakePeer, installBrowser, newTrack } from '../session/fake-browser';
import { type FakeClock, Random, settled } from '../support';

const OFFER = [
  ...['v=0', 's=-', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:0', 'a=sendonly'],
  ...['a=rtpmap:111 opus/48000/2', ''],
].join('\r\n');
const HONEST = OFFER.replace('a=sendonly', 'a=recvonly');
const LIES = {
  'media of its own': OFFER.replace('a=sendonly', 'a=sendrecv'),
  'another codec': HONEST.replace('opus/48000/2', 'PCMU/8000'),
};

let applied: string[] = [];

class Peer extends FakePeer {
  override createOffer(): Promise<{ type: string; sdp: string }> {
    return Promise.resolve({ type: 'offer', sdp: OFFER });
  }

  override setRemoteDescription(description: { sdp: string }): Promise<void> {
    applied.push(description.sdp);
    return super.setRemoteDescription(description);
  }
}

const encryption = {
  format: 'e2ee/2',
  onNotice: () => () => undefined,
  attachSender: () => undefined,
  prepareSender: () => Promise.resolve(new Uint8Array(8)),
  startSender: () => Promise.resolve(),
  removeSender: () => undefined,
} as unknown as SessionEncryption;

let clock: FakeClock;
const told: string[] = [];
before(() => {
  clock = installBrowser(new Random(1));
  FakePeer.moment = () => Promise.resolve();
  Object.assign(globalThis, { RTCPeerConnection: Peer });
  Object.assign(Peer.prototype, { getStats: () => Promise.resolve(new Map()) });
  exceptions.on('exception', ({ message }) => told.push(message));
});
after(() => Reflect.deleteProperty(globalThis, 'RTCPeerConnection'));

/** An uplink, and what the server is asked; it answers with `answer`. */
function stage(
  isEncrypted = true,
  format?: AudioFormat,
): {
  uplink: Uplink;
  offers: string[];
  asked: string[];
  answers: { sdp: string };
  publish: () => Promise<unknown>;
} {
  applied = [];
  told.length = 0;
  const asked: string[] = [];
  const offers: string[] = [];
  const answers = { sdp: HONEST };
  const request = (message: RequestMessage): Promise<Reply> => {
    asked.push(message.t);
    if ('offer' in message) offers.push(message.offer ?? '');
    if (message.t === 'restartIce') {
      return Promise.resolve({ t: 'iceRestarted', re: 1, answer: answers.sdp });
    }
    if (message.t !== 'publish') return Promise.resolve({ t: 'ok', re: 1 });
    return Promise.resolve({
      t: 'published',
      re: 1,
      streamId: 's',
      answer: answers.sdp,
      tracks: [],
    });
  };
  const settings = { iceServers: [], iceTransportPolicy: 'all', isEncrypted } as const;
  const uplink = new Uplink(settings, request, isEncrypted ? encryption : undefined, clock, {
    onStall: () => undefined,
    onQuiet: () => undefined,
    onInterrupted: () => undefined,
  });
  const source = {
    kind: 'audio',
    track: newTrack('audio'),
    encodings: [],
    preferredCodecs: [],
    format,
  };
  const properties = { name: '', hasAudio: true, hasVideo: false };
  const publish = (): Promise<unknown> => uplink.publish([source as never], properties);
  return { uplink, asked, offers, answers, publish };
}

for (const [name, sdp] of Object.entries(LIES)) {
  test(`a stream is not published over an answer with ${name}`, async () => {
    const { asked, answers, publish } = stage();
    answers.sdp = sdp;
    await assert.rejects(publish(), /an answer that an encrypted session does not allow/);
    assert.deepEqual(applied, []);
    assert.deepEqual(asked, ['publish', 'unpublish']);
    // The next one may be honest.
    answers.sdp = HONEST;
    await publish();
    assert.deepEqual(applied, [HONEST]);
  });

  test(`ICE is not restarted over an answer with ${name}`, async () => {
    const { uplink, asked, answers, publish } = stage();
    await publish();
    answers.sdp = sdp;
    uplink.hurry();
    await settled();
    assert.ok(asked.includes('restartIce'));
    assert.deepEqual(applied, [HONEST]);
    assert.match(told.join(), /an answer that an encrypted session does not allow/);
    uplink.close();
  });
}

for (const isEncrypted of [true, false]) {
  test(`the server's certificate and role are those of the first answer (${isEncrypted})`, async () => {
    const { uplink, asked, answers, publish } = stage(isEncrypted);
    const end = (print: string, role: string): string =>
      `${HONEST}a=fingerprint:sha-256 ${print}\r\na=setup:${role}\r\n`;
    const first = (answers.sdp = end('AB:CD', 'passive'));
    await publish();
    for (const [index, lie] of [end('AB:CE', 'passive'), end('AB:CD', 'active')].entries()) {
      answers.sdp = lie;
      await assert.rejects(publish(), /another certificate or DTLS role than before/);
      await clock.advance(3_000);
      uplink.hurry();
      await settled();
      assert.equal(asked.filter((kind) => kind === 'restartIce').length, index + 1);
      assert.equal(told.length, index + 1);
      assert.match(told.join(), /another certificate or DTLS role than before/);
    }
    assert.deepEqual(applied, [first]);
    // Another transport may have another one.
    uplink.reset();
    answers.sdp = end('AB:CE', 'passive');
    await publish();
    assert.deepEqual(applied, [first, answers.sdp]);
    uplink.close();
  });
}

test('a stream whose encryption does not start is given back to the server', async (context) => {
  const { asked, publish } = stage();
  const startSender = (): Promise<void> => Promise.reject(new Error('it did not start'));
  context.mock.method(encryption, 'startSender', startSender);
  await assert.rejects(publish(), /it did not start/);
  assert.deepEqual(asked, ['publish', 'unpublish']);
});

test('how audio is sent is what the publisher wants, whatever the server answers', async () => {
  const opus = (parameters: string): string => HONEST + `a=fmtp:111 ${parameters}\r\n`;
  for (const [format, offered] of [
    [{ stereo: true, dtx: false }, 'stereo=1;sprop-stereo=1'],
    [{ stereo: true, dtx: true }, 'stereo=1;sprop-stereo=1;usedtx=1'],
    [{ stereo: false, dtx: true }, 'usedtx=1'],
    [{ stereo: false, dtx: false }, ''],
  ] as const) {
    for (const lie of [
      'stereo=0',
      'stereo=1;sprop-stereo=1;usedtx=1',
      'usedtx=1;cbr=0',
      'minptime=10',
    ]) {
      const { answers, publish, offers } = stage(true, format);
      answers.sdp = opus(lie);
      await publish();
      const wanted = offered === '' ? [] : offered.split(';');
      const kept = lie.split(';').filter((one) => !/^(?:stereo|sprop-stereo|usedtx)=/.test(one));
      const parametersOf = (sdp = ''): string[] =>
        (/^a=fmtp:111 (.*)\r$/m.exec(sdp)?.[1]?.split(';') ?? []).sort();
      assert.deepEqual(parametersOf(applied[0]), [...kept, ...wanted].sort());
      assert.deepEqual(parametersOf(offers[0]), wanted.sort());
    }
  }
});

test('a clear session takes what its server answers', async () => {
  const { answers, publish } = stage(false);
  answers.sdp = LIES['media of its own'];
  await publish();
  assert.deepEqual(applied, [answers.sdp]);
});

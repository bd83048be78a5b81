// What applications written for OpenTok.js rely on, though no page documents it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection } from '../src/connection';
import { Publisher } from '../src/publisher';
import type { MediaSender } from '../src/rtc/fan-out';
import { Session } from '../src/session';
import { Stream } from '../src/stream';
import { Subscriber } from '../src/subscriber';
import { Random } from './support';
import { installBrowser, newTrack } from './session/fake-browser';

installBrowser(new Random(1));

const ADA = new Connection({ connectionId: 'ada', creationTime: 1 });
const stream = (more = {}): Stream =>
  new Stream({ streamId: 's', connectionId: 'ada', creationTime: 1, name: 'Ada L', ...more }, ADA);

function live(publisher: Publisher, getStats: MediaSender['getStats']): void {
  const sender: MediaSender = {
    replaceTrack: () => Promise.resolve(),
    getParameters: () => ({ encodings: [{}] }) as unknown as RTCRtpSendParameters,
    setParameters: () => Promise.resolve(),
    getStats,
  };
  publisher.bind({
    stream: stream({ hasAudio: true, hasVideo: true }),
    isEncrypted: false,
    media: { streamId: 's', senders: { video: sender } },
    update: () => undefined,
    unpublish: () => undefined,
    sendStats: () => undefined,
  });
}

const publisherOf = (properties = {}): Publisher =>
  new Publisher(undefined, { audioSource: null, videoSource: newTrack('video'), ...properties });

test('publishers and subscribers have the id of their stream', () => {
  assert.equal(new Subscriber(stream(), undefined).streamId, 's');
  const publisher = publisherOf();
  assert.equal(publisher.streamId, undefined);
  live(publisher, () => Promise.resolve(new Map()));
  assert.equal(publisher.streamId, 's');
});

test('a session says whether it is connected', () => {
  assert.equal(new Session('key', 'session').isConnected(), false);
});

test('statistics that come when their stream is over are not given any more', async () => {
  const publisher = publisherOf();
  let answer = (_: RTCStatsReport): void => undefined;
  live(publisher, () => new Promise((resolve) => (answer = resolve)));
  const told: unknown[] = [];
  const asked = publisher.getStats((error) => told.push(error?.name));
  publisher.unbind('clientDisconnected');
  answer(new Map());
  await assert.rejects(asked, { name: 'OT_NOT_CONNECTED' });
  assert.deepEqual(told, ['OT_NOT_CONNECTED']);
});

test('initials are those that the publisher chose, as long as the server takes them', async () => {
  const publisher = publisherOf({ name: 'Ada Lovelace', initials: 'Q'.repeat(20) });
  await publisher.ready;
  assert.equal(publisher.streamProperties().initials, 'Q'.repeat(16));
  const other = publisherOf({ name: 'Ada Lovelace' });
  await other.ready;
  assert.equal('initials' in other.streamProperties(), false);
  assert.equal(stream({ initials: 'QX' }).initials, 'QX');
  assert.equal(stream({ initials: 'Q'.repeat(999) }).initials, 'Q'.repeat(16), 'a server lies');
  assert.equal(stream().initials, 'AL');
});

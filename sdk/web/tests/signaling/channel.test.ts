import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { SUBPROTOCOL } from '../../src/rules';
import { decodeMessage } from '../../src/signaling/codec';
import { Random, settled } from '../support';
import { failure, Harness } from './channel-harness';

describe('the signaling channel', () => {
  test('greets first, over the msgpack subprotocol', async () => {
    const { socket, channel } = await new Harness().connected();
    assert.equal(socket.subprotocol, SUBPROTOCOL);
    assert.equal(socket.sent[0]?.t, 'hello');
    assert.equal(socket.sent[0]?.resume, undefined);
    assert.ok(channel.isOpen);
  });

  test('fails with OT_CONNECT_FAILED when nobody listens, closes or answers', async () => {
    const refused = new Harness();
    const first = failure(refused.channel.connect());
    refused.socket.close();
    assert.equal((await first).name, 'OT_CONNECT_FAILED');

    const closing = new Harness();
    const second = failure(closing.channel.connect());
    closing.socket.open();
    await settled();
    closing.socket.close();
    assert.equal((await second).name, 'OT_CONNECT_FAILED');

    const silent = new Harness();
    const third = failure(silent.channel.connect());
    silent.socket.open();
    await settled();
    await silent.clock.advance(10_000);
    assert.equal((await third).name, 'OT_CONNECT_FAILED');
    assert.deepEqual([...refused.events, ...closing.events, ...silent.events], []);
  });

  test('fails with the error that the server names', async () => {
    const harness = new Harness();
    const failed = failure(harness.channel.connect());
    harness.socket.open();
    await settled();
    const { id } = harness.socket.last('hello');
    harness.socket.deliver({
      t: 'error',
      re: id,
      code: 'token_expired',
      name: 'OT_AUTHENTICATION_ERROR',
      number: 1004,
      message: 'The token has expired.',
    });
    const error = await failed;
    assert.deepEqual([error.name, error.code], ['OT_AUTHENTICATION_ERROR', 1004]);
  });

  test('gives each request its own answer, and a request without one OT_TIMEOUT', async () => {
    const { channel, socket, clock } = await new Harness().connected();
    const first = channel.request({ t: 'ping' });
    const firstId = socket.last('ping').id;
    const second = failure(channel.request({ t: 'unpublish', streamId: 'x' }));
    const third = failure(channel.request({ t: 'ping' }));
    socket.deliver({
      t: 'error',
      re: socket.last('unpublish').id,
      code: 'stream_not_found',
      name: 'OT_STREAM_NOT_FOUND',
      number: 1604,
      message: 'none',
    });
    socket.deliver({ t: 'pong', re: firstId });
    assert.equal((await first).t, 'pong');
    assert.equal((await second).name, 'OT_STREAM_NOT_FOUND');
    await clock.advance(20_000);
    assert.equal((await third).name, 'OT_TIMEOUT');
  });

  test('gives back what the server makes after nobody waits for it any more', async () => {
    const { channel, socket, clock } = await new Harness().connected();
    const late = [
      channel.request({ t: 'publish', name: '', hasAudio: true, hasVideo: false, tracks: [] }),
      channel.request({ t: 'subscribe', streamId: 'x' }),
    ].map(failure);
    const [publishing, subscribing] = [socket.last('publish').id, socket.last('subscribe').id];
    for (let passedMs = 0; passedMs < 20_000; passedMs += 5_000) {
      await clock.advance(5_000);
      socket.deliver({ t: 'pong', re: 0 });
    }
    assert.deepEqual(
      (await Promise.all(late)).map(({ name }) => name),
      ['OT_TIMEOUT', 'OT_TIMEOUT'],
    );
    const before = socket.sent.length;
    for (let times = 0; times < 2; times += 1) {
      socket.deliver({ t: 'published', re: publishing, streamId: 's', answer: '', tracks: [] });
      socket.deliver({ t: 'subscribed', re: subscribing, subscriberId: 'one', streamId: 'x' });
    }
    const given = socket.sent.slice(before).map(({ id: _id, ...message }) => message);
    assert.deepEqual(given, [
      { t: 'unpublish', streamId: 's' },
      { t: 'unsubscribe', subscriberId: 'one' },
    ]);
  });

  test('that is closed while it greets takes its leave', async () => {
    const harness = new Harness();
    const connecting = failure(harness.channel.connect());
    harness.socket.open();
    await settled();
    harness.channel.close();
    assert.deepEqual(
      harness.socket.sent.map(({ t }) => t),
      ['hello', 'bye'],
    );
    assert.equal((await connecting).name, 'OT_NOT_CONNECTED');
  });

  test('does not come back when it sent more than it may', async () => {
    const harness = await new Harness().connected();
    const pending = failure(harness.channel.request({ t: 'unpublish', streamId: 'x' }));
    harness.socket.close(4430);
    assert.deepEqual(harness.events, ['forceDisconnected']);
    assert.equal((await pending).name, 'OT_NOT_CONNECTED');
    await harness.clock.advance(60_000);
    assert.equal(harness.sockets.length, 1);
  });

  test('does not send what the server would close the socket for', async () => {
    const harness = await new Harness().connected();
    const sent = harness.socket.sent.length;
    const update = { t: 'updateStream', streamId: 'x'.repeat(262_144) } as const;
    assert.equal((await failure(harness.channel.request(update))).name, 'OT_INVALID_PARAMETER');
    assert.equal(harness.socket.sent.length, sent);
  });

  test('pings, and gives up a socket that stays silent', async () => {
    const harness = await new Harness().connected();
    await harness.clock.advance(10_000);
    assert.equal(harness.socket.last('ping').t, 'ping');
    await harness.clock.advance(20_999);
    assert.deepEqual(harness.events, [], 'it is asked once more');
    await harness.clock.advance(1);
    assert.deepEqual(harness.events, ['lost']);
    assert.ok(harness.sockets[0]?.isClosed);
  });

  test('time in which the page stood still is not the time of an answer', async () => {
    const { channel, socket, clock } = await new Harness().connected();
    const answered = channel.request({ t: 'unpublish', streamId: 'x' });
    await clock.freeze(60_000);
    socket.deliver({ t: 'ok', re: socket.last('unpublish').id });
    assert.equal((await answered).t, 'ok');
    const late = failure(channel.request({ t: 'unpublish', streamId: 'y' }));
    await clock.freeze(60_000);
    await clock.advance(18_999);
    assert.ok(channel.isOpen);
    socket.deliver({ t: 'pong', re: socket.last('ping').id });
    await clock.advance(1);
    assert.equal((await late).name, 'OT_TIMEOUT');
  });

  test('of a page that stood still it does not conclude that the server is silent', async () => {
    const harness = await new Harness().connected();
    await harness.clock.freeze(60_000);
    await harness.clock.advance(900);
    harness.socket.deliver({ t: 'pong', re: harness.socket.last('ping').id });
    await harness.clock.advance(1_000);
    harness.channel.check();
    await harness.clock.freeze(5_000);
    harness.socket.deliver({ t: 'pong', re: harness.socket.last('ping').id });
    await harness.clock.advance(2_000);
    assert.deepEqual(harness.events, []);
    harness.channel.check();
    await harness.clock.freeze(20_000);
    await harness.clock.advance(8_000);
    assert.deepEqual(harness.events, ['lost'], 'it did not answer the second question either');
  });

  test('says goodbye when it is closed, and is silent afterwards', async () => {
    const harness = await new Harness().connected();
    const { socket } = harness;
    harness.channel.close();
    assert.equal(socket.sent.at(-1)?.t, 'bye');
    socket.deliver({ t: 'streamCreated' });
    await harness.clock.advance(60_000);
    assert.deepEqual(harness.events, []);
    assert.equal(harness.sockets.length, 1);
  });

  test('hands on messages, and says once that bytes are none', async () => {
    const harness = await new Harness().connected();
    const random = new Random(21);
    for (let round = 0; round < 2_000; round += 1) {
      harness.socket.onmessage?.({ data: random.bytes(random.below(40)).buffer });
    }
    harness.socket.onmessage?.({ data: 'text' });
    const [told = '', ...others] = harness.events;
    assert.match(told, /no message of the protocol; use a server and an SDK of the same version/);
    assert.deepEqual(others, []);
    harness.socket.deliver({ t: 'subscriberConnected', subscriberId: 's' });
    assert.deepEqual(harness.events.slice(1), ['subscriberConnected']);
  });

  test('says once of each kind of message that its shape is wrong, and hands none of it on', async () => {
    const harness = await new Harness().connected();
    for (let round = 0; round < 3; round += 1) {
      harness.socket.deliver({ t: 'streamCreated' });
      harness.socket.deliver({ t: 'error', code: 7, name: {}, number: 'x', message: null });
    }
    const told = harness.events.map((text) =>
      /sent "(\w+)" with a wrong or missing "(\w+)"/.exec(text),
    );
    assert.deepEqual(
      told.map((found) => found?.slice(1)),
      [
        ['streamCreated', 'stream'],
        ['error', 'code'],
      ],
    );
  });

  for (const [answer, complaint] of [
    [{ t: 'error', code: 'x', name: 5, number: 1, message: 'x' }, /sent "error" .* "name"/],
    [{ t: 'subscribed', subscriberId: '', streamId: 's' }, /sent "subscribed" .* "subscriberId"/],
    [{ t: 'ok' }, /answered "subscribe" with "ok"/],
    [{ t: 'ofTomorrow' }, /answered "subscribe" with "ofTomorrow"/],
  ] as const) {
    test(`fails the request that is answered with ${JSON.stringify(answer)}`, async () => {
      const { channel, socket, events } = await new Harness().connected();
      const asked = failure(channel.request({ t: 'subscribe', streamId: 's' }));
      socket.deliver({ ...answer, re: socket.last('subscribe').id });
      const { name, message } = await asked;
      assert.equal(name, 'OT_UNEXPECTED_SERVER_RESPONSE');
      assert.match(message, complaint);
      assert.deepEqual(events, []);
    });
  }

  for (const first of [
    { t: 'downlinkOffer', offerId: 1, sdp: '', tracks: [] },
    { t: 'welcome' },
    { t: 'error', code: 5 },
    { t: 'ok', re: 1 },
    { t: 'ofTomorrow' },
  ]) {
    test(`refuses at once a server that greets with ${JSON.stringify(first)}`, async () => {
      const harness = new Harness();
      const connecting = failure(harness.channel.connect());
      harness.socket.open();
      await settled();
      harness.socket.deliver(first);
      assert.equal((await connecting).name, 'OT_UNEXPECTED_SERVER_RESPONSE');
      assert.ok(harness.socket.isClosed);
    });
  }

  for (const chosen of ['', 'sealroute.v2.json', 'sealroute.v0.msgpack']) {
    test(`says nothing to a server that chose "${chosen}" as the protocol`, async () => {
      const harness = new Harness();
      const connecting = failure(harness.channel.connect());
      harness.socket.protocol = chosen;
      harness.socket.open();
      const { name, message } = await connecting;
      assert.equal(name, 'OT_UNEXPECTED_SERVER_RESPONSE');
      assert.match(message, /does not speak the protocol of this SDK; check its address/);
      assert.deepEqual(harness.socket.sent, []);
      assert.ok(harness.socket.isClosed);
    });

    test(`does not take up its connection where "${chosen}" was chosen, and says why`, async () => {
      const harness = await new Harness().connected();
      harness.socket.close();
      await harness.clock.advance(200);
      harness.socket.protocol = chosen;
      harness.socket.open();
      await settled();
      assert.deepEqual(harness.events, ['lost', 'networkDisconnected']);
      assert.match(harness.endings.at(-1)?.message ?? '', /does not speak the protocol/);
      assert.deepEqual(harness.socket.sent, []);
    });
  }
});

test('only maps with a tag are messages', () => {
  for (const value of [1, 'text', null, [], {}, { t: 1 }, [{ t: 'ok' }]]) {
    assert.equal(decodeMessage(encode(value).slice().buffer).fault?.kind, '');
  }
  const { message } = decodeMessage(encode({ t: 'ok', re: 1 }).slice().buffer);
  assert.deepEqual(message, { t: 'ok', re: 1 });
});

/** A lost WebSocket: what is tried again, what is sent again, and when it is the end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PASSING } from '../../src/rules';
import { retryDelay } from '../../src/signaling/backoff';
import { settled } from '../support';
import { failure, Harness, welcome } from './channel-harness';

describe('the signaling channel, when its socket is lost,', () => {
  test('takes up the same connection after a lost socket and sends what was asked meanwhile', async () => {
    const harness = await new Harness().connected();
    harness.socket.close();
    assert.deepEqual(harness.events, ['lost']);
    const answer = harness.channel.request({ t: 'unpublish', streamId: 'x' });
    await harness.clock.advance(200);
    assert.equal(harness.sockets.length, 2);
    await harness.accept(true);
    assert.equal(harness.socket.last('hello').resume, 'resume-1');
    assert.deepEqual(harness.events, ['lost', 'resumed']);
    harness.socket.deliver({ t: 'ok', re: harness.socket.last('unpublish').id });
    assert.equal((await answer).t, 'ok');
  });

  test('sends again what did not come, and asks for what it did not get', async () => {
    const harness = await new Harness().connected();
    harness.socket.deliver({ t: 'subscriberConnected', subscriberId: 's' });
    const came = harness.channel.request({ t: 'unpublish', streamId: 'came' });
    const lastRequest = harness.socket.last('unpublish').id;
    const lost = harness.channel.request({ t: 'unpublish', streamId: 'lost' });
    harness.socket.close();
    await harness.clock.advance(200);
    harness.socket.open();
    await settled();
    const { id, received } = harness.socket.last('hello');
    assert.equal(received, 1);
    harness.socket.deliver({ ...welcome(id, true), lastRequest });
    await settled();
    const again = harness.socket.sent.filter(({ t }) => t === 'unpublish');
    assert.deepEqual(
      again.map((sent) => sent.id),
      [lastRequest + 1],
    );
    for (const re of [lastRequest, lastRequest + 1]) harness.socket.deliver({ t: 'ok', re });
    assert.deepEqual([(await came).t, (await lost).t], ['ok', 'ok']);
  });

  test('in doubt asks, and gives up a socket that does not answer within a second', async () => {
    const harness = await new Harness().connected();
    harness.channel.check();
    harness.channel.check();
    assert.equal(harness.socket.sent.filter(({ t }) => t === 'ping').length, 1);
    await harness.clock.advance(500);
    harness.socket.deliver({ t: 'pong', re: harness.socket.last('ping').id });
    await harness.clock.advance(600);
    assert.deepEqual(harness.events, []);
    harness.channel.check();
    await harness.clock.advance(1_000);
    assert.deepEqual(harness.events, ['lost']);
    await harness.clock.advance(200);
    await harness.accept(true);
    assert.deepEqual(harness.events, ['lost', 'resumed after silence']);
  });

  test('where answers are slow it waits longer for one before it gives up the socket', async () => {
    const harness = await new Harness().connected();
    for (let ping = 0; ping < 8; ping += 1) {
      await harness.clock.advance(ping === 0 ? 10_000 : 8_500);
      const { id } = harness.socket.last('ping');
      await harness.clock.advance(1_500);
      harness.socket.deliver({ t: 'pong', re: id });
    }
    await harness.clock.advance(1);
    harness.channel.check();
    await harness.clock.advance(1_500);
    assert.deepEqual(harness.events, []);
    await harness.clock.advance(6_500);
    assert.deepEqual(harness.events, ['lost'], 'but no longer than that');
  });

  test('with a network that is back it resumes at once, not when the next attempt is due', async () => {
    const harness = await new Harness().connected();
    harness.socket.close();
    for (let attempt = 0; attempt < 4; attempt += 1) {
      await harness.clock.advance(1_500);
      harness.socket.close();
      await settled();
    }
    const count = harness.sockets.length;
    harness.channel.check();
    assert.equal(harness.sockets.length, count + 1);
    await harness.accept(true);
    assert.deepEqual(harness.events, ['lost', 'resumed']);
    await harness.clock.advance(5_000);
    assert.equal(harness.sockets.length, count + 1);
  });

  test('a server that takes it up and ends it at once is asked ever more seldom', async () => {
    const harness = await new Harness().connected();
    harness.socket.close();
    for (let passed = 0; passed < 60_000; passed += 100) {
      await harness.clock.advance(100);
      if (harness.socket.isClosed) continue;
      await harness.accept(true);
      harness.socket.close();
    }
    assert.ok(harness.sockets.length < 35, `${harness.sockets.length} WebSockets in a minute`);
    assert.ok(harness.channel.isOpen);
    await harness.clock.advance(3_000);
    await harness.accept(true);
    await harness.clock.advance(10_000);
    harness.socket.close();
    const count = harness.sockets.length;
    await harness.clock.advance(200);
    assert.equal(harness.sockets.length, count + 1, 'after one that was of use it does not wait');
  });

  test('a server that ends each socket at once is given up, and the application is told', async () => {
    const harness = await new Harness().connected();
    harness.socket.close();
    for (let passed = 0; passed < 130_000 && harness.channel.isOpen; passed += 100) {
      await harness.clock.advance(100);
      if (harness.socket.isClosed) continue;
      await harness.accept(true);
      harness.socket.close();
    }
    assert.equal(harness.events.at(-1), 'networkDisconnected');
    assert.deepEqual(
      harness.endings.map(({ name }) => name),
      ['OT_CONNECT_FAILED'],
    );
    const count = harness.sockets.length;
    await harness.clock.advance(60_000);
    assert.equal(harness.sockets.length, count);
  });

  test('a network that changes again and again is followed at once each time', async () => {
    const harness = await new Harness().connected();
    for (let change = 0; change < 10; change += 1) {
      await harness.clock.advance(5_000);
      const count = harness.sockets.length;
      harness.channel.onNetworkChanged();
      await harness.clock.advance(1_000);
      assert.equal(harness.events.at(-1), 'lost');
      await harness.clock.advance(200);
      assert.equal(harness.sockets.length, count + 1);
      await harness.accept(true);
      assert.equal(harness.events.at(-1), 'resumed after silence');
    }
  });

  test('a server that leaves every question unanswered is asked ever more seldom', async () => {
    const harness = await new Harness().connected();
    for (let passed = 0; passed < 60_000; passed += 100) {
      await harness.clock.advance(100);
      if (harness.socket.isClosed) continue;
      if (harness.events.at(-1) === 'lost') await harness.accept(true);
      // Its media pauses again and again.
      harness.channel.check();
    }
    assert.ok(harness.sockets.length < 20, `${harness.sockets.length} WebSockets in a minute`);
    assert.ok(harness.channel.isOpen);
  });

  test('a network that is back is followed without a wait for the socket of the one before', async () => {
    const harness = await new Harness().connected();
    const count = harness.sockets.length;
    harness.channel.check();
    harness.channel.renew();
    assert.deepEqual(harness.events, ['lost']);
    assert.equal(harness.sockets.length, count + 1);
    harness.channel.renew();
    assert.equal(harness.sockets.length, count + 1, 'an attempt under way is let be');
    await harness.accept(true);
    assert.deepEqual(harness.events, ['lost', 'resumed after silence']);
    await harness.clock.advance(5_000);
    assert.equal(harness.sockets.length, count + 1);
  });

  test('where every timer is late it gives up a dead socket all the same', async () => {
    const harness = await new Harness().connected();
    await harness.clock.advance(1);
    harness.channel.check();
    for (let minute = 0; minute < 3; minute += 1) {
      assert.deepEqual(harness.events, []);
      await harness.clock.freeze(60_000);
    }
    assert.deepEqual(harness.events, ['lost']);
  });

  test('an ICE restart under way ends with its socket: its answer would be outdated', async () => {
    const harness = await new Harness().connected();
    const restart = failure(harness.channel.request({ t: 'restartIce', direction: 'uplink' }));
    const other = harness.channel.request({ t: 'unsubscribe', subscriberId: 'one' });
    const asked = harness.socket.last('unsubscribe').id;
    harness.socket.close();
    assert.equal((await restart).name, 'OT_NOT_CONNECTED');
    await harness.clock.advance(200);
    await harness.accept(true);
    harness.socket.deliver({ t: 'ok', re: asked });
    assert.equal((await other).t, 'ok');
  });

  test('tries again when a resume fails half way, and ends after the grace time', async () => {
    const harness = await new Harness().connected();
    harness.socket.close();
    await harness.clock.advance(200);
    harness.socket.open();
    await settled();
    harness.socket.close();
    await harness.clock.advance(1_000);
    assert.equal(harness.sockets.length, 3);
    for (let second = 0; second < 16; second += 1) {
      harness.socket.close();
      await harness.clock.advance(1_000);
    }
    assert.deepEqual(harness.events, ['lost', 'closed']);
    assert.equal((await failure(harness.channel.request({ t: 'ping' }))).name, 'OT_NOT_CONNECTED');
  });

  test('ends when the server does not know the connection any more', async () => {
    const harness = await new Harness().connected();
    const pending = failure(harness.channel.request({ t: 'unpublish', streamId: 'x' }));
    harness.socket.close();
    await harness.clock.advance(200);
    await harness.accept(false);
    assert.deepEqual(harness.events, ['lost', 'closed']);
    assert.equal((await pending).name, 'OT_NOT_CONNECTED');
  });

  test('ends at once when a resume is refused: its application can join again', async () => {
    const harness = await new Harness().connected();
    harness.socket.close();
    await harness.clock.advance(200);
    harness.socket.open();
    await settled();
    const refusal = { code: 'resume_unknown', name: 'OT_NOT_CONNECTED', number: 1010, message: '' };
    harness.socket.deliver({ t: 'error', re: harness.socket.last('hello').id, ...refusal });
    harness.socket.close(4410);
    await settled();
    assert.deepEqual(harness.events, ['lost', 'closed']);
    await harness.clock.advance(60_000);
    assert.equal(harness.sockets.length, 2);
  });

  for (const code of PASSING) {
    test(`tries again when the server refuses to resume for now: ${code}`, async () => {
      const harness = await new Harness().connected();
      harness.socket.close();
      await harness.clock.advance(200);
      harness.socket.open();
      await settled();
      const re = harness.socket.last('hello').id;
      const error = { code, name: 'OT_CONNECT_FAILED', number: 1006, message: 'Later' };
      harness.socket.deliver({ t: 'error', re, ...error, name: 'OT_RATE_LIMIT_EXCEEDED' });
      await harness.clock.advance(400);
      await harness.accept(true);
      assert.deepEqual(harness.events, ['lost', 'resumed']);
    });
  }
});

test('retries grow, spread, and end with the grace time', () => {
  assert.equal(retryDelay(0, 0, 15_000, 1), 200);
  assert.equal(retryDelay(0, 0, 15_000, 0), 100);
  assert.equal(retryDelay(3, 0, 15_000, 1), 1_600);
  assert.equal(retryDelay(20, 0, 15_000, 1), 3_000);
  assert.equal(retryDelay(20, 12_000, 15_000, 1), undefined);
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Reply } from '../../src/signaling/channel';
import type { Subscriber } from '../../src/subscriber';
import { Subscriptions } from '../../src/subscriptions';
import { FakeClock, settled } from '../support';

/** A server that calls every subscription by one name. */
function subscriptions(): Subscriptions {
  return new Subscriptions({
    clock: new FakeClock(),
    isEncrypted: true,
    send: ({ t }) => {
      const reply = t === 'subscribe' ? { t: 'subscribed', subscriberId: 'one' } : { t: 'ok' };
      return Promise.resolve({ re: 1, ...reply } as Reply);
    },
    dropLink: () => undefined,
    binding: () => ({ tell: () => undefined, recheck: () => undefined }),
  });
}

const tile = (streamId: string): Subscriber =>
  ({ stream: { streamId }, wishes: () => ({}), bind: () => undefined }) as unknown as Subscriber;

describe('a server that gives two Subscribers one name', () => {
  test('is refused, and the first keeps it', async () => {
    const all = subscriptions();
    const [alice, bob] = [tile('of alice'), tile('of bob')];
    all.add(alice).catch(() => undefined);
    await settled();
    await assert.rejects(all.add(bob), { name: 'OT_UNEXPECTED_SERVER_RESPONSE' });
    assert.equal(all.byId.get('one'), alice);
  });

  test('is refused too when the first has gone', async () => {
    const all = subscriptions();
    const alice = tile('of alice');
    all.add(alice).catch(() => undefined);
    await settled();
    all.unsubscribe(alice);
    await assert.rejects(all.add(tile('of bob')), { name: 'OT_UNEXPECTED_SERVER_RESPONSE' });
    assert.equal(all.byId.size, 0);
  });
});

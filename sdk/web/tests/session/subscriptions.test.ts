import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Reply } from '../../src/signaling/channel';
import { Directory } from '../../src/directory';
import { exceptions } from '../../src/exceptions';
import { Subscriber } from '../../src/subscriber';
import { Subscriptions } from '../../src/subscriptions';
import { FakeClock, Random, settled } from '../support';
import { installBrowser } from './fake-browser';

/** A server that calls every subscription by one name, or as it is told. */
function subscriptions(clock = new FakeClock(), nextName = (): string => 'one'): Subscriptions {
  return new Subscriptions({
    clock,
    isEncrypted: true,
    isAtWork: () => false,
    send: async ({ t }) => {
      const reply = t === 'subscribe' ? { t: 'subscribed', subscriberId: nextName() } : { t: 'ok' };
      return Promise.resolve({ re: 1, ...reply } as Reply);
    },
    dropLink: () => undefined,
    binding: () => ({ report: () => undefined, recheck: () => undefined }),
  });
}

const tile = (streamId: string, ended: string[] = []): Subscriber =>
  ({
    stream: { streamId },
    preferences: () => ({}),
    bind: () => undefined,
    onConnected: () => undefined,
    onDisconnected: () => undefined,
    end: (reason: string) => ended.push(reason),
  }) as unknown as Subscriber;

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

describe('a Subscriber of a relayed session', () => {
  /** Loses the peer whenever there is one, for ten minutes. */
  async function losses(refuses: boolean): Promise<{ asked: number[]; ended: string[] }> {
    const clock = new FakeClock();
    const asked: number[] = [];
    const ended: string[] = [];
    const all = subscriptions(clock, () => {
      asked.push(clock.now());
      if (refuses && asked.length > 1) throw new Error('refused');
      return `name-${asked.length}`;
    });
    all.add(tile('of alice', ended)).catch(() => undefined);
    for (let ms = 0; ms < 600_000; ms += 250) {
      await clock.advance(250);
      for (const subscriberId of [...all.byId.keys()]) {
        all.onConnected(subscriberId);
        all.onPeerLost(subscriberId);
      }
    }
    assert.equal(all.all().length, 0);
    return { asked, ended };
  }

  test('whose peer is lost in a loop is subscribed to ever later, ten times, and ends', async () => {
    const { asked, ended } = await losses(false);
    const gaps = asked.slice(1).map((at, index) => at - (asked[index] ?? 0));
    assert.equal(gaps.length, 10);
    assert.ok((gaps[0] ?? 0) <= 250 && (gaps.at(-1) ?? 0) >= 30_000, gaps.join());
    assert.deepEqual(ended, ['networkDisconnected']);
  });

  test('that the server refuses to give back is asked for ten times more, and ends', async () => {
    const { asked, ended } = await losses(true);
    assert.equal(asked.length, 12);
    assert.deepEqual(ended, ['networkDisconnected']);
  });
});

describe('an update that the server refuses', () => {
  /** The titles of the exceptions when a Subscriber changed its mind while it was subscribed. */
  async function reported(hasEnded: boolean): Promise<string[]> {
    installBrowser(new Random(1));
    const directory = new Directory();
    directory.addConnection({ connectionId: 'ada', creationTime: 1 });
    const told = { streamId: 's', connectionId: 'ada', creationTime: 1, name: '' };
    const stream = directory.addStream({ ...told, hasAudio: true, hasVideo: true });
    assert.ok(stream);
    const titles: string[] = [];
    const note = ({ title }: { title: string }): number => titles.push(title);
    exceptions.on('exception', note);
    const subscriber = new Subscriber(stream, undefined, {});
    const sent = { ...subscriber.preferences(true), video: false };
    let refuse: () => void = () => undefined;
    const binding = {
      update: () => new Promise<void>((_, reject) => (refuse = () => reject(new Error('gone')))),
      report: () => undefined,
      recheck: () => undefined,
      unsubscribe: () => undefined,
    };
    subscriber.bind(binding, sent, true);
    if (hasEnded) subscriber.end('streamDestroyed');
    refuse();
    await settled();
    exceptions.off('exception', note);
    return titles;
  }

  test('is reported, but not where the subscription has ended meanwhile', async () => {
    assert.deepEqual(await reported(false), ['OT_UNEXPECTED_SERVER_RESPONSE']);
    assert.deepEqual(await reported(true), []);
  });
});

describe('captions', () => {
  interface Reader {
    readonly subscriber: Subscriber;
    readonly heard: object[];
    readonly updates: object[];
    readonly told: string[];
  }

  /** A Subscriber as the session has it once the server answered. */
  function reader(isEncrypted: boolean, subscribeToCaptions: boolean): Reader {
    installBrowser(new Random(1));
    const directory = new Directory();
    directory.addConnection({ connectionId: 'ada', creationTime: 1 });
    const stream = directory.addStream({ streamId: 's', connectionId: 'ada', creationTime: 1 });
    assert.ok(stream);
    const [heard, updates, told] = [[] as object[], [] as object[], [] as string[]];
    const note = ({ title }: { title: string }): number => told.push(title);
    exceptions.on('exception', note);
    const subscriber = new Subscriber(stream, undefined, { subscribeToCaptions });
    subscriber.on('captionReceived', ({ streamId, caption, isFinal }) =>
      heard.push({ streamId, caption, isFinal }),
    );
    const binding = {
      update: (change: object) => Promise.resolve(void updates.push(change)),
      report: () => undefined,
      recheck: () => undefined,
      unsubscribe: () => undefined,
    };
    subscriber.bind(binding, subscriber.preferences(isEncrypted), isEncrypted);
    exceptions.off('exception', note);
    return { subscriber, heard, updates, told };
  }

  test('come to who asked, from the start or later, and to nobody else', async () => {
    const { subscriber, heard, updates } = reader(false, false);
    assert.equal('captions' in subscriber.preferences(false), false);
    subscriber.onCaption('nobody asked', true);
    await subscriber.subscribeToCaptions(true);
    assert.equal(subscriber.isSubscribedToCaptions(), true);
    subscriber.onCaption('hello', false);
    await subscriber.subscribeToCaptions(false);
    subscriber.onCaption('hello everybody', true);
    assert.deepEqual(heard, [{ streamId: 's', caption: 'hello', isFinal: false }]);
    assert.deepEqual(updates, [{ captions: true }, { captions: false }]);
    assert.equal(reader(false, true).subscriber.preferences(false).captions, true);
  });

  test('are refused where the server cannot hear, and not asked for', async () => {
    const { subscriber, updates, told } = reader(true, true);
    assert.deepEqual(told, ['OT_NOT_SUPPORTED']);
    assert.equal(subscriber.isSubscribedToCaptions(), false);
    await assert.rejects(subscriber.subscribeToCaptions(true), { name: 'OT_NOT_SUPPORTED' });
    assert.equal('captions' in subscriber.preferences(true), false);
    assert.deepEqual(updates, []);
  });
});

/** Applications do things in any order, while networks are slow: nothing may be lost by that. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Session } from '../../src/session';
import { Publisher } from '../../src/publisher';
import type { Stream } from '../../src/stream';
import type { Subscriber } from '../../src/subscriber';
import { type FakeClock, Random } from '../support';
import { FakePeer, installBrowser, newTrack } from './fake-browser';
import { FakeServer, type FakeSocket } from './fake-server';

/** More of them: SEEDS=1000 FIRST_SEED=1 npm test. */
const SEEDS = Number(process.env['SEEDS'] ?? 80);
const FIRST_SEED = Number(process.env['FIRST_SEED'] ?? 1);

interface Call {
  readonly what: string;
  readonly outcomes: string[];
}

/** One application in one session. */
class Application {
  readonly clock: FakeClock;
  readonly server: FakeServer;
  readonly session: Session;
  readonly calls: Call[] = [];
  readonly streams = new Map<string, Stream>();
  readonly subscribers = new Set<Subscriber>();
  readonly publishers = new Set<Publisher>();
  readonly sockets: FakeSocket[] = [];
  readonly events: string[] = [];

  constructor(readonly random: Random) {
    this.clock = installBrowser(random);
    this.server = new FakeServer(this.clock, random);
    const open = (): FakeSocket => {
      const socket = this.server.openSocket();
      this.sockets.push(socket);
      return socket;
    };
    Object.assign(globalThis, {
      WebSocket: function () {
        return open();
      },
    });
    this.session = new Session('key', 'session', { serverUrl: 'http://server' });
    this.session.on({
      streamCreated: ({ stream }) => this.streams.set(stream.streamId, stream),
      streamDestroyed: ({ stream }) => this.streams.delete(stream.streamId),
      sessionDisconnected: () => {
        this.events.push('disconnected');
        this.streams.clear();
      },
    });
  }

  done(what: string): (error?: Error) => void {
    const call: Call = { what, outcomes: [] };
    this.calls.push(call);
    return (error) => call.outcomes.push(error?.message ?? 'ok');
  }

  connect(): void {
    this.session.connect('token', this.done('connect'));
  }

  subscribe(stream: Stream): Subscriber {
    const subscriber = this.session.subscribe(stream, undefined, {}, this.done('subscribe'));
    this.subscribers.add(subscriber);
    subscriber.on('destroyed', () => this.subscribers.delete(subscriber));
    return subscriber;
  }

  unsubscribe(subscriber: Subscriber): void {
    this.subscribers.delete(subscriber);
    this.session.unsubscribe(subscriber);
  }

  newPublisher(): Publisher {
    const publisher = new Publisher(undefined, {
      audioSource: newTrack('audio'),
      videoSource: newTrack('video'),
    });
    publisher.on('destroyed', () => this.publishers.delete(publisher));
    return publisher;
  }

  publish(publisher: Publisher): void {
    this.publishers.add(publisher);
    this.session.publish(publisher, this.done('publish'));
  }

  unpublish(publisher: Publisher): void {
    this.publishers.delete(publisher);
    this.session.unpublish(publisher);
  }

  /** What has to hold once everything has come to rest. */
  check(): void {
    for (const { what, outcomes } of this.calls) {
      assert.equal(outcomes.length, 1, `${what}: ${JSON.stringify(outcomes)}`);
      // This server connects everybody, sooner or later.
      assert.doesNotMatch(outcomes.join(), /No media connection/);
    }
    const told = [...this.server.subscribers.values()];
    const wanted = [...this.subscribers].map(({ stream }) => stream.streamId);
    assert.deepEqual(told.map(({ streamId }) => streamId).sort(), wanted.sort());
    assert.ok(told.every(({ isConnected }) => isConnected));
    for (const subscriber of this.subscribers) {
      const { view, wantsVideo } = subscriber as unknown as {
        view: { video: HTMLVideoElement };
        wantsVideo: boolean;
      };
      const tracks = (view.video.srcObject as MediaStream | null)?.getTracks() ?? [];
      const count = (kind: string): number => tracks.filter((track) => track.kind === kind).length;
      assert.equal(count('audio'), 1, 'silent');
      // Browsers play no audio before the first frame of video, and these elements never have one.
      const isExpected = subscriber.stream.hasVideo && wantsVideo;
      assert.equal(count('video'), isExpected ? 1 : 0, isExpected ? 'black' : 'silent');
    }
    const live = [...this.publishers].map(({ stream }) => stream?.streamId);
    assert.deepEqual([...this.server.own.keys()].sort(), live.sort());
    for (const publisher of this.publishers) {
      const { stream, wantsVideo, wantsAudio } = publisher as unknown as {
        stream: Stream;
        wantsVideo: boolean;
        wantsAudio: boolean;
      };
      const known = this.server.own.get(stream.streamId);
      assert.deepEqual(known, { hasAudio: wantsAudio, hasVideo: wantsVideo });
    }
    const most = this.session.connection ? 2 : 0;
    assert.ok(FakePeer.open.size <= most, `${FakePeer.open.size} transports`);
  }

  async until(condition: () => boolean): Promise<void> {
    for (let ms = 0; ms < 1_000 && !condition(); ms += 1) await this.clock.advance(1);
    assert.ok(condition());
  }

  async rest(): Promise<void> {
    await this.clock.advance(60_000);
  }
}

async function joined(seed: number): Promise<Application> {
  const application = new Application(new Random(seed));
  application.server.publishOther();
  application.connect();
  await application.clock.advance(1_000);
  return application;
}

function onlyStream(application: Application): Stream {
  const [stream] = application.streams.values();
  assert.ok(stream);
  return stream;
}

describe('a session', () => {
  test('knows what the server says while it is still entering', async () => {
    const application = new Application(new Random(7));
    application.connect();
    await application.until(() => application.server.isJoined);
    // In the same moment as the welcome, and before its promise has settled.
    const streamId = application.server.publishOther();
    await application.clock.advance(500);
    assert.ok(application.streams.has(streamId));
  });

  test('repeats messages that are events as they are, about streams that it knows', async () => {
    const application = await joined(9);
    const stream = onlyStream(application);
    const speakers: unknown[] = [];
    application.session.on('activeSpeakerChanged', (event) => speakers.push(event.stream));
    for (const streamId of [stream.streamId, 'unknown', 'toString']) {
      application.server.say({ t: 'activeSpeaker', streamId, stream: 'forged' });
    }
    await application.rest();
    assert.deepEqual(speakers, [stream]);
  });

  test('that is left and joined again at once is joined once', async () => {
    for (const gapMs of [0, 1, 20, 60, 100, 150]) {
      const application = new Application(new Random(gapMs));
      application.connect();
      await application.clock.advance(gapMs);
      await application.session.disconnect();
      application.connect();
      await application.rest();
      const [first, second] = application.calls.map(({ outcomes }) => outcomes);
      assert.equal(first?.length, 1, `after ${gapMs} ms`);
      assert.deepEqual(second, ['ok'], `after ${gapMs} ms`);
      assert.ok(application.session.connection);
      application.check();
    }
  });

  test('shows a stream that is subscribed to, unsubscribed and subscribed to in one tick', async () => {
    const application = await joined(3);
    const stream = onlyStream(application);
    const first = application.subscribe(stream);
    application.unsubscribe(first);
    application.subscribe(stream);
    await application.rest();
    application.check();
    assert.deepEqual(application.calls.at(-1)?.outcomes, ['ok']);
  });

  test('publishes once what is published, unpublished and published in one tick', async () => {
    const application = await joined(4);
    const publisher = application.newPublisher();
    application.publish(publisher);
    application.unpublish(publisher);
    application.publish(publisher);
    await application.rest();
    application.check();
    assert.equal(application.server.own.size, 1);
  });

  test('switches the camera of a publisher off that is unpublished before it is live', async () => {
    const application = await joined(4);
    const publisher = application.newPublisher();
    let destroyed = 0;
    publisher.on('destroyed', () => (destroyed += 1));
    application.publish(publisher);
    application.unpublish(publisher);
    await application.rest();
    assert.equal(destroyed, 1);
    assert.equal(application.server.own.size, 0);
    assert.match(application.calls.at(-1)?.outcomes.join() ?? '', /unpublished/);
  });

  test('publishes nothing under the name of another stream, of whomever and whenever', async () => {
    const application = await joined(6);
    const { server } = application;
    const [before, now] = [application.newPublisher(), application.newPublisher()];
    for (const publisher of [before, now]) application.publish(publisher);
    await application.rest();
    const names = [before, now].map(({ stream }) => stream?.streamId ?? '');
    application.unpublish(before);
    await application.rest();
    for (const name of [...names, onlyStream(application).streamId]) {
      server.nextStreamId = name;
      const liar = application.newPublisher();
      application.session.publish(liar, application.done('refused'));
      await application.rest();
      assert.match(application.calls.at(-1)?.outcomes.join() ?? '', /id of another stream/);
      assert.equal(liar.stream, undefined);
    }
    assert.equal(now.stream?.streamId, names[1]);
    const connected = application.session as unknown as {
      room: { publishers: Map<string, object> };
    };
    assert.deepEqual([...connected.room.publishers.values()], [now]);
  });

  test('publishes what its publisher was told while it was on its way', async () => {
    const application = await joined(5);
    const publisher = application.newPublisher();
    application.publish(publisher);
    await application.until(() => application.server.own.size > 0);
    publisher.publishVideo(false);
    publisher.publishAudio(false);
    await application.rest();
    application.check();
  });

  test('that ends while things are on their way leaves nothing behind', async () => {
    for (let delayMs = 0; delayMs < 200; delayMs += 10) {
      const application = await joined(100 + delayMs);
      application.subscribe(onlyStream(application));
      application.publish(application.newPublisher());
      await application.clock.advance(delayMs);
      await application.session.disconnect();
      application.publishers.clear();
      await application.rest();
      assert.equal(FakePeer.open.size, 0);
      for (const { outcomes } of application.calls) assert.equal(outcomes.length, 1);
    }
  });

  test('whose transport is lost while it subscribes is not lost with it', async () => {
    for (let delayMs = 0; delayMs < 200; delayMs += 10) {
      const application = await joined(300 + delayMs);
      application.subscribe(onlyStream(application));
      application.publish(application.newPublisher());
      await application.clock.advance(delayMs);
      application.server.loseTransport('downlink');
      application.server.loseTransport('uplink');
      await application.rest();
      application.check();
    }
  });

  test('whose transports are lost in a loop ends what went over them', async () => {
    const application = await joined(7);
    const { server } = application;
    application.subscribe(onlyStream(application));
    application.publish(application.newPublisher());
    await application.rest();
    const published = new Set<string>();
    const subscribed = new Set<string>();
    for (let loss = 0; loss < 700; loss += 1) {
      server.loseTransport('uplink');
      server.loseTransport('downlink');
      await application.clock.advance(250);
      for (const streamId of server.own.keys()) published.add(streamId);
      for (const id of server.subscribers.keys()) subscribed.add(id);
    }
    assert.equal(server.own.size + server.subscribers.size, 0);
    assert.ok(published.size <= 10 && subscribed.size <= 10, `${published.size}`);
    assert.ok(published.size > 1 && subscribed.size > 1, `${published.size} ${subscribed.size}`);
  });

  test('whose stream is not taken again offers it ten times more, and then no more', async () => {
    const application = await joined(8);
    const { server, clock } = application;
    const publisher = application.newPublisher();
    application.publish(publisher);
    await application.rest();
    server.streamsRefused = 0;
    server.loseTransport('uplink');
    await clock.advance(600_000);
    assert.equal(server.streamsRefused, 11);
    server.streamsRefused = undefined;
    application.publish(publisher);
    await application.rest();
    assert.equal(server.own.size, 1);
  });

  test('whose socket is lost while it joins is not lost with it', async () => {
    for (let delayMs = 0; delayMs < 300; delayMs += 10) {
      const application = await joined(500 + delayMs);
      application.subscribe(onlyStream(application));
      application.publish(application.newPublisher());
      await application.clock.advance(delayMs);
      application.server.loseSocket();
      await application.rest();
      application.check();
      assert.deepEqual(
        application.calls.map(({ outcomes }) => outcomes),
        [['ok'], ['ok'], ['ok']],
        `after ${delayMs} ms`,
      );
    }
  });
});

type Action = (application: Application) => void;

const pick = <Item>(random: Random, items: Iterable<Item>): Item | undefined => {
  const list = [...items];
  return list[random.below(list.length)];
};

const ACTIONS: readonly Action[] = [
  (application) => {
    const stream = pick(application.random, application.streams.values());
    if (stream) application.subscribe(stream);
  },
  (application) => {
    const subscriber = pick(application.random, application.subscribers);
    if (subscriber) application.unsubscribe(subscriber);
  },
  (application) => {
    const subscriber = pick(application.random, application.subscribers);
    subscriber?.subscribeToVideo(application.random.below(2) === 0);
  },
  (application) => {
    if (application.publishers.size < 3) application.publish(application.newPublisher());
  },
  (application) => {
    const publisher = pick(application.random, application.publishers);
    if (publisher) application.unpublish(publisher);
  },
  (application) => {
    const publisher = pick(application.random, application.publishers);
    publisher?.publishAudio(application.random.below(2) === 0);
  },
  (application) => {
    const publisher = pick(application.random, application.publishers);
    publisher?.publishVideo(application.random.below(2) === 0);
  },
  (application) => {
    const publisher = pick(application.random, application.publishers);
    if (publisher && application.random.below(3) === 0) publisher.destroy();
  },
  ({ server, random }) => {
    if (server.streams.size < 4) server.publishOther();
    else server.endOther(pick(random, server.streams.keys()) ?? '');
  },
  ({ server, random }) => {
    if (random.below(4) === 0) server.loseSocket();
  },
  ({ server, random }) => {
    if (random.below(4) === 0) server.loseTransport(random.below(2) === 0 ? 'uplink' : 'downlink');
  },
];

test('whatever is done in whatever order: every callback once, nothing black, nothing left', async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
    const application = await joined(seed);
    for (let step = 0; step < 25; step += 1) {
      pick(application.random, ACTIONS)?.(application);
      if (application.random.below(2) === 0) {
        await application.clock.advance(application.random.below(120));
      }
    }
    await application.rest();
    try {
      application.check();
      await application.session.disconnect();
      application.publishers.clear();
      await application.rest();
      application.check();
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(application.calls)} ${String(error)}`, {
        cause: error,
      });
    }
  }
});

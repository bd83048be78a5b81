// Two or three pages publish, unpublish, subscribe, unsubscribe, mute and change the secret in any
// order, in live calls: no callback is lost, no stream stays black, nothing is left over.
// RANDOM_RUNS: how often (once unless told otherwise), RANDOM_SEED: the first run's seed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import process from 'node:process';
import { isDeepStrictEqual } from 'node:util';
import { Lab, SECRET } from './support/lab.mjs';
import { seeded } from './support/random.mjs';

const RUNS = Number(process.env.RANDOM_RUNS ?? 1);
const FIRST_SEED = Number(process.env.RANDOM_SEED ?? 1);
const ACTS = 16;
const SECRETS = [SECRET, 'another secret for all', 'a third secret for all'];
/** One listed twice happens twice as often. */
const NAMES = [
  ...['publish', 'unpublish', 'subscribe', 'subscribe', 'subscribe'],
  ...['unsubscribe', 'flicker', 'mute', 'want'],
];
const SECRET_SHARE = 0.15;
/** Often in the same turn, sometimes when the one before is done. */
const PAUSES_MS = [0, 0, 20, 100, 400];
/** A call has 20 s for its media, and several changes of the secret wait for each other. */
const ANSWERED_MS = 60_000;
const PLAYS_MS = 20_000;
/** What others did is told within that time. */
const TOLD_MS = 10_000;
/** What clients have on a server. */
const OF_CLIENTS = [
  ...['connections', 'streams'],
  ...['media_transports', 'media_publishers', 'media_subscribers'],
].map((name) => `sealroute_${name}`);
/** An uplink and a downlink. */
const MOST_PEERS = 2;

let lab;
before(async () => (lab = await Lab.open({ SEALROUTE_SIGNALING_JOINS_PER_S: '50' })));
after(() => lab?.close());

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const choose = (things, random) => things[Math.floor(random() * things.length)];

/** The whole play, before it begins: client, act, and the pause before the next one. */
function script(random, number) {
  const draws = () => ({ which: random(), how: random(), isOn: random() < 0.5 });
  const anybody = () => Math.floor(random() * number);
  const play = [{ who: 0, name: 'publish', draws: draws(), pauseMs: 0 }];
  for (let act = 0; act < ACTS; act += 1) {
    const pauseMs = choose(PAUSES_MS, random);
    if (random() >= SECRET_SHARE) {
      play.push({ who: anybody(), name: choose(NAMES, random), draws: draws(), pauseMs });
      continue;
    }
    const change = { secret: choose(SECRETS, random), immediate: random() < 0.5 };
    const first = anybody();
    for (let step = 0; step < number; step += 1) {
      const who = (first + step) % number;
      play.push({ who, name: 'secret', draws: change, pauseMs: step < number - 1 ? 0 : pauseMs });
    }
  }
  return play;
}

async function cast(number) {
  const room = await lab.server.createRoom();
  const people = await Promise.all(
    Array.from({ length: number }, async () => {
      const person = await lab.person('chromium', { path: '/pages/acts.html' });
      const given = { ...room, token: await lab.server.token(room), secret: SECRET };
      assert.equal(await person.do((all) => globalThis.actor.enter(all), given), null);
      return person;
    }),
  );
  return { room, people };
}

async function perform(people, play) {
  const acting = [];
  for (const { who, name, draws, pauseMs } of play) {
    const act = people[who].do(
      async (one, given) => {
        await globalThis.actor.acts[one](given);
      },
      name,
      draws,
    );
    acting.push(act);
    if (pauseMs > 0) await pause(pauseMs);
  }
  const failures = (await Promise.allSettled(acting)).filter(({ reason }) => reason);
  if (failures.length > 0) throw failures[0].reason;
}

/** Every call was answered, and only once. */
async function everyCallIsAnswered(people) {
  const areAnswered = () => globalThis.actor.calls.every(({ answers }) => answers > 0);
  for (const person of people) {
    await person.until(areAnswered, 'a call is not answered', ANSWERED_MS).catch(() => undefined);
    assert.deepEqual(await person.do(() => globalThis.actor.wronglyAnswered()), []);
  }
}

async function everythingPlays(people) {
  const sent = await Promise.all(people.map((one) => one.do(() => globalThis.actor.published())));
  const black = await Promise.all(
    people.map((one) =>
      one.do((all, timeoutMs) => globalThis.actor.plays(all, timeoutMs), sent.flat(), PLAYS_MS),
    ),
  );
  if (black.flat().length > 0) assert.fail(`nothing new is shown of ${JSON.stringify(black)}`);
  return sent;
}

/** Who subscribes to what, as the server knows it. */
async function servedIn(room) {
  const explained = await lab.server.application.explain(room.sessionId);
  return explained.flatMap(({ streamId, subscribers }) =>
    subscribers
      .filter(({ subscriberId }) => subscriberId !== null)
      .map(({ connectionId }) => `${connectionId} ${streamId}`),
  );
}

/** Server and pages agree on what there is, and no page has more than its application knows of. */
async function whatIsThere(room, people, sent) {
  const left = await Promise.all(people.map((one) => one.do(() => globalThis.actor.leftOver())));
  const idsOf = (streams) => streams.map(({ streamId }) => streamId).sort();
  const there = left.map((page) => ({
    streams: page.streams,
    elements: { subscribers: page.subscribers, publishers: page.publishers },
    isWithinPeers: page.peers <= MOST_PEERS,
    streamsOfItsOwn: page.sending,
  }));
  const expected = left.map((page, own) => ({
    streams: idsOf(sent.toSpliced(own, 1).flat()),
    elements: { subscribers: page.watching.length, publishers: page.sending },
    isWithinPeers: true,
    streamsOfItsOwn: sent[own].length,
  }));
  const known = left.flatMap(({ connectionId, watching }) =>
    watching.map((streamId) => `${connectionId} ${streamId}`),
  );
  const served = await servedIn(room);
  return {
    there: { pages: there, subscriptions: served.sort() },
    expected: { pages: expected, subscriptions: known.sort() },
  };
}

async function nothingIsLeftOver(room, people, sent) {
  const deadline = Date.now() + TOLD_MS;
  for (;;) {
    const { there, expected } = await whatIsThere(room, people, sent);
    if (isDeepStrictEqual(there, expected)) return;
    if (Date.now() > deadline) assert.deepEqual(there, expected);
  }
}

async function everybodyLeaves(people) {
  for (const person of people) await person.do(() => globalThis.lab.session.disconnect());
  for (const person of people) {
    assert.equal(await person.do(() => globalThis.openPeers().length), 0, 'open peer connections');
    assert.deepEqual(await person.do(() => globalThis.actor.wronglyAnswered()), []);
    assert.deepEqual(person.faults, []);
    const exceptions = await person.do(() =>
      globalThis.lab.events.filter(({ name }) => name === 'exception'),
    );
    assert.deepEqual(exceptions, []);
  }
}

/** The server has no client, stream or transport any more. */
async function nothingIsLeftOnTheServer() {
  const deadline = Date.now() + TOLD_MS;
  for (;;) {
    const left = await Promise.all(OF_CLIENTS.map((name) => lab.server.metric(name)));
    if (left.every((value) => value === 0)) return;
    if (Date.now() > deadline) assert.deepEqual(left, [0, 0, 0, 0, 0], OF_CLIENTS.join(' '));
    await pause(100);
  }
}

async function run(seed) {
  const random = seeded(seed);
  const number = random() < 0.6 ? 2 : 3;
  const play = script(random, number);
  const { room, people } = await cast(number);
  try {
    await perform(people, play);
    await everyCallIsAnswered(people);
    const sent = await everythingPlays(people);
    await nothingIsLeftOver(room, people, sent);
    await everybodyLeaves(people);
    await nothingIsLeftOnTheServer();
  } catch (error) {
    const explained = await lab.server.application.explain(room.sessionId).catch(String);
    const events = await Promise.all(people.map((one) => one.do(() => globalThis.lab.events)));
    throw new Error(`${error.message}\n${JSON.stringify({ play, events, explained })}`, {
      cause: error,
    });
  } finally {
    await lab.empty();
  }
}

test(`whatever pages do, every call ends and every stream plays, ${RUNS} times`, async () => {
  const failed = [];
  for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed += 1) {
    await run(seed).catch((error) => {
      failed.push(seed);
      console.error(`RANDOM_SEED=${seed}: ${error.message}`);
    });
  }
  assert.deepEqual(failed, [], `${failed.length} of ${RUNS} runs failed, by seed: ${failed}`);
});

// People who join at once, on machines of different speed: everybody sees and hears everybody.
// JOINS: how often for each number of people (2 unless told otherwise), JOIN_PEOPLE: which numbers,
// JOIN_SEED: of the gaps and speeds; each run tells its own.
import { randomInt } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import process from 'node:process';
import { Lab, SECRET } from './support/lab.mjs';
import { seeded } from './support/random.mjs';

const ROUNDS = Number(process.env.JOINS ?? 2);
const SIZES = (process.env.JOIN_PEOPLE ?? '2,3').split(',').map(Number);
const SEED = Number(process.env.JOIN_SEED ?? randomInt(2 ** 31));
const MAX_GAP_MS = 400;
const MAX_SLOWDOWN = 4;
const ALL_THERE_MS = 40_000;
/** Eight people decode 56 videos on the cores of one machine. */
const SMALL = { width: 160, height: 120, frameRate: 5 };
const MANY = 4;

let lab;
before(async () => (lab = await Lab.open({ SEALROUTE_SIGNALING_JOINS_PER_S: '50' })));
afterEach(() => lab.empty());
after(() => lab?.close());

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A person who comes a moment later than others, with a page that is slower than theirs. */
async function comes(room, { person, token, slowdown, gapMs, size }) {
  const devtools = await person.page.createCDPSession();
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: slowdown });
  await pause(gapMs);
  const failure = await person.connect(room, token, SECRET);
  if (failure) throw new Error(`could not join: ${failure.message}`);
  await person.publish({ hertz: 1_000, size });
}

/** Streams of others that are seen and heard here. */
const received = async () => {
  let count = 0;
  for (const [streamId, subscriber] of lab.subscribers) {
    const stats = await subscriber.getStats().catch(() => null);
    const isSeen = lab.video(streamId)?.videoWidth > 0 && lab.video(streamId).currentTime > 0;
    if (isSeen && stats?.audio.packetsReceived > 0 && stats.video.packetsReceived > 0) count += 1;
  }
  return count;
};

async function seesAll(person, others) {
  const deadline = performance.now() + ALL_THERE_MS;
  let count = 0;
  while (performance.now() < deadline) {
    count = await person.do(received);
    if (count === others) return;
    await pause(200);
  }
  const events = await person.do(() => lab.events);
  throw new Error(`${count} of ${others} are seen and heard: ${JSON.stringify(events)}`);
}

for (const size of SIZES) {
  test(`${size} who join at once see and hear each other, ${ROUNDS} times`, async (context) => {
    context.diagnostic(`JOIN_SEED=${SEED}`);
    const random = seeded(SEED + size);
    for (let round = 0; round < ROUNDS; round += 1) {
      const room = await lab.server.createRoom();
      const people = [];
      for (let index = 0; index < size; index += 1) {
        people.push({
          person: await lab.person(),
          token: await lab.server.token(room),
          slowdown: 1 + random() * (MAX_SLOWDOWN - 1),
          gapMs: random() * MAX_GAP_MS,
          ...(size < MANY ? {} : { size: SMALL }),
        });
      }
      try {
        await Promise.all(people.map((one) => comes(room, one)));
        await Promise.all(people.map(({ person }) => seesAll(person, size - 1)));
      } catch (error) {
        throw new Error(`JOIN_SEED=${SEED}, round ${round + 1}: ${error.message}`, {
          cause: error,
        });
      }
      await lab.empty();
    }
  });
}

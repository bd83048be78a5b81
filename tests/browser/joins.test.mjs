// People who join at once, on machines of different speed: everybody sees and hears everybody.
// JOINS: how often for each number of people (2 unless told otherwise, 1 in `make test`), JOIN_PEOPLE: which numbers,
// JOIN_SEED: of the gaps and speeds; each run tells its own.
import { randomInt } from 'node:crypto';
import { after, before, test } from 'node:test';
import process from 'node:process';
import * as joins from './support/joins.mjs';
import { LONG } from './support/browsers.mjs';
import { Lab } from './support/lab.mjs';
import { seeded } from './support/random.mjs';

const ROUNDS = Number(process.env.JOINS ?? (LONG ? 1 : 2));
const SIZES = (process.env.JOIN_PEOPLE ?? '2,3').split(',').map(Number);
const SEED = Number(process.env.JOIN_SEED ?? randomInt(2 ** 31));
/** Eight people decode 56 videos on the cores of one machine. */
const SMALL = { width: 160, height: 120, frameRate: 5 };
const MANY = 4;

let lab;
before(async () => (lab = await Lab.open({ SEALROUTE_SIGNALING_JOINS_PER_S: '50' })));
after(() => lab?.close());

for (const number of SIZES) {
  const skip = number > 2 && LONG;
  test(
    `${number} who join at once see and hear each other, ${ROUNDS} times`,
    { skip },
    async (context) => {
      context.diagnostic(`JOIN_SEED=${SEED}`);
      const random = seeded(SEED + number);
      const size = number < MANY ? undefined : SMALL;
      await joins.playRounds(lab, ROUNDS, async (room) => {
        await lab.empty();
        const chances = Array.from({ length: number }, () => joins.chance(random));
        const people = await Promise.all(
          chances.map(({ slowdown }) => joins.newcomer(lab, 'chromium', slowdown)),
        );
        const streams = await Promise.all(
          people.map(async (person, own) => {
            const token = await lab.server.token(room);
            return joins.comes(person, { room, token, size, gapMs: chances[own].gapMs });
          }),
        );
        return Promise.all(
          people.map((one, own) => joins.meets(one, joins.allBut(streams, streams[own]))),
        );
      });
    },
  );
}

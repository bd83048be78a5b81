// Python clients, Chromium and Firefox in one encrypted session, joining at once.
// MIXED_JOINS: how often (once unless told otherwise), JOIN_SEED: of the gaps and speeds,
// JOIN_BROWSERS: which browsers, JOIN_PYTHON: how many Python clients.
import { randomInt } from 'node:crypto';
import { after, before, test } from 'node:test';
import process from 'node:process';
import { LONG, browsers } from './support/browsers.mjs';
import * as joins from './support/joins.mjs';
import { Lab } from './support/lab.mjs';
import { PythonPeople } from './support/python-people.mjs';
import { seeded } from './support/random.mjs';

const ROUNDS = Number(process.env.MIXED_JOINS ?? 1);
const SEED = Number(process.env.JOIN_SEED ?? randomInt(2 ** 31));
const KINDS = (process.env.JOIN_BROWSERS ?? Object.keys(browsers).join()).split(',');
const PYTHON_CLIENTS = Number(process.env.JOIN_PYTHON ?? 2);

let lab;
let python;
before(async () => {
  lab = await Lab.open({ SEALROUTE_SIGNALING_JOINS_PER_S: '50' });
  python = new PythonPeople();
});
after(async () => {
  await python?.close();
  await lab?.close();
});

const skip = KINDS.every((kind) => browsers[kind].isHere) ? LONG : 'a browser is missing';

test(
  `Python clients and browsers see and hear each other, ${ROUNDS} times`,
  { skip },
  async (context) => {
    context.diagnostic(`JOIN_SEED=${SEED}`);
    const random = seeded(SEED);
    await joins.playRounds(lab, ROUNDS, async (room) => {
      await Promise.all([lab.empty(), python.leave()]);
      const come = async () => ({ ...joins.chance(random), token: await lab.server.token(room) });
      const clients = await Promise.all(Array.from({ length: PYTHON_CLIENTS }, come));
      const chances = await Promise.all(KINDS.map(come));
      const people = await Promise.all(
        KINDS.map((kind, index) => joins.newcomer(lab, kind, chances[index].slowdown)),
      );
      const [theirs, ...streams] = await Promise.all([
        python.join(room, clients),
        ...people.map((person, index) => joins.comes(person, { room, ...chances[index] })),
      ]);
      const all = [...theirs, ...streams];
      const [missed, ...failures] = await Promise.all([
        python.meet(all, joins.ALL_THERE_MS),
        ...people.map((person, own) => joins.meets(person, joins.allBut(all, streams[own]))),
      ]);
      return [...missed, ...failures];
    });
  },
);

// People who join at once: how they come, and whether each sees and hears each other.
import assert from 'node:assert/strict';
import { loadavg } from 'node:os';
import { SECRET } from './lab.mjs';

const MAX_GAP_MS = 400;
const MAX_SLOWDOWN = 4;
/** More rounds than this tell how they go. */
const FEW = 3;
const LOG_CHARACTERS = 6_000;
/** On a machine that other tests slow down, too: slow is no failure, never is. */
export const ALL_THERE_MS = 90_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** How slow somebody's machine is (1: as it is), and when they come. */
export function chance(random) {
  return { slowdown: 1 + random() * (MAX_SLOWDOWN - 1), gapMs: random() * MAX_GAP_MS };
}

/** A page of its own; those of Chromium can be slower than the machine. */
export async function newcomer(lab, kind, slowdown) {
  const person = await lab.person(kind);
  if (kind === 'chromium') {
    const devtools = await person.page.createCDPSession();
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: slowdown });
  }
  return person;
}

/** Comes a moment later than others, and publishes; resolves with the stream. */
export async function comes(person, { room, token, gapMs, size }) {
  await pause(gapMs);
  const failure = await person.connect(room, token, SECRET);
  if (failure) throw new Error(`could not join: ${failure.message}`);
  return person.publish({ hertz: 1_000, size });
}

/** Resolves with null when all others were seen and heard, else with what is known. */
export async function meets(person, streams) {
  const missing = await person.do(
    (ids, timeoutMs) => globalThis.lab.meets(ids, timeoutMs),
    streams,
    ALL_THERE_MS,
  );
  return missing.length === 0 ? null : { kind: person.kind, missing };
}

export const allBut = (streams, own) => streams.filter((one) => one !== own);

/**
 * All of them, whatever one finds: how many fail counts. `play`, with a fresh room, resolves with
 * what each of the people missed, or null.
 */
export async function playRounds(lab, count, play) {
  const failed = [];
  for (let round = 1; round <= count; round += 1) {
    const room = await lab.server.createRoom();
    const began = performance.now();
    const failures = await play(room).catch((error) => [error.stack]);
    const real = failures.filter((failure) => failure !== null);
    const tookS = ((performance.now() - began) / 1_000).toFixed(1);
    const load = loadavg()[0].toFixed(1);
    if (count > FEW)
      console.error(`round ${round}: ${tookS} s, load ${load}, missed ${real.length}`);
    if (real.length > 0) {
      failed.push(round);
      const explained = await lab.server.application.explain(room.sessionId).catch(String);
      const known = { failures: real, people: await lab.describe(), explained };
      console.error(`round ${round}, load ${load}: ${JSON.stringify(known, null, 1)}`);
      console.error(lab.server.output.slice(-LOG_CHARACTERS));
    }
  }
  assert.deepEqual(failed, [], `${failed.length} of ${count} rounds failed: ${failed.join()}`);
}

// People who join at once: how they come, and whether each sees and hears each other.
import assert from 'node:assert/strict';
import { SECRET } from './lab.mjs';

const MAX_GAP_MS = 400;
const MAX_SLOWDOWN = 4;
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
  if (missing.length === 0) return null;
  const events = await person.do(() => globalThis.lab.events);
  return { kind: person.kind, missing, events, faults: person.faults };
}

export const allBut = (streams, own) => streams.filter((one) => one !== own);

/**
 * All of them, whatever one finds: how many fail counts. `play`, with a fresh room, resolves with
 * what each of the people missed, or null.
 */
export async function playRounds(server, count, play) {
  const failed = [];
  for (let round = 1; round <= count; round += 1) {
    const room = await server.createRoom();
    const failures = await play(room).catch((error) => [error.stack]);
    const real = failures.filter((failure) => failure !== null);
    if (real.length > 0) {
      failed.push(round);
      const explained = await server.application.explain(room.sessionId).catch(String);
      console.error(`round ${round}: ${JSON.stringify({ failures: real, explained }, null, 1)}`);
    }
  }
  assert.deepEqual(failed, [], `${failed.length} of ${count} rounds failed: ${failed.join()}`);
}

// Lines of JSON from whoever started this process, each answered by one.
import { createInterface } from 'node:readline';
import process from 'node:process';

/** `actions`: name → what is done; returns when no more lines come. */
export async function answerLines(actions) {
  async function answer(line) {
    const { number, action, words } = JSON.parse(line);
    const reply = { number };
    try {
      reply.result = (await actions[action](...words)) ?? null;
    } catch (error) {
      reply.error = error.message;
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
  process.stdout.write('{"ready":true}\n');
  for await (const line of createInterface({ input: process.stdin })) void answer(line);
}

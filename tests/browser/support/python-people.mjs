// Python clients of one process that join, publish and watch all others, in round after round.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SECRET } from './lab.mjs';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const program = process.env.SEALROUTE_PYTHON ?? `${root}.venv/bin/python`;

export class PythonPeople {
  errors = '';

  constructor() {
    this.process = spawn(program, ['-m', 'tests.people'], { cwd: root });
    this.process.stderr.on('data', (data) => (this.errors += data));
    this.answers = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Each comes at its own time; resolves with their streams. `people`: token and gap of each. */
  join(room, people) {
    return this.#ask({ command: 'join', room, secret: SECRET, people });
  }

  /** For each of them what it missed of the streams of others, or null. */
  meet(streams, timeoutMs) {
    return this.#ask({ command: 'meet', streams, timeoutMs });
  }

  leave() {
    return this.#ask({ command: 'leave' });
  }

  async close() {
    if (this.process.exitCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.stdin.end();
    await exited;
  }

  async #ask(command) {
    this.process.stdin.write(`${JSON.stringify(command)}\n`);
    const { value, done } = await this.answers.next();
    if (done) throw new Error(`The Python clients ended:\n${this.errors}`);
    const { answer, error } = JSON.parse(value);
    if (error) throw new Error(`A Python client failed: ${error}\n${this.errors}`);
    return answer;
  }
}

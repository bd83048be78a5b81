// The Python client, by its command line.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const program = process.env.SEALROUTE_CLIENT ?? join(root, '.venv/bin/sealroute-client');

export class PythonClient {
  events = [];

  /** Starts `publish`, `subscribe` or `record` in a room. */
  static async start(verb, { room, token, secret, flags = [] }) {
    const client = new PythonClient();
    client.folder = await mkdtemp(join(tmpdir(), 'sealroute-client-'));
    const secretFile = join(client.folder, 'secret');
    if (secret !== null) await writeFile(secretFile, secret);
    client.process = spawn(program, [
      ...[verb, '--url', room.url, '--api-key', room.apiKey, '--session', room.sessionId],
      ...[
        '--commands',
        '--token',
        token,
        ...(secret === null ? [] : ['--secret-file', secretFile]),
        ...flags,
      ],
    ]);
    client.errors = '';
    client.process.stderr.on('data', (data) => (client.errors += data));
    createInterface({ input: client.process.stdout }).on('line', (line) =>
      client.events.push(JSON.parse(line)),
    );
    return client;
  }

  async untilEvent(name, timeoutMs = 15_000) {
    const deadline = Date.now() + timeoutMs;
    while (Date.now() < deadline) {
      const event = this.events.find((candidate) => candidate.event === name);
      if (event) return event;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`no ${name}: ${JSON.stringify(this.events)}\n${this.errors}`);
  }

  command(command) {
    this.process.stdin.write(`${JSON.stringify(command)}\n`);
  }

  /** Leaves politely; returns the exit code. */
  async leave() {
    if (this.process.exitCode === null) {
      const exited = once(this.process, 'exit');
      this.command({ command: 'leave' });
      await exited;
    }
    return this.process.exitCode;
  }

  async close() {
    await this.leave();
    await rm(this.folder, { recursive: true, force: true });
  }
}

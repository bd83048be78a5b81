// A real coturn on loopback with the flags that the repository ships; all peers are local here.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './server.mjs';

const PROGRAM = process.env.TURNSERVER ?? '/usr/bin/turnserver';
const CONFIGURATION = fileURLToPath(new URL('../../../deploy/turnserver.conf', import.meta.url));
const START_TIMEOUT_MS = 10_000;
const SECRET = 'shared by both servers';

export const isTurnHere = existsSync(PROGRAM);

export class TurnServer {
  output = '';

  static async start() {
    const turn = new TurnServer();
    turn.port = await freePort();
    turn.folder = await mkdtemp(join(tmpdir(), 'sealroute-turn-'));
    turn.process = spawn(PROGRAM, [
      ...['-c', CONFIGURATION, '--realm=test', `--static-auth-secret=${SECRET}`],
      ...['-L', '127.0.0.1', '-E', '127.0.0.1', '-p', String(turn.port)],
      ...['--no-tls', '--no-dtls', '--allow-loopback-peers', '--allowed-peer-ip=127.0.0.1'],
      ...[`--userdb=${join(turn.folder, 'db')}`, `--pidfile=${join(turn.folder, 'pid')}`],
      ...['--log-file=stdout', '--verbose', '--simple-log'],
    ]);
    for (const stream of [turn.process.stdout, turn.process.stderr]) {
      stream.on('data', (data) => (turn.output += data));
    }
    await turn.until(/relay ports initialization done/i);
    return turn;
  }

  /** Settings of a server whose clients shall use this one. */
  get environment() {
    return {
      SEALROUTE_ICE_TURN_URLS: `turn:127.0.0.1:${this.port}`,
      SEALROUTE_ICE_TURN_SECRET: SECRET,
    };
  }

  /** Waits for a line of the log. */
  async until(pattern) {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!pattern.test(this.output)) {
      if (Date.now() > deadline) throw new Error(`coturn: no ${pattern}:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async stop() {
    if (this.process.exitCode === null) {
      const exited = once(this.process, 'exit');
      this.process.kill('SIGTERM');
      await exited;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

// A real server of its own for each test file, on free ports, with a data folder of its own.
import { execFile, spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Application } from './application.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const program = process.env.SEALROUTE ?? join(root, '.venv/bin/sealroute');
const START_TIMEOUT_MS = 60_000;
const LOWEST_PORT = 10_000;
const FIRST_EPHEMERAL_PORT = Number(
  readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0],
);

function launch(port, dataDir, environment) {
  return spawn(
    program,
    [
      ...['serve', '--host', '127.0.0.1', '--port', String(port)],
      ...['--media-port', '0'],
      ...['--data-dir', dataDir],
    ],
    {
      env: {
        ...process.env,
        // Metrics beside the port of the server, so that many can run at once.
        SEALROUTE_OPERATIONS_PORT: operationsPort(port),
        SEALROUTE_ROOMS_ENABLED: 'true',
        ...environment,
      },
    },
  );
}

/** A port that goes with the other one. */
function operationsPort(port) {
  return String(Number(port) + 1);
}

export class Server {
  constructor(process, port, dataDir, environment) {
    this.environment = environment;
    this.url = `http://127.0.0.1:${port}`;
    this.operationsUrl = `http://127.0.0.1:${operationsPort(port)}`;
    this.dataDir = dataDir;
    this.program = program;
    this.output = '';
    this.#run(process);
  }

  #run(process) {
    this.process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream.on('data', (data) => (this.output += data));
    }
  }

  async kill() {
    if (this.process.signalCode !== null || this.process.exitCode !== null) return;
    this.process.kill('SIGKILL');
    await once(this.process, 'exit');
  }

  /** Ends without a word to anybody, and begins again at the same port with the same data. */
  async restart() {
    await this.kill();
    const { port } = new URL(this.url);
    this.#run(launch(port, this.dataDir, this.environment));
    await this.#untilReady();
  }

  /** `environment`: settings beside the usual, as `SEALROUTE_…` variables. */
  static async start(environment = {}) {
    const dataDir = await mkdtemp(join(tmpdir(), 'sealroute-browser-'));
    const port = await freePort();
    const server = new Server(launch(port, dataDir, environment), port, dataDir, environment);
    try {
      await server.#untilReady();
      server.project = await server.cli('project', 'create', '--e2ee');
      server.application = new Application(server.url, server.project);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** A room: a session with its tokens. */
  async createRoom({ e2ee = true, relayed = false } = {}) {
    const sessionId = await this.application.createSession({ e2ee, relayed });
    return { url: this.url, apiKey: this.project.apiKey, sessionId };
  }

  async token({ sessionId }, { role = 'publisher', data = '' } = {}) {
    return this.application.clientToken(sessionId, { role, data });
  }

  async cli(...words) {
    const { stdout } = await run(program, [...words, '--data-dir', this.dataDir, '--json']);
    return JSON.parse(stdout);
  }

  /** One sample of /metrics by its full name; fails when the server has none of that name. */
  async metric(name) {
    const text = await (await fetch(`${this.operationsUrl}/metrics`)).text();
    const sample = text.split('\n').find((line) => line.startsWith(`${name} `));
    if (sample === undefined) throw new Error(`The server has no metric ${name}`);
    return Number(sample.split(' ').at(-1));
  }

  /** The media core's totals that are not zero. */
  async mediaTotals() {
    const text = await (await fetch(`${this.operationsUrl}/metrics`)).text();
    return text
      .split('\n')
      .filter((line) => line.startsWith('sealroute_media_') && Number(line.split(' ').at(-1)) > 0);
  }

  async stop() {
    if (this.process.exitCode === null) {
      this.process.kill('SIGTERM');
      const timer = setTimeout(() => this.process.kill('SIGKILL'), 6_000);
      await once(this.process, 'exit');
      clearTimeout(timer);
    }
    await rm(this.dataDir, { recursive: true, force: true });
  }

  async #untilReady() {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (Date.now() < deadline) {
      if (this.process.exitCode !== null) break;
      const ready = await fetch(`${this.url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (ready) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`The server did not start:\n${this.output}`);
  }
}

/**
 * A port of 127.0.0.1 that neither UDP nor TCP uses. The kernel gives its ephemeral ports to any
 * connection at any moment, so this one is below them: a server can end and begin again there.
 */
export async function freePort() {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (FIRST_EPHEMERAL_PORT - LOWEST_PORT));
    const tcp = net.createServer().listen(port, '127.0.0.1');
    const udp = dgram.createSocket('udp4').bind(port, '127.0.0.1');
    const opened = await Promise.allSettled([once(tcp, 'listening'), once(udp, 'listening')]);
    await Promise.all([tcp, udp].map((end) => new Promise((done) => end.close(done))));
    if (opened.every(({ status }) => status === 'fulfilled')) return port;
  }
}

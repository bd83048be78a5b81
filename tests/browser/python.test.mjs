// Sealed calls between the Python client and real browsers, both ways, by picture and by ear.
import { after, afterEach, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { runInThisContext } from 'node:vm';
import { Lab, SECRET } from './support/lab.mjs';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../../.venv/bin/sealroute-client', import.meta.url));
const PYTHON_TONE_HZ = 440;
const BROWSER_TONE_HZ = 1_000;
const PICTURE_BYTES = 320 * 240 * 4;
// What both ends have: the Python client seals VP8 and H.264; stock Firefox has no H.264.
const cells = [
  ['chromium', 'vp8'],
  ['chromium', 'h264'],
  ['firefox', 'vp8'],
];

let lab;
let folder;
const clients = [];
before(async () => {
  runInThisContext(await readFile(new URL('./pages/pattern.js', import.meta.url), 'utf8'));
  lab = await Lab.open();
  folder = await mkdtemp(join(tmpdir(), 'sealroute-python-'));
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.leave()));
  await lab.empty();
});
after(async () => {
  await lab?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The command-line client; its events are JSON lines. */
class PythonClient {
  events = [];

  constructor(process) {
    this.process = process;
    createInterface({ input: process.stdout }).on('line', (line) =>
      this.events.push(JSON.parse(line)),
    );
    clients.push(this);
  }

  static async start(room, ...words) {
    const token = await lab.server.token(room, { role: 'moderator' });
    return new PythonClient(
      spawn(
        program,
        [
          ...[...words, '--url', room.url, '--api-key', room.apiKey],
          ...['--session', room.sessionId, '--token', token],
        ],
        { env: { ...process.env, SEALROUTE_SECRET: SECRET } },
      ),
    );
  }

  async event(name, timeoutMs = 20_000) {
    const deadline = Date.now() + timeoutMs;
    while (Date.now() < deadline) {
      const found = this.events.find((event) => event.event === name);
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`no ${name} among ${JSON.stringify(this.events)}`);
  }

  async leave() {
    if (this.process.exitCode !== null) return;
    const ended = once(this.process, 'exit');
    this.process.stdin.end('{"command":"leave"}\n');
    await ended;
  }
}

/** Numbers that the Python client drew into its pictures, as the page shows them. */
const numbersSeen = (person, streamId) =>
  person.do(async (id) => {
    const [width, cell] = [640, 16];
    const canvas = Object.assign(document.createElement('canvas'), { width, height: 480 });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const numbers = [];
    for (let sample = 0; sample < 12; sample += 1) {
      context.drawImage(lab.video(id), 0, 0, width, 480);
      const { data } = context.getImageData(0, 0, width, 480);
      const luma = (x, y) => data[(y * width + x) * 4];
      let number = 0;
      for (let bit = 0; bit < 16; bit += 1) {
        if (luma(bit * cell + cell / 2, cell / 2) > 125) number |= 1 << bit;
      }
      // The lower half is a ramp from dark to light: a picture of noise does not pass.
      const ramp = [40, 200, 360, 520].map((x) => luma(x, 400));
      const rises = ramp.every((level, index) => index === 0 || level > ramp[index - 1] + 10);
      numbers.push(rises ? number : null);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return numbers;
  }, streamId);

for (const [kind, codec] of cells) {
  describe(`${codec} and Opus with ${kind}`, () => {
    test('what the Python client publishes is seen and heard', async () => {
      const room = await lab.server.createRoom();
      const viewer = await lab.join(room, { kind });
      const words = ['publish', '--test-pattern', '--video-codec', codec];
      const publisher = await PythonClient.start(room, ...words);
      const { streamId } = await publisher.event('published');
      await viewer.untilEvent('connected', 1, 20_000);
      await viewer.until(
        (id) => lab.video(id)?.videoWidth === 640 && lab.video(id).currentTime > 0.5,
        `${kind} shows no picture`,
        20_000,
        streamId,
      );
      const numbers = await numbersSeen(viewer, streamId);
      const known = numbers.filter((number) => number !== null);
      assert.ok(known.length >= numbers.length - 1, `broken pictures: ${numbers.join()}`);
      assert.ok(known.at(-1) - known[0] > 15, `the picture stands still: ${numbers.join()}`);
      await viewer.hears(streamId, PYTHON_TONE_HZ);
      assert.equal(await viewer.count('encryptionSecretMismatch'), 0);
    });

    test('what the browser publishes is recorded by the Python client', async () => {
      const room = await lab.server.createRoom();
      const out = join(folder, `${kind}-${codec}`);
      const recorder = await PythonClient.start(room, 'record', '--out', out);
      await recorder.event('connected');
      const person = await lab.join(room, { kind });
      await person.publish({ codec, hertz: BROWSER_TONE_HZ });
      await recorder.event('recording');
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      await recorder.leave();
      const { path } = await recorder.event('recorded');
      const numbers = await numbersRecorded(path);
      const known = numbers.filter((number) => number !== null);
      assert.ok(known.length > 30, `only ${known.length} of ${numbers.length} pictures are known`);
      assert.ok(known.length > numbers.length * 0.9, `broken pictures: ${numbers.join()}`);
      assert.ok(known.at(-1) - known[0] >= 30, 'the picture stands still');
      const tone = await toneRecorded(path);
      assert.ok(Math.abs(tone.hertz - BROWSER_TONE_HZ) <= 30, JSON.stringify(tone));
    });
  });
}

const decoded = async (path, ...words) => {
  const options = { encoding: 'buffer', maxBuffer: 2 ** 29 };
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', path, ...words, '-'], options);
  return stdout;
};

async function numbersRecorded(path) {
  const format = ['-vf', 'scale=320:240', '-pix_fmt', 'rgba', '-f', 'rawvideo'];
  const bytes = await decoded(path, '-an', ...format);
  return Array.from({ length: Math.floor(bytes.length / PICTURE_BYTES) }, (_, index) =>
    globalThis.readPixels(bytes.subarray(index * PICTURE_BYTES, (index + 1) * PICTURE_BYTES)),
  );
}

async function toneRecorded(path) {
  const bytes = await decoded(path, '-vn', '-ac', '1', '-ar', '48000', '-f', 'f32le');
  const samples = new Float32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
  const middle = Math.floor(samples.length / 2);
  return globalThis.findTone(samples.slice(middle - 8_192, middle + 8_192));
}

// The pattern as a file, and files back to pattern numbers and tone, by ffmpeg.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import '../pages/pattern-core.js';

const { pattern } = globalThis;
const FRAME_BYTES = pattern.WIDTH * pattern.HEIGHT * 3;
const SIZE = `${pattern.WIDTH}x${pattern.HEIGHT}`;

/** Writes `seconds` of the pattern with a tone. */
export async function writePattern(path, { seconds = 20, hertz = 1_000, frameRate = 15 } = {}) {
  const ffmpeg = spawn('ffmpeg', [
    ...['-v', 'error', '-y', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', SIZE],
    ...['-r', String(frameRate), '-i', '-', '-f', 'lavfi', '-i', `sine=${hertz}:r=48000`],
    ...['-c:v', 'libvpx', '-b:v', '2M', '-deadline', 'realtime', '-c:a', 'libopus'],
    ...['-t', String(seconds), path],
  ]);
  const ended = once(ffmpeg, 'exit');
  for (let frame = 1; frame <= seconds * frameRate; frame += 1) {
    if (!ffmpeg.stdin.write(paint(frame))) await once(ffmpeg.stdin, 'drain');
  }
  ffmpeg.stdin.end();
  const [code] = await ended;
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
}

function paint(frame) {
  const pixels = Buffer.alloc(FRAME_BYTES);
  for (const { colour, x, y, width, height } of pattern.rectangles(frame)) {
    const row = Buffer.from(Array.from({ length: width }, () => colour).flat());
    for (let line = y; line < y + height; line += 1) {
      row.copy(pixels, (line * pattern.WIDTH + x) * 3);
    }
  }
  return pixels;
}

/** The numbers of a file's frames; `null` for frames that are not the pattern. */
export async function readPatternFile(path) {
  const bytes = await decode(path, ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', SIZE]);
  const frames = [];
  for (let start = 0; start + FRAME_BYTES <= bytes.length; start += FRAME_BYTES) {
    frames.push(
      pattern.readFrame((x, y) => {
        const offset = start + (y * pattern.WIDTH + x) * 3;
        return [...bytes.subarray(offset, offset + 3)];
      }),
    );
  }
  return frames;
}

/** The loudest frequency in the middle of a file. */
export async function readToneFile(path) {
  const bytes = await decode(path, ['-vn', '-f', 'f32le', '-ac', '1', '-ar', '48000']);
  const count = Math.floor(bytes.length / 4);
  const samples = new Float32Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + count * 4),
  );
  const middle = Math.floor(count / 2);
  return pattern.loudest(samples.slice(Math.max(0, middle - 8_192), middle + 8_192));
}

async function decode(path, output) {
  const ffmpeg = spawn('ffmpeg', ['-v', 'fatal', '-i', path, ...output, '-']);
  const chunks = [];
  ffmpeg.stdout.on('data', (chunk) => chunks.push(chunk));
  await once(ffmpeg, 'close');
  return Buffer.concat(chunks);
}

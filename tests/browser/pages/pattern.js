// A picture that says which one it is, and a tone: made here, recognised there.
'use strict';

const WIDTH = 320;
const HEIGHT = 240;
const BITS = 16;
const CELL = WIDTH / BITS;
const COLOURS = [
  [200, 40, 40],
  [40, 180, 60],
  [50, 70, 210],
  [210, 190, 40],
];

/** A video track of the moving pattern and an audio track with a tone of `hertz`. */
async function makePattern({ hertz = 1_000, frameRate = 15, width = WIDTH, height = HEIGHT } = {}) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d');
  let frame = 0;
  const draw = () => {
    frame = (frame + 1) % 2 ** BITS;
    context.setTransform(width / WIDTH, 0, 0, height / HEIGHT, 0, 0);
    drawFrame(context, frame);
  };
  draw();
  const timer = setInterval(draw, 1_000 / frameRate);
  const [video] = canvas.captureStream(frameRate).getVideoTracks();
  return { video, audio: await makeTone(hertz), stop: () => clearInterval(timer) };
}

/**
 * By WebAudio; where it does not run (Firefox on machines without a sound card) the browser's
 * own test microphone, which gives 1,000 Hz.
 */
async function makeTone(hertz) {
  const audioContext = new AudioContext();
  const patience = new Promise((resolve) => setTimeout(resolve, 1_000));
  await Promise.race([audioContext.resume(), patience]);
  if (audioContext.state !== 'running') {
    const unprocessed = {
      echoCancellation: false,
      noiseSuppression: false,
      autoGainControl: false,
    };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: unprocessed });
    return stream.getAudioTracks()[0];
  }
  const oscillator = new OscillatorNode(audioContext, { frequency: hertz });
  const gain = new GainNode(audioContext, { gain: 0.3 });
  const destination = new MediaStreamAudioDestinationNode(audioContext);
  oscillator.connect(gain).connect(destination);
  oscillator.start();
  return destination.stream.getAudioTracks()[0];
}

/** Four coloured quarters that turn with every frame, above a row of cells with its number. */
function drawFrame(context, frame) {
  const turn = Math.floor(frame / 8);
  for (let quarter = 0; quarter < 4; quarter += 1) {
    const [red, green, blue] = COLOURS[(quarter + turn) % 4];
    context.fillStyle = `rgb(${red} ${green} ${blue})`;
    const [x, y] = [(quarter % 2) * (WIDTH / 2), Math.floor(quarter / 2) * 90];
    context.fillRect(x, y, WIDTH / 2, 90);
  }
  for (let bit = 0; bit < BITS; bit += 1) {
    context.fillStyle = (frame >> bit) & 1 ? '#fff' : '#000';
    context.fillRect(bit * CELL, 180, CELL, 30);
    // The second row is the first one inverted: a picture of noise does not pass.
    context.fillStyle = (frame >> bit) & 1 ? '#000' : '#fff';
    context.fillRect(bit * CELL, 210, CELL, 30);
  }
}

/** The frame's number, or `null` when the picture is not the pattern. */
function readPattern(video) {
  if (!video?.videoWidth) return null;
  const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, 0, 0, WIDTH, HEIGHT);
  return readPixels(context.getImageData(0, 0, WIDTH, HEIGHT).data);
}

/** The same of RGBA bytes of a picture of 320 × 240. */
function readPixels(data) {
  const pixel = (x, y) => data.subarray((y * WIDTH + x) * 4, (y * WIDTH + x) * 4 + 3);
  const luma = (x, y) => pixel(x, y).reduce((sum, part) => sum + part, 0) / 3;
  let frame = 0;
  for (let bit = 0; bit < BITS; bit += 1) {
    const x = bit * CELL + CELL / 2;
    const [value, inverse] = [luma(x, 195), luma(x, 225)];
    if (Math.abs(value - inverse) < 90) return null;
    if (value > inverse) frame |= 1 << bit;
  }
  const turn = Math.floor(frame / 8);
  for (let quarter = 0; quarter < 4; quarter += 1) {
    const seen = pixel((quarter % 2) * (WIDTH / 2) + 80, Math.floor(quarter / 2) * 90 + 45);
    const expected = COLOURS[(quarter + turn) % 4];
    if (expected.some((part, index) => Math.abs(part - seen[index]) > 60)) return null;
  }
  return frame;
}

/** The loudest frequency of a stream in hertz, and its share of the loudness. */
async function measureTone(stream, milliseconds = 700) {
  const samples = await recordSamples(stream, milliseconds);
  return samples ? findTone(samples) : { hertz: 0, share: 0 };
}

function findTone(samples) {
  const windowed = samples.map(
    (sample, index) => sample * Math.sin((Math.PI * index) / samples.length) ** 2,
  );
  let [best, total] = [{ hertz: 0, power: 0 }, 0];
  for (let hertz = 60; hertz <= 3_000; hertz += 10) {
    const power = goertzel(windowed, hertz);
    total += power;
    if (power > best.power) best = { hertz, power };
  }
  return { hertz: best.hertz, share: total > 0 ? best.power / total : 0 };
}

const RATE = 48_000;

async function recordSamples(stream, milliseconds) {
  const recorder = new MediaRecorder(new MediaStream(stream.getAudioTracks()));
  const chunks = [];
  recorder.ondataavailable = ({ data }) => chunks.push(data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  recorder.stop();
  await stopped;
  const encoded = await new Blob(chunks).arrayBuffer();
  if (encoded.byteLength === 0) return null;
  try {
    const decoded = await new OfflineAudioContext(1, RATE, RATE).decodeAudioData(encoded);
    const middle = Math.floor(decoded.length / 2);
    return decoded.getChannelData(0).slice(Math.max(0, middle - 8_192), middle + 8_192);
  } catch {
    return null;
  }
}

/** The power of one frequency. */
function goertzel(samples, hertz) {
  const factor = 2 * Math.cos((2 * Math.PI * hertz) / RATE);
  let [last, before] = [0, 0];
  for (const sample of samples) [last, before] = [sample + factor * last - before, last];
  return last * last + before * before - factor * last * before;
}

Object.assign(globalThis, { makePattern, readPattern, readPixels, measureTone, findTone });

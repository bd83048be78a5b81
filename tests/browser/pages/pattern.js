// A frame that says which one it is, and a tone: made here, recognised there.
'use strict';

/** A video track of the moving pattern and an audio track with a tone of `hertz`: two, left and right. */
async function makePattern({
  hertz = 1_000,
  frameRate = 15,
  width = pattern.WIDTH,
  height = pattern.HEIGHT,
} = {}) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d');
  context.scale(width / pattern.WIDTH, height / pattern.HEIGHT);
  let frame = 0;
  const draw = () => {
    frame = (frame + 1) % 2 ** pattern.BITS;
    for (const { colour, x, y, width: w, height: h } of pattern.rectangles(frame)) {
      context.fillStyle = `rgb(${colour.join(' ')})`;
      context.fillRect(x, y, w, h);
    }
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
  const channels = [hertz].flat();
  const merger = new ChannelMergerNode(audioContext, { numberOfInputs: channels.length });
  channels.forEach((frequency, channel) => {
    const oscillator = new OscillatorNode(audioContext, { frequency });
    const gain = new GainNode(audioContext, { gain: 0.3 });
    oscillator.connect(gain).connect(merger, 0, channel);
    oscillator.start();
  });
  const destination = new MediaStreamAudioDestinationNode(audioContext, {
    channelCount: channels.length,
  });
  merger.connect(destination);
  return destination.stream.getAudioTracks()[0];
}

/** The frame's number, or `null` when the element does not show the pattern. */
function readPattern(video) {
  if (!video?.videoWidth) return null;
  const { WIDTH: width, HEIGHT: height } = pattern;
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return pattern.readFrame((x, y) => data.subarray((y * width + x) * 4, (y * width + x) * 4 + 3));
}

/** Whether the element shows anything, whoever made it: bright parts and dark ones. */
function showsFrame(video) {
  if (!video?.videoWidth) return false;
  const [width, height] = [32, 24];
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const green = data.filter((_, index) => index % 4 === 1);
  return Math.max(...green) - Math.min(...green) > 60;
}

/** The loudest frequency of a stream in hertz, and its share of the loudness. */
async function measureTone(stream, milliseconds = 700) {
  const [samples] = await recordSamples(stream, milliseconds);
  return samples ? pattern.loudest(samples) : { hertz: 0, share: 0 };
}

/** The loudest frequency of the left and of the right channel; one that comes as mono is twice the same. */
async function measureChannels(stream, milliseconds = 700) {
  const channels = await recordSamples(stream, milliseconds, 2);
  return channels.map((samples) => pattern.loudest(samples));
}

/** By recording and decoding: WebAudio does not run everywhere. */
async function recordSamples(stream, milliseconds, channels = 1) {
  const recorder = new MediaRecorder(new MediaStream(stream.getAudioTracks()));
  const chunks = [];
  recorder.ondataavailable = ({ data }) => chunks.push(data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  recorder.stop();
  await stopped;
  const encoded = await new Blob(chunks).arrayBuffer();
  if (encoded.byteLength === 0) return [];
  try {
    const offline = new OfflineAudioContext(channels, pattern.RATE_HZ, pattern.RATE_HZ);
    const decoded = await offline.decodeAudioData(encoded);
    const middle = Math.floor(decoded.length / 2);
    return Array.from({ length: channels }, (_, channel) =>
      decoded
        .getChannelData(Math.min(channel, decoded.numberOfChannels - 1))
        .slice(Math.max(0, middle - 8_192), middle + 8_192),
    );
  } catch {
    return [];
  }
}

Object.assign(globalThis, {
  ...{ makePattern, readPattern, showsFrame },
  ...{ measureTone, measureChannels },
});

// One client of a server that lies, in a frame of its own, for OT's exceptions belong to a window;
// and the page that holds such frames. What the user hears and sees is kept until it is fetched.
'use strict';

const FRAME_RATE = 12;
const STEP_SECONDS = 0.2;
const STEP_HZ = 50;
const STEPS = 32;
const LOOK_MS = 70;

const SESSION_EVENTS = [
  'connectionCreated',
  'connectionDestroyed',
  'encryptionStateChanged',
  'muteForced',
  'sessionDisconnected',
  'sessionReconnected',
  'sessionReconnecting',
  'streamPropertyChanged',
  'activeSpeakerChanged',
];
const SUBSCRIBER_EVENTS = [
  'connected',
  'disconnected',
  'destroyed',
  'encryptionSecretMismatch',
  'encryptionSecretMatch',
  'encryptionStateChanged',
  'videoDisabled',
  'videoEnabled',
  'videoDisableWarning',
];
const PUBLISHER_EVENTS = ['streamDestroyed', 'muteForced', 'destroyed'];

const hostile = {
  told: [],
  problems: [],
  /** When the newest promise of a new secret resolved. */
  changed: null,
  uncoded: [],
  signals: [],
  streams: [],
  played: {},
  heard: {},
  publishers: [],
  subscribers: {},

  tell(name) {
    hostile.told.push(name);
  },

  /** An application can act on names that begin with OT_ only. */
  fail(error) {
    const name = String(error?.name ?? error);
    hostile.report({ title: name, message: error?.message });
    if (!name.startsWith('OT_')) hostile.uncoded.push(`${name}: ${error?.message}`);
  },

  report({ title, message }) {
    hostile.tell(String(title));
    hostile.problems.push([String(title), String(message)]);
  },

  async guarded(promise) {
    try {
      return (await promise) ?? true;
    } catch (error) {
      hostile.fail(error);
      return null;
    }
  },

  async connect({ url, sessionId, token, secret }) {
    const options = { serverUrl: url };
    if (secret !== null) options.encryptionSecret = secret;
    const session = OT.initSession('key', sessionId, options);
    hostile.session = session;
    for (const name of SESSION_EVENTS) session.on(name, () => hostile.tell(name));
    session.on({
      streamCreated: ({ stream }) => {
        hostile.tell('streamCreated');
        hostile.streams.push(stream.streamId);
        hostile.watch(stream);
      },
      streamDestroyed: () => hostile.tell('streamDestroyed'),
      signal: ({ data, encrypted }) => {
        hostile.tell('signal');
        hostile.signals.push({ data, encrypted });
      },
    });
    OT.on('exception', hostile.report);
    return (await hostile.guarded(session.connect.promise(token))) !== null;
  },

  async publish({ first, baseHz, codec }) {
    const publisher = OT.initPublisher('publishers', {
      insertMode: 'append',
      videoSource: frames(first),
      audioSource: await staircase(baseHz),
      preferredVideoCodecs: [codec],
    });
    for (const name of PUBLISHER_EVENTS) {
      publisher.on(name, () => hostile.tell(`publisher ${name}`));
    }
    const published = await hostile.guarded(hostile.session.publish.promise(publisher));
    if (published === null) return null;
    hostile.publishers.push(publisher);
    return publisher.stream?.streamId ?? null;
  },

  unpublish() {
    const publisher = hostile.publishers.pop();
    if (publisher) hostile.session.unpublish(publisher);
  },

  async setSecret({ secret, immediate }) {
    await hostile.guarded(hostile.session.setEncryptionSecret(secret, { immediate }));
    hostile.changed = performance.now();
  },

  signal({ data, to }) {
    const body = { type: 'chat', data };
    if (to !== null) body.to = { connectionId: to };
    return hostile.guarded(hostile.session.signal(body));
  },

  mute({ muted }) {
    hostile.publishers.at(-1).publishAudio(!muted);
  },

  unsubscribe({ streamId }) {
    hostile.session.unsubscribe(hostile.subscribers[streamId]);
  },

  preferSize({ streamId, width, height }) {
    const resolution = { width, height };
    return hostile.guarded(hostile.subscribers[streamId].setPreferredResolution(resolution));
  },

  doubt() {
    globalThis.dispatchEvent(new Event('online'));
  },

  code() {
    return hostile.guarded(hostile.session.getVerificationCode());
  },

  /** As the application sees it. */
  isEncrypted() {
    return hostile.session.encryptionState !== 'none';
  },

  watch(stream) {
    const { streamId } = stream;
    const properties = { insertMode: 'append', width: 160, height: 120 };
    const subscriber = hostile.session.subscribe(stream, 'subscribers', properties, (error) => {
      if (error) hostile.fail(error);
    });
    for (const name of SUBSCRIBER_EVENTS) {
      subscriber.on(name, () => {
        hostile.tell(`subscriber ${name}`);
        if (name.startsWith('encryptionSecret')) hostile.tell(name);
      });
    }
    hostile.subscribers[streamId] = subscriber;
    const video = () => subscriber.element?.querySelector('video');
    const seen = (hostile.played[streamId] ??= []);
    setInterval(() => {
      const element = video();
      if (element) seen.push([performance.now(), readPattern(element)]);
    }, LOOK_MS);
    hostile.listen(streamId, video);
  },

  listen(streamId, video) {
    const heard = (hostile.heard[streamId] ??= []);
    // What is read at one look ends before the next: two that agree are two witnesses.
    const analyser = new AnalyserNode(audio, { fftSize: 2_048, smoothingTimeConstant: 0 });
    const bins = new Float32Array(analyser.frequencyBinCount);
    let track;
    let source;
    setInterval(() => {
      const stream = video()?.srcObject;
      const [present] = stream?.getAudioTracks() ?? [];
      if (present && present !== track) {
        source?.disconnect();
        track = present;
        source = new MediaStreamAudioSourceNode(audio, { mediaStream: new MediaStream([track]) });
        source.connect(analyser);
      }
      analyser.getFloatFrequencyData(bins);
      heard.push([performance.now(), toneIn(bins, audio.sampleRate / analyser.fftSize)]);
    }, LOOK_MS);
  },

  /** What came since the last time. */
  fetch() {
    const { told, problems, uncoded, signals, streams, played, heard } = hostile;
    const taken = {
      now: performance.now(),
      told,
      problems,
      passed: tap.passed.splice(0),
      changed: hostile.changed,
      uncoded,
      signals,
      streams,
      played: {},
      heard: {},
    };
    for (const [from, to] of [
      [played, taken.played],
      [heard, taken.heard],
    ]) {
      for (const [streamId, seen] of Object.entries(from)) to[streamId] = seen.splice(0);
    }
    Object.assign(hostile, { told: [], problems: [], uncoded: [], signals: [], streams: [] });
    return taken;
  },
};

let audio;

/** The tone in steps of `STEP_HZ`; null where no single one stands out, as content.py has it. */
function toneIn(bins, hertzOfBin) {
  const peak = bins.reduce((best, level, bin) => (level > bins[best] ? bin : best), 0);
  if (!(bins[peak] > -45)) return null;
  let near = 0;
  let all = 0;
  bins.forEach((level, bin) => {
    const amplitude = 10 ** (level / 20);
    all += amplitude;
    if (Math.abs(bin - peak) <= 3) near += amplitude;
  });
  return near < 0.6 * all ? null : Math.round((peak * hertzOfBin) / STEP_HZ);
}

/** Frames that count from `first`. */
function frames(first) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 160, height: 120 });
  const context = canvas.getContext('2d');
  context.scale(160 / pattern.WIDTH, 120 / pattern.HEIGHT);
  let number = first;
  const draw = () => {
    number += 1;
    for (const { colour, x, y, width, height } of pattern.rectangles(number)) {
      context.fillStyle = `rgb(${colour.join(' ')})`;
      context.fillRect(x, y, width, height);
    }
  };
  draw();
  setInterval(draw, 1_000 / FRAME_RATE);
  return canvas.captureStream(FRAME_RATE).getVideoTracks()[0];
}

/** A tone that climbs. */
async function staircase(baseHz) {
  await hear();
  const oscillator = new OscillatorNode(audio, { frequency: baseHz });
  for (let step = 0; step < 400; step += 1) {
    const at = audio.currentTime + step * STEP_SECONDS;
    oscillator.frequency.setValueAtTime(baseHz + STEP_HZ * (step % STEPS), at);
  }
  const gain = new GainNode(audio, { gain: 0.4 });
  const destination = new MediaStreamAudioDestinationNode(audio);
  oscillator.connect(gain).connect(destination);
  oscillator.start();
  return destination.stream.getAudioTracks()[0];
}

async function hear() {
  audio ??= new AudioContext();
  const patience = new Promise((resolve) => setTimeout(resolve, 5_000));
  await Promise.race([audio.resume(), patience]);
  if (audio.state !== 'running') throw new Error('WebAudio does not run: nothing can be heard');
}

addEventListener('error', ({ message }) => hostile.uncoded.push(message));
addEventListener('unhandledrejection', ({ reason }) => hostile.uncoded.push(String(reason)));

// --- the page that holds the frames ---------------------------------------------------------

const holder = {
  frames: new Map(),

  async open(id) {
    const frame = document.createElement('iframe');
    frame.allow = 'camera; microphone; autoplay';
    frame.width = 400;
    frame.height = 300;
    const loaded = new Promise((resolve) => (frame.onload = resolve));
    frame.src = 'hostile.html';
    document.body.append(frame);
    await loaded;
    holder.frames.set(id, frame);
    await frame.contentWindow.hear();
  },

  call(id, method, argument) {
    return holder.frames.get(id).contentWindow.hostile[method](argument);
  },

  fetch() {
    return [...holder.frames].map(([id, frame]) => [id, frame.contentWindow.hostile.fetch()]);
  },

  close(id) {
    const frame = holder.frames.get(id);
    holder.frames.delete(id);
    frame?.remove();
  },
};

Object.assign(globalThis, { hostile, holder, hear });

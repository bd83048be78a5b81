// What the tests tell a page to do. Results are plain data; events are kept in order.
'use strict';

const lab = {
  events: [],
  subscribers: new Map(),
  publishers: [],
  patterns: [],

  /** `at`: milliseconds since the page began. */
  note(name, detail = {}) {
    lab.events.push({ name, ...detail, at: Math.round(performance.now()) });
  },

  /** Resolves with the error's name when connecting fails, else with `null`. */
  connect({ apiKey, sessionId, url, token, secret, options = {} }) {
    const given = { serverUrl: url, ...options };
    if (secret !== null) given.encryptionSecret = secret;
    lab.session = OT.initSession(apiKey, sessionId, given);
    const { note } = lab;
    lab.session.on({
      sessionConnected: () => note('sessionConnected'),
      sessionDisconnected: ({ reason }) => note('sessionDisconnected', { reason }),
      sessionReconnecting: () => note('sessionReconnecting'),
      sessionReconnected: () => note('sessionReconnected'),
      streamCreated: ({ stream }) => {
        note('streamCreated', { streamId: stream.streamId, videoType: stream.videoType });
        if (lab.subscribesTo(stream)) lab.subscribe(stream);
      },
      streamDestroyed: ({ stream, reason }) =>
        note('streamDestroyed', { streamId: stream.streamId, reason }),
      streamPropertyChanged: ({ changedProperty, newValue }) =>
        note('streamPropertyChanged', { changedProperty, newValue }),
      signal: ({ type, data, from, encrypted }) =>
        note('signal', { type, data, from: from && from.connectionId, encrypted }),
    });
    OT.on('exception', ({ title, message }) => note('exception', { title, message }));
    return result(lab.session.connect.promise(token));
  },

  subscribesTo: () => true,

  subscribe(stream, properties = {}) {
    const subscriber = lab.session.subscribe(
      stream,
      'subscribers',
      { insertMode: 'append', width: 320, height: 240, ...properties },
      (error) =>
        error && lab.note('subscribeFailed', { error: error.name, message: error.message }),
    );
    lab.subscribers.set(stream.streamId, subscriber);
    for (const name of [
      'connected',
      'encryptionSecretMismatch',
      'encryptionSecretMatch',
      'videoEnabled',
      'videoDisabled',
      'destroyed',
    ]) {
      subscriber.on(name, ({ reason }) => lab.note(name, { streamId: stream.streamId, reason }));
    }
    return subscriber;
  },

  /** Publishes the pattern; resolves with the stream's id, or the error's name. */
  async publish({ codec, hertz, size, properties = {} } = {}) {
    const pattern = await makePattern({ hertz, ...size });
    lab.patterns.push(pattern);
    const publisher = OT.initPublisher('publishers', {
      insertMode: 'append',
      videoSource: pattern.video,
      audioSource: pattern.audio,
      ...(codec ? { preferredVideoCodecs: [codec] } : {}),
      ...properties,
    });
    for (const name of ['streamCreated', 'streamDestroyed', 'muteForced', 'destroyed']) {
      publisher.on(name, ({ reason }) => lab.note(`publisher ${name}`, { reason }));
    }
    lab.publishers.push(publisher);
    try {
      await lab.session.publish.promise(publisher);
      return { streamId: publisher.stream.streamId };
    } catch (error) {
      return { error: error.name, message: error.message };
    }
  },

  /** Publishes a checkerboard and noise: all background, and no speech. */
  async publishRoughly(properties = {}) {
    const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
    const context = canvas.getContext('2d');
    let shift = 0;
    const draw = () => {
      shift = 1 - shift;
      for (let x = 0; x < 20; x += 1) {
        for (let y = 0; y < 15; y += 1) {
          context.fillStyle = (x + y) % 2 === 0 ? '#000' : '#fff';
          context.fillRect(16 * x, 16 * y, 16, 16);
        }
      }
      // A canvas that does not change is not captured.
      context.fillStyle = shift ? '#111' : '#222';
      context.fillRect(0, 0, 16, 16);
    };
    setInterval(draw, 100);
    const audio = new AudioContext();
    const noise = audio.createBuffer(1, 2 * audio.sampleRate, audio.sampleRate);
    const samples = noise.getChannelData(0);
    for (let index = 0; index < samples.length; index += 1) samples[index] = Math.random() - 0.5;
    const source = new AudioBufferSourceNode(audio, { buffer: noise, loop: true });
    const output = audio.createMediaStreamDestination();
    source.connect(output);
    source.start();
    const publisher = OT.initPublisher('publishers', {
      insertMode: 'append',
      videoSource: canvas.captureStream().getVideoTracks()[0],
      audioSource: output.stream.getAudioTracks()[0],
      ...properties,
    });
    lab.publishers.push(publisher);
    await lab.session.publish.promise(publisher);
    return publisher.stream.streamId;
  },

  /** Brightness of what is shown of a stream: its mean, and how far pixels are from it. */
  brightness(streamId) {
    const video = lab.video(streamId);
    if (!video?.videoWidth) return null;
    const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, 320, 240);
    const { data } = context.getImageData(0, 0, 320, 240);
    const values = data.filter((_, index) => index % 4 === 1);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const spread = values.reduce((sum, value) => sum + Math.abs(value - mean), 0) / values.length;
    return { mean, spread };
  },

  video(streamId) {
    return lab.subscribers.get(streamId)?.element?.querySelector('video');
  },

  /** Pattern numbers seen at intervals; `null` where the frame is not the pattern. */
  async watch(streamId, samples = 12, intervalMs = 100) {
    const seen = [];
    for (let sample = 0; sample < samples; sample += 1) {
      seen.push(readPattern(lab.video(streamId)));
      await new Promise((resolve) => setTimeout(resolve, intervalMs));
    }
    return seen;
  },

  async listen(streamId) {
    const stream = lab.video(streamId)?.srcObject;
    return stream ? measureTone(stream) : null;
  },

  async listenApart(streamId) {
    const stream = lab.video(streamId)?.srcObject;
    return stream ? measureChannels(stream) : [];
  },

  /**
   * Waits until each of the streams was seen (a frame that is not black) and heard (decoded audio
   * that is not silence); resolves with what is known of those that were not.
   */
  async meets(streamIds, timeoutMs) {
    const deadline = performance.now() + timeoutMs;
    const met = new Map(streamIds.map((id) => [id, { isSeen: false, isHeard: false }]));
    const missing = () => [...met].filter(([, { isSeen, isHeard }]) => !isSeen || !isHeard);
    while (missing().length > 0 && performance.now() < deadline) {
      for (const [id, one] of missing()) {
        one.isSeen ||= showsFrame(lab.video(id));
        one.isHeard ||= (await lab.received(id)).audio?.totalAudioEnergy > 0;
      }
      if (missing().length > 0) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return Promise.all(
      missing().map(async ([streamId, one]) => {
        const { readyState, videoWidth, currentTime, paused } = lab.video(streamId) ?? {};
        const element = { readyState, videoWidth, currentTime, paused };
        return { streamId, ...one, element, received: await lab.received(streamId) };
      }),
    );
  },

  /** The browser's statistics of what comes in of a stream, by kind. */
  async received(streamId) {
    const found = {};
    for (const { receiver } of lab.subscribers.get(streamId)?.media.tracks ?? []) {
      for (const row of (await receiver.getStats()).values()) {
        if (row.type === 'inbound-rtp') found[row.kind] = row;
      }
    }
    return found;
  },

  /** What is known of this client: what it was told, what it sends, and its media connections. */
  async describe() {
    const { session, events } = lab;
    const publishers = lab.publishers.map(({ stream }) => stream?.streamId);
    const peers = await Promise.all(peerHistories.map(describePeer));
    return { connection: session?.connection?.connectionId, publishers, peers, lateMs, events };
  },

  async stats(streamId) {
    return lab.subscribers.get(streamId).getStats();
  },

  count(name) {
    return lab.events.filter((event) => event.name === name).length;
  },
};

function result(promise) {
  return promise.then(
    () => null,
    (error) => ({ name: error.name, code: error.code, message: error.message }),
  );
}

globalThis.lab = lab;
globalThis.labResult = result;

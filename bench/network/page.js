// What the bench does in a page: joins a room with the SDK of the server that the page is from,
// and reads the figures of its peer connections.
'use strict';

globalThis.bench = (() => {
  const connections = [];
  const events = [];
  let session;
  const subscribers = new Map();

  const note = (name, detail = {}) => events.push({ name, at: performance.now(), ...detail });

  // The SDK keeps its peer connections to itself; the figures of all of them are wanted.
  const Original = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Original {
    constructor(...given) {
      super(...given);
      connections.push(this);
      note('peerMade');
      for (const state of ['signalingState', 'iceConnectionState', 'connectionState']) {
        this.addEventListener(`${state.toLowerCase()}change`, () =>
          note(state, { state: this[state] }),
        );
      }
    }
  };

  async function ready() {
    while (document.readyState !== 'complete') {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    document.body.replaceChildren();
    if (globalThis.OT) return;
    await new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = '/sdk/sealroute.js';
      script.onload = resolve;
      script.onerror = () => reject(new Error('the server has no SDK'));
      document.head.append(script);
    });
  }

  async function join({ apiKey, sessionId, token, secret }) {
    const started = performance.now();
    session = OT.initSession(apiKey, sessionId, {
      serverUrl: location.origin,
      ...(secret ? { encryptionSecret: secret } : {}),
    });
    session.on({
      streamCreated: ({ stream }) => subscribe(stream),
      streamDestroyed: ({ stream }) => note('streamDestroyed', { streamId: stream.streamId }),
      sessionDisconnected: ({ reason }) => note('sessionDisconnected', { reason }),
      sessionReconnecting: () => note('sessionReconnecting'),
      sessionReconnected: () => note('sessionReconnected'),
    });
    await session.connect.promise(token);
    return performance.now() - started;
  }

  function subscribe(stream) {
    const box = document.body.appendChild(document.createElement('div'));
    const subscriber = session.subscribe(
      stream,
      box,
      { insertMode: 'append', width: 640, height: 360 },
      (error) => note(error ? 'subscribeFailed' : 'subscribed', { error: error?.message }),
    );
    subscribers.set(stream.streamId, subscriber);
    for (const name of ['videoDisabled', 'videoEnabled', 'videoDisableWarning']) {
      subscriber.on(name, ({ reason } = {}) => note(name, { reason }));
    }
    subscriber.on('connected', () => note('connected'));
    subscriber.on('destroyed', () => subscribers.delete(stream.streamId));
  }

  async function publish(properties = {}) {
    const box = document.body.appendChild(document.createElement('div'));
    const publisher = OT.initPublisher(box, { insertMode: 'append', ...properties });
    await session.publish.promise(publisher);
    return publisher.stream.streamId;
  }

  async function prefer(width, height) {
    for (const subscriber of subscribers.values()) {
      await subscriber.setPreferredResolution({ width, height });
    }
  }

  /** Every row of getStats() that says something of media or of a path. */
  async function sample() {
    const rows = [];
    const wanted = new Set([
      ...['inbound-rtp', 'outbound-rtp', 'remote-inbound-rtp', 'candidate-pair'],
      ...['transport', 'remote-candidate', 'media-playout'],
    ]);
    for (const [index, connection] of connections.entries()) {
      if (connection.connectionState === 'closed') continue;
      for (const row of (await connection.getStats()).values()) {
        if (wanted.has(row.type)) rows.push({ ...row, connection: index });
      }
    }
    return { at: performance.now(), rows };
  }

  /** Resolves once a video frame has been decoded, with the time from `begun` on. */
  async function untilVideo(begun = performance.now(), limitMs = 20_000) {
    while (performance.now() - begun < limitMs) {
      const { rows } = await sample();
      const shown = rows.some((row) => row.type === 'inbound-rtp' && row.framesDecoded > 0);
      if (shown) return performance.now() - begun;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`no frame after ${limitMs} ms: ${JSON.stringify(events)}`);
  }

  /** Joins and waits for a frame: milliseconds from the call on, of each step. */
  async function firstFrame(order, limitMs) {
    const begun = performance.now();
    const joinedMs = await join(order);
    const frameMs = await untilVideo(begun, limitMs);
    const when = (name, state) => {
      const found = events.find(
        (event) => event.at >= begun && event.name === name && event.state === state,
      );
      return found ? found.at - begun : null;
    };
    return {
      ...{ joinedMs, frameMs },
      offeredMs: when('signalingState', 'have-remote-offer'),
      iceMs: when('iceConnectionState', 'connected'),
      keysMs: when('connectionState', 'connected'),
    };
  }

  /** Packets received in all, every 20 ms: the longest time in which none came. */
  function watchGaps() {
    const watch = { longestMs: 0, stopped: false };
    let last;
    let count = -1;
    const look = async () => {
      while (!watch.stopped) {
        const { rows, at } = await sample();
        const packets = rows
          .filter((row) => row.type === 'inbound-rtp')
          .reduce((sum, row) => sum + row.packetsReceived, 0);
        if (packets !== count) {
          if (last !== undefined) watch.longestMs = Math.max(watch.longestMs, at - last);
          [count, last, watch.last] = [packets, at, at];
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      if (last !== undefined) watch.longestMs = Math.max(watch.longestMs, performance.now() - last);
    };
    watch.done = look();
    bench.gaps = watch;
  }

  /** Packets have come in the last tenth of a second. */
  function flows() {
    return performance.now() - (bench.gaps.last ?? 0) < 100;
  }

  async function gap() {
    bench.gaps.stopped = true;
    await bench.gaps.done;
    return bench.gaps.longestMs;
  }

  /** Times between frames shown, and how often their size changed. */
  function watchFrames() {
    const video = document.querySelector('video');
    const seen = { changes: 0, gaps: [], last: performance.now(), size: 0 };
    const note = (now, { width, height }) => {
      seen.gaps.push(now - seen.last);
      seen.last = now;
      if (seen.size !== 0 && seen.size !== width * height) seen.changes += 1;
      seen.size = width * height;
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
    bench.seen = seen;
  }

  function framesSeen() {
    const { gaps, last, changes } = bench.seen;
    const ordered = [...gaps, performance.now() - last].sort((one, other) => one - other);
    const p95Ms = ordered[Math.floor(ordered.length * 0.95)];
    return { changes, longestMs: ordered.at(-1), p95Ms };
  }

  /** Milliseconds from now on until a frame of that width has been decoded. */
  async function untilWidth(width, limitMs) {
    const begun = performance.now();
    while (performance.now() - begun < limitMs) {
      const { rows } = await sample();
      const wide = rows.some((row) => row.type === 'inbound-rtp' && row.frameWidth >= width);
      if (wide) return performance.now() - begun;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return limitMs;
  }

  /**
   * By how much the capture time of what is heard is ahead of that of what is seen, of each
   * stream with both. Without a new frame since the last call there is nothing to compare:
   * Chromium would go on with what it found for the last one. `frames`: those counted then.
   */
  async function audioAheadNow(frames) {
    const found = [];
    for (const connection of connections) {
      if (connection.connectionState === 'closed') continue;
      const playing = new Map();
      for (const row of (await connection.getStats()).values()) {
        if (row.type === 'inbound-rtp' && row.estimatedPlayoutTimestamp) {
          playing.set(row.trackIdentifier, row);
        }
      }
      for (const { srcObject } of document.querySelectorAll('video')) {
        const heard = playing.get(srcObject?.getAudioTracks()[0]?.id);
        const seen = playing.get(srcObject?.getVideoTracks()[0]?.id);
        if (!heard || !seen || frames.get(seen.id) === seen.framesDecoded) continue;
        frames.set(seen.id, seen.framesDecoded);
        found.push(heard.estimatedPlayoutTimestamp - seen.estimatedPlayoutTimestamp);
      }
    }
    return found;
  }

  /** From now on: by how many milliseconds each stream's audio is ahead of its video. */
  function watchSync() {
    const watch = { ahead: [], stopped: false };
    const frames = new Map();
    const look = async () => {
      while (!watch.stopped) {
        watch.ahead.push(...(await audioAheadNow(frames)));
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    };
    watch.done = look();
    bench.sync = watch;
  }

  async function audioAhead() {
    bench.sync.stopped = true;
    await bench.sync.done;
    return bench.sync.ahead;
  }

  function leave() {
    session.disconnect();
    connections.splice(0);
    subscribers.clear();
  }

  return {
    ...{
      ready,
      join,
      publish,
      prefer,
      sample,
      untilVideo,
      firstFrame,
      watchGaps,
      flows,
      gap,
      watchFrames,
      framesSeen,
      untilWidth,
      watchSync,
      audioAhead,
      leave,
    },
    events: () => events,
    peers: () => connections,
    sdp: () => connections.map((one) => [one.remoteDescription?.sdp, one.localDescription?.sdp]),
  };
})();

// What an application does with its Session, in any order, and what must be true afterwards.
'use strict';

const SIZE = { width: 160, height: 120, frameRate: 10 };
const MOST_PUBLISHERS = 2;
const MOST_SUBSCRIBERS = 8;

/** Every call of the SDK, and how often it was answered: once is right. */
const calls = [];
/** { publisher, streamId, audio, video }: what is sent, as the application wants it. */
const sending = [];
/** { subscriber, streamId, audio, video }: not those that were given up here. */
const watching = [];
/** Of others, by id. */
const streams = new Map();
const publishersUnderWay = new Set();

const choose = (things, draw) => things[Math.floor(draw * things.length)];
const take = (things, draw) => things.splice(Math.floor(draw * things.length), 1)[0];

/** A call that answers by callback, or by promise: each draw takes one of both ways. */
function call(name, draw, { byCallback, byPromise }) {
  const one = { name, answers: 0, error: undefined };
  calls.push(one);
  const answered = (error) => {
    one.answers += 1;
    one.error = error?.name;
  };
  if (draw < 0.5) return byCallback(answered);
  byPromise().then(() => answered(), answered);
  return undefined;
}

const promised = (name, promise) => call(name, 1, { byPromise: () => promise });

const acts = {
  async publish({ how }) {
    if (sending.length + publishersUnderWay.size >= MOST_PUBLISHERS) return;
    const mark = Symbol('publish');
    publishersUnderWay.add(mark);
    const source = await makePattern(SIZE);
    lab.patterns.push(source);
    publishersUnderWay.delete(mark);
    const publisher = OT.initPublisher('publishers', {
      insertMode: 'append',
      videoSource: source.video,
      audioSource: source.audio,
    });
    sending.push({ publisher, audio: true, video: true });
    const { session } = lab;
    call('publish', how, {
      byCallback: (answered) => session.publish(publisher, answered),
      byPromise: () => session.publish.promise(publisher),
    });
  },

  unpublish({ which, how }) {
    const one = take(sending, which);
    if (one && how < 0.5) lab.session.unpublish(one.publisher);
    else one?.publisher.destroy();
  },

  subscribe({ which, how }) {
    const stream = choose([...streams.values()], which);
    if (!stream || watching.length >= MOST_SUBSCRIBERS) return undefined;
    let one;
    call('subscribe', 0, {
      byCallback: (answered) => {
        const properties = { insertMode: 'append', width: 160, height: 120 };
        const subscriber = lab.session.subscribe(stream, 'subscribers', properties, answered);
        one = { subscriber, stream, audio: true, video: how < 0.8, ended: 0 };
        subscriber.on('destroyed', () => (one.ended += 1));
        if (how >= 0.8) subscriber.subscribeToVideo(false);
        watching.push(one);
      },
    });
    return one;
  },

  unsubscribe({ which }) {
    const one = take(watching, which);
    if (one) lab.session.unsubscribe(one.subscriber);
  },

  /** Subscribes, unsubscribes and subscribes again at once. */
  flicker(draws) {
    const one = acts.subscribe(draws);
    if (!one) return;
    watching.splice(watching.indexOf(one), 1);
    lab.session.unsubscribe(one.subscriber);
    acts.subscribe(draws);
  },

  mute({ which, how, isOn }) {
    const one = choose(sending, which);
    if (!one) return;
    const [kind, method] = how < 0.5 ? ['audio', 'publishAudio'] : ['video', 'publishVideo'];
    one[kind] = isOn;
    promised(method, one.publisher[method].promise(isOn));
  },

  want({ which, how, isOn }) {
    const one = choose(watching, which);
    if (!one) return;
    const [kind, method] =
      how < 0.5 ? ['audio', 'subscribeToAudio'] : ['video', 'subscribeToVideo'];
    one[kind] = isOn;
    promised(method, one.subscriber[method].promise(isOn));
  },

  secret({ secret, immediate }) {
    promised('setEncryptionSecret', lab.session.setEncryptionSecret(secret, { immediate }));
  },
};

/** What a call may fail with when its stream or its subscription ended meanwhile. */
const MAY_FAIL_WITH = {
  publish: ['OT_STREAM_CREATE_FAILED'],
  subscribe: ['OT_STREAM_DESTROYED', 'OT_STREAM_NOT_FOUND'],
  subscribeToAudio: ['OT_UNABLE_TO_SUBSCRIBE'],
  subscribeToVideo: ['OT_UNABLE_TO_SUBSCRIBE'],
};

/** What was never answered, what was answered twice, and what failed without a reason. */
const wronglyAnswered = () =>
  calls.filter(
    ({ name, answers, error }) =>
      answers !== 1 || (error !== undefined && !MAY_FAIL_WITH[name]?.includes(error)),
  );

/** Ended by the SDK, because their stream is over or the call failed: told once. */
function dropEnded() {
  for (const one of watching.filter(({ ended }) => ended > 0)) {
    watching.splice(watching.indexOf(one), 1);
  }
}

/** What this page sends now, by stream: the kinds that are not muted. */
const published = () =>
  sending
    .filter(({ publisher }) => publisher.stream)
    .map(({ publisher, audio, video }) => ({
      streamId: publisher.stream.streamId,
      audio,
      video,
    }));

/** What was decoded for each subscription so far: frames, and the energy of audio. */
async function decoded({ subscriber }) {
  const found = { audio: 0, video: 0 };
  for (const { kind, receiver } of subscriber.media.tracks) {
    for (const row of (await receiver.getStats()).values()) {
      if (row.type !== 'inbound-rtp') continue;
      found[kind] = (kind === 'audio' ? row.totalAudioEnergy : row.framesDecoded) ?? 0;
    }
  }
  return found;
}

const isPaused = ({ subscriber }, kind) => kind === 'video' && subscriber.streamState === 'paused';
const showsPattern = ({ subscriber }) =>
  readPattern(subscriber.element?.querySelector('video')) !== null;

/** Waits until all that is sent and wanted shows something new; resolves with what does not. */
async function plays(sent, timeoutMs) {
  const deadline = performance.now() + timeoutMs;
  dropEnded();
  let waiting = [];
  for (const one of watching) {
    const from = sent.find(({ streamId }) => streamId === one.stream.streamId);
    const kinds = ['audio', 'video'].filter((kind) => from?.[kind] && one[kind]);
    const before = await decoded(one);
    if (!from) waiting.push({ one, kind: 'none' });
    for (const kind of kinds) waiting.push({ one, kind, before: before[kind] });
  }
  const isDone = async ({ one, kind, before }) => {
    if (kind === 'none') return one.ended === 1;
    if (one.ended > 0) return false;
    const now = (await decoded(one))[kind];
    return isPaused(one, kind) || (now > before && (kind === 'audio' || showsPattern(one)));
  };
  while (waiting.length > 0 && performance.now() < deadline) {
    const done = await Promise.all(waiting.map(isDone));
    waiting = waiting.filter((_, index) => !done[index]);
    if (waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return Promise.all(waiting.map(described));
}

async function described({ one, kind, before }) {
  const { stream, subscriber, audio, video, ended } = one;
  const { readyState, videoWidth, paused } = subscriber.element?.querySelector('video') ?? {};
  return {
    ...{ streamId: stream.streamId, kind, before, now: await decoded(one) },
    ...{ wants: { audio, video }, ended, streamState: subscriber.streamState },
    ...{ state: subscriber.encryptionState, readyState, videoWidth, paused },
  };
}

/** What may be there when nothing is under way: as many of each as the application knows. */
function leftOver() {
  dropEnded();
  const elements = (id) => document.querySelectorAll(`#${id} > *`).length;
  return {
    peers: openPeers().length,
    watching: watching.map(({ stream }) => stream.streamId),
    subscribers: elements('subscribers'),
    publishers: elements('publishers'),
    sending: sending.length,
    streams: [...streams.keys()].sort(),
    connectionId: lab.session.connection.connectionId,
  };
}

/** Joins with nothing published and nothing subscribed to. */
async function enter(given) {
  lab.subscribesTo = () => false;
  const joined = lab.connect(given);
  lab.session.on({
    streamCreated: ({ stream }) => streams.set(stream.streamId, stream),
    streamDestroyed: ({ stream }) => streams.delete(stream.streamId),
  });
  return joined;
}

globalThis.actor = { acts, calls, enter, leftOver, plays, published, sending, wronglyAnswered };

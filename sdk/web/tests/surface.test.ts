import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isValidSecret } from '../src/e2ee/secret';
import { generateEncryptionSecret } from '../src/e2ee/generate-secret';
import { OTError, otError, withCallback } from '../src/errors';
import { Emitter } from '../src/events';
import { captureError, constraintsFor, parseResolution } from '../src/media/capture';
import { codecPreferences } from '../src/rtc/codecs';
import { videoEncodings } from '../src/rtc/encodings';
import { JobQueue } from '../src/rtc/queue';
import { dropStrayCodecLines, withAudioNack } from '../src/rtc/sdp';
import { amountsReceived, amountsSent } from '../src/rtc/stats';
import { publisherStats, subscriberStats } from '../src/rtc/track-stats';
import { filterUrl, setFilterUrl, setServerUrl, signalingUrl } from '../src/server-url';
import { signalFault } from '../src/signal-rules';
import { VERSION } from '../src/version';
import { Directory } from '../src/directory';
import { Publisher } from '../src/publisher';
import { Session } from '../src/session';
import { Subscriber } from '../src/subscriber';
import { readJson } from './support';

class Bell extends Emitter<{ ring: { count: number }; hush: object }> {
  ring(count: number, cancelable = false): boolean {
    return this.dispatch('ring', { count }, { cancelable }).isDefaultPrevented();
  }

  hush(): void {
    this.dispatch('hush', {});
  }
}

describe('events', () => {
  test('reach handlers of every form, in order, with their context', () => {
    const bell = new Bell();
    const heard: unknown[] = [];
    const context = { name: 'ctx' };
    bell
      .on('ring', ({ count }) => heard.push(['name', count]))
      .on({ ring: ({ count }) => heard.push(['map', count]), hush: () => heard.push('hush') })
      .on(
        'ring',
        function (this: unknown) {
          heard.push(this);
        },
        context,
      );
    bell.ring(1);
    bell.hush();
    assert.deepEqual(heard, [['name', 1], ['map', 1], context, 'hush']);
  });

  test('reach `once` handlers once', () => {
    const bell = new Bell();
    const heard: number[] = [];
    bell.once('ring', ({ count }) => heard.push(count));
    bell.once({ ring: ({ count }) => heard.push(-count) });
    bell.ring(1);
    bell.ring(2);
    assert.deepEqual(heard, [1, -1]);
  });

  test('stop for a handler, a name, a map, or everything', () => {
    const heard: string[] = [];
    const [a, b] = [(): number => heard.push('a'), (): number => heard.push('b')];
    const bell = new Bell().on('ring', a).on('ring', b).on('hush', a);
    bell.off('ring', a);
    bell.ring(1);
    bell.off({ ring: b });
    bell.ring(2);
    bell.on('ring', a).off('ring');
    bell.ring(3);
    bell.off();
    bell.hush();
    assert.deepEqual(heard, ['b']);
  });

  test('carry type, target and a default that can be prevented if it may', () => {
    const bell = new Bell();
    bell.on('ring', (event) => {
      assert.equal(event.type, 'ring');
      assert.equal(event.target, bell);
      event.preventDefault();
    });
    assert.equal(bell.ring(1), false);
    assert.equal(bell.ring(1, true), true);
  });

  test('refuse handlers that are no functions', () => {
    assert.throws(() => new Bell().on('ring', undefined as never), TypeError);
  });
});

describe('secrets', () => {
  test('have 8 to 256 code points and are strings', () => {
    for (const secret of ['12345678', 'x'.repeat(256), '🔑'.repeat(8), '🔑'.repeat(256)]) {
      assert.ok(isValidSecret(secret));
    }
    const bad = ['', '1234567', '🔑'.repeat(7), 'x'.repeat(257), '🔑'.repeat(257)];
    for (const secret of [...bad, undefined, null, 12345678, ['12345678'], {}]) {
      assert.equal(isValidSecret(secret), false);
    }
  });

  test('can be made', () => {
    const secrets = new Set(Array.from({ length: 50 }, generateEncryptionSecret));
    assert.equal(secrets.size, 50);
    for (const secret of secrets) assert.match(secret, /^[A-Za-z0-9_-]{43}$/);
  });
});

describe('signals', () => {
  test('have the limits of OpenTok', () => {
    assert.equal(signalFault(undefined, undefined), undefined);
    assert.equal(signalFault('chat-1_~', 'x'.repeat(8_192)), undefined);
    assert.equal(signalFault('t'.repeat(129), '')?.code, 1413);
    assert.equal(signalFault('t', 'ü'.repeat(4_097))?.code, 1413);
    assert.equal(signalFault('a b', '')?.code, 1461);
    assert.equal(signalFault(7, '')?.code, 1461);
    assert.equal(signalFault('t', { a: 1 })?.name, 'OT_INVALID_PARAMETER');
  });
});

describe('codecs', () => {
  const video = [
    { mimeType: 'video/VP8' },
    { mimeType: 'video/rtx', sdpFmtpLine: 'apt=96' },
    { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=0' },
    { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=1' },
    { mimeType: 'video/red' },
    { mimeType: 'video/ulpfec' },
    { mimeType: 'video/AV1' },
  ];

  test('that cannot be encrypted are not negotiated', () => {
    const names = codecPreferences('video', video).map(({ mimeType }) => mimeType);
    assert.deepEqual(names, ['video/VP8', 'video/H264', 'video/AV1', 'video/rtx']);
    const audio = ['opus', 'red', 'PCMU', 'G722', 'CN', 'telephone-event'].map((name) => ({
      mimeType: `audio/${name}`,
    }));
    assert.deepEqual(codecPreferences('audio', audio), [{ mimeType: 'audio/opus' }]);
  });

  test('come in the order that the application prefers', () => {
    const [first] = codecPreferences('video', video, ['av1', 'h264']);
    assert.equal(first?.mimeType, 'video/AV1');
  });
});

test('codec lines without a payload type in their m-line are dropped from SDP', () => {
  const sdp = [
    'm=audio 9 UDP/TLS/RTP/SAVPF 109',
    'a=rtpmap:109 opus/48000/2',
    'm=video 9 UDP/TLS/RTP/SAVPF 120 124',
    'a=rtcp-fb:120 nack',
    'a=rtcp-fb:126 nack',
    'a=rtcp-fb:* transport-cc',
    'a=fmtp:97 x=1',
    '',
  ];
  const kept = sdp.filter((_, index) => index !== 4 && index !== 6);
  assert.deepEqual(dropStrayCodecLines(sdp.join('\r\n')).split('\r\n'), kept);
});

test('encodings follow the size of the frame, and layers only where they help', () => {
  const options = {
    size: { width: 1280, height: 720 },
    isScreen: false,
    maxBitrateBps: undefined,
    maxFrameRate: undefined,
    scaling: 'simulcast' as const,
  };
  const layers = videoEncodings(options);
  assert.deepEqual(
    layers.map(({ rid, scaleResolutionDownBy }) => [rid, scaleResolutionDownBy]),
    [
      ['q', 4],
      ['h', 2],
      ['f', 1],
    ],
  );
  assert.equal(layers[2]?.maxBitrate, 1_700_000);
  const small = videoEncodings({ ...options, size: { width: 320, height: 240 } });
  assert.equal(small.length, 1);
  assert.equal(small[0]?.rid, undefined);
  assert.equal(videoEncodings({ ...options, isScreen: true }).length, 1);
  assert.equal(videoEncodings({ ...options, scaling: 'none' }).length, 1);
});

test('a video with several sizes inside one encoding says how many', () => {
  const mode = (width: number, height: number): string | undefined => {
    const encodings = videoEncodings({
      size: { width, height },
      isScreen: false,
      maxBitrateBps: undefined,
      maxFrameRate: undefined,
      scaling: 'svc',
    });
    assert.equal(encodings.length, 1);
    assert.equal(encodings[0]?.rid, undefined);
    return encodings[0]?.scalabilityMode;
  };
  assert.equal(mode(1280, 720), 'L3T3_KEY');
  assert.equal(mode(640, 480), 'L2T3_KEY');
  assert.equal(mode(320, 240), 'L1T3');
});

test('jobs run one after the other, also after one that failed', async () => {
  const queue = new JobQueue();
  const order: number[] = [];
  const failing = queue.run(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    order.push(1);
    throw new Error('no');
  });
  const next = queue.run(() => Promise.resolve(order.push(2)));
  await assert.rejects(failing);
  await next;
  assert.deepEqual(order, [1, 2]);
});

test('constraints follow the properties', () => {
  const { audio, video } = constraintsFor({ resolution: '1280x720', frameRate: 15 });
  assert.deepEqual(video, {
    width: { ideal: 1280 },
    height: { ideal: 720 },
    frameRate: { ideal: 15 },
  });
  assert.deepEqual(audio, {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
  });
  assert.deepEqual(constraintsFor({ audioSource: null, videoSource: 'screen' }), {
    audio: false,
    video: false,
  });
  assert.throws(() => parseResolution('big'), { name: 'OT_INVALID_PARAMETER' });
});

test('reasons of the browser get the names of OpenTok.js', () => {
  const named = (name: string): string =>
    captureError(Object.assign(new Error('x'), { name })).name;
  assert.equal(named('NotAllowedError'), 'OT_USER_MEDIA_ACCESS_DENIED');
  assert.equal(named('NotFoundError'), 'OT_NO_DEVICES_FOUND');
  assert.equal(named('NotReadableError'), 'OT_HARDWARE_UNAVAILABLE');
  assert.equal(named('OverconstrainedError'), 'OT_NO_VALID_CONSTRAINTS');
  assert.equal(named('Strange'), 'OT_UNABLE_TO_CAPTURE_MEDIA');
});

test('a callback gets the error or the result', async () => {
  const calls: unknown[] = [];
  withCallback(Promise.resolve(7), (error, result) => calls.push([error, result]));
  withCallback(Promise.reject(otError('OT_TIMEOUT', 'late')), (error) => calls.push(error?.name));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(calls, [[undefined, 7], 'OT_TIMEOUT']);
  assert.ok(otError('OT_INVALID_ENCRYPTION_SECRET', '') instanceof OTError);
  assert.equal(otError('OT_INVALID_ENCRYPTION_SECRET', '').code, 6004);
});

test('the server is where the session, the application or the page says', () => {
  assert.equal(signalingUrl('https://a.example'), 'wss://a.example/v1/signal');
  assert.equal(signalingUrl('http://a.example:8080/sub'), 'ws://a.example:8080/sub/v1/signal');
  setServerUrl('https://b.example/');
  assert.equal(signalingUrl(), 'wss://b.example/v1/signal');
  for (const url of ['ftp://a', 'nonsense', 'javascript:alert(1)']) {
    assert.throws(() => signalingUrl(url), { name: 'OT_INVALID_PARAMETER' });
  }
});

test('filters, which run in the page, never come from the server because it is that', (context) => {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'location');
  const page = { href: 'https://app.example/room?a', origin: 'https://app.example' };
  Object.defineProperty(globalThis, 'location', { value: page, configurable: true });
  context.after(() => {
    if (before) Object.defineProperty(globalThis, 'location', before);
    else Reflect.deleteProperty(globalThis, 'location');
  });
  setServerUrl('https://media.example/');
  assert.equal(filterUrl(), 'https://app.example/sdk/filters/');
  assert.throws(() => setFilterUrl('data:text/javascript,1'), { name: 'OT_INVALID_PARAMETER' });
  setFilterUrl('https://cdn.example/filters');
  assert.equal(filterUrl(), 'https://cdn.example/filters/');
});

test('statistics have the shapes of OpenTok.js', () => {
  const rows = [
    {
      id: 'a',
      type: 'inbound-rtp',
      kind: 'audio',
      timestamp: 5,
      bytesReceived: 10,
      packetsReceived: 2,
    },
    {
      id: 'v',
      type: 'inbound-rtp',
      kind: 'video',
      timestamp: 5,
      framesPerSecond: 30,
      codecId: 'c',
    },
    { id: 'c', type: 'codec', timestamp: 5, mimeType: 'video/VP8' },
    { id: 'o', type: 'outbound-rtp', kind: 'video', timestamp: 5, framesSent: 9, frameWidth: 640 },
    { id: 'p', type: 'outbound-rtp', kind: 'video', timestamp: 5, framesSent: 4, frameWidth: 320 },
    {
      id: 'q',
      type: 'outbound-rtp',
      kind: 'audio',
      timestamp: 5,
      bytesSent: 800,
      retransmittedBytesSent: 100,
    },
  ];
  const received = subscriberStats(rows, 0);
  assert.deepEqual(received.audio, { bytesReceived: 10, packetsReceived: 2, packetsLost: 0 });
  assert.equal(received.video.frameRate, 30);
  assert.equal(received.video.codec, 'VP8');
  const sent = publisherStats(rows, 0);
  assert.equal(sent.video.framesSent, 13);
  assert.equal(sent.video.width, 640);
  assert.deepEqual([...amountsSent(rows, 'audio').values()], [700]);
  assert.deepEqual([...amountsSent(rows, 'video').values()], [9, 4]);
  assert.deepEqual([...amountsReceived(rows, 'audio').values()], [10]);
});

test('the directory knows who was missed', () => {
  const directory = new Directory();
  const info = { connectionId: 'ada', creationTime: 1 };
  const stream = { streamId: 's', connectionId: 'ada', creationTime: 1, name: 'Ada Lovelace' };
  assert.equal(directory.addStream(stream), undefined);
  assert.equal(directory.addConnection(info)?.id, 'ada');
  assert.equal(directory.addConnection(info), undefined);
  assert.equal(directory.addStream(stream)?.initials, 'AL');
  const missing = directory.missingFrom([], []);
  assert.deepEqual([missing.connections.length, missing.streams.length], [1, 1]);
  assert.deepEqual(directory.missingFrom([info], [stream]), { connections: [], streams: [] });
  assert.deepEqual(directory.stream('s')?.apply({ hasVideo: true, hasAudio: false }), [
    { changedProperty: 'hasVideo', oldValue: false, newValue: true },
  ]);
});

test('the names of methods are on the prototypes, before anybody has an object', () => {
  const names = {
    Publisher: ['publishAudio', 'publishVideo', 'destroy', 'applyVideoFilter', 'publishCaptions'],
    Subscriber: ['subscribeToVideo', 'setAudioVolume', 'restrictFrameRate', 'subscribeToCaptions'],
    Session: ['connect', 'disconnect', 'publish', 'subscribe', 'unsubscribe'],
  };
  const prototypes: Record<string, object> = {
    Publisher: Publisher.prototype,
    Subscriber: Subscriber.prototype,
    Session: Session.prototype,
  };
  for (const [owner, methods] of Object.entries(names)) {
    for (const name of methods) {
      const method = (prototypes[owner] as Record<string, unknown>)[name];
      assert.equal(typeof method, 'function', `${owner}.prototype.${name}`);
    }
  }
});

test("the version is the package's", () => {
  assert.equal(readJson<{ version: string }>('package.json')?.version, VERSION);
});

test('an answer takes up the retransmission of audio where it is offered, and nothing else', () => {
  const audio = ['m=audio 9 UDP/TLS/RTP/SAVPF 96', 'a=rtpmap:96 opus/48000/2', 'a=mid:0'];
  const video = ['m=video 9 UDP/TLS/RTP/SAVPF 97', 'a=rtpmap:97 VP8/90000', 'a=mid:1'];
  const text = (...lines: string[]): string => ['v=0', ...lines, ''].join('\r\n');
  const nack = (payloadType: number): string => `a=rtcp-fb:${String(payloadType)} nack`;
  const answer = text(...audio, ...video);
  const offer = text(...audio, nack(96), ...video, nack(97));
  const [media, rtpmap, mid] = audio as [string, string, string];
  const taken = text(media, rtpmap, nack(96), mid, ...video);
  assert.equal(withAudioNack(answer, offer), taken);
  assert.equal(withAudioNack(taken, offer), taken);
  assert.equal(withAudioNack(answer, answer), answer);
});

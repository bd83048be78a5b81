import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AudioFallback } from '../src/quality/audio-fallback';
import {
  ReceivedVideoChange,
  ScoreChange,
  scoresOf,
  SentVideoChange,
} from '../src/quality/changes';
import { CpuWatch } from '../src/quality/cpu';
import { INTERVAL_MS, Monitor } from '../src/quality/monitor';
import { PublisherQuality } from '../src/publisher-quality';
import { degradationSource, transportStats, withStreamState } from '../src/quality/network';
import { Rates } from '../src/quality/rates';
import { audioScore, videoScore } from '../src/quality/score';
import type { Row } from '../src/rtc/stats';
import { publisherStats, subscriberStats } from '../src/rtc/track-stats';
import { decodeSenderStats, encodeSenderStats } from '../src/sender-stats';
import { FakeClock } from './support';

describe('the condition of a way', () => {
  const grade = (estimateBps: number, wantedBps: number, loss?: number): string => {
    const stats = transportStats({ estimateBps, wantedBps, loss });
    return `${stats.networkCondition} ${stats.networkConditionReason}`;
  };

  test('is unknown while nothing was measured', () => {
    assert.equal(grade(0, 1_000_000), 'unknown unknown');
    assert.equal(grade(500_000, 0), 'unknown unknown');
  });

  test('is the worse of its bandwidth and its loss', () => {
    assert.equal(grade(2_000_000, 1_000_000, 0), 'excellent none');
    assert.equal(grade(800_000, 1_000_000, 0), 'good bandwidth');
    assert.equal(grade(90_000, 1_000_000, 0), 'critical bandwidth');
    assert.equal(grade(2_000_000, 1_000_000, 0.06), 'fair packetLoss');
    assert.equal(grade(500_000, 1_000_000, 0.3), 'critical packetLoss');
    assert.equal(grade(0, 0, 0.1), 'warning packetLoss');
  });

  test('is no better than what the server can send', () => {
    const measured = transportStats({ estimateBps: 0, wantedBps: 0, loss: 0 });
    assert.equal(withStreamState(measured, 'ok').networkCondition, 'excellent');
    assert.equal(withStreamState(measured, 'limited').networkCondition, 'warning');
    const unknown = transportStats({ estimateBps: 0, wantedBps: 0, loss: undefined });
    assert.equal(withStreamState(unknown, 'ok').networkCondition, 'unknown');
    assert.equal(withStreamState(unknown, 'paused').networkCondition, 'critical');
    assert.equal(withStreamState(measured, 'paused').networkConditionReason, 'bandwidth');
  });

  test('has the side to blame, as far as the other side is known', () => {
    const [good, bad] = [0, 0.3].map((loss) =>
      transportStats({ estimateBps: 0, wantedBps: 0, loss }),
    ) as [ReturnType<typeof transportStats>, ReturnType<typeof transportStats>];
    const unknown = transportStats({ estimateBps: 0, wantedBps: 0, loss: undefined });
    assert.equal(degradationSource(good, unknown), 'none');
    assert.equal(degradationSource(bad, good), 'local');
    assert.equal(degradationSource(good, bad), 'remote');
    assert.equal(degradationSource(bad, unknown), 'bothOrUnclear');
  });
});

describe('scores', () => {
  test('of audio fall with what was made up, and with delay', () => {
    assert.equal(audioScore({ concealed: 0, delayMs: 50 }), 4.4);
    assert.ok(audioScore({ concealed: 0.05, delayMs: 50 }) < 4);
    assert.ok(audioScore({ concealed: 0, delayMs: 600 }) < 3.5);
    assert.equal(audioScore({ concealed: 1, delayMs: 2_000 }), 1);
  });

  test('of video fall with frames, bits and freezes; a screen needs no motion', () => {
    const seen = { width: 1280, height: 720, frameRate: 30, bitrateBps: 2_000_000, frozen: 0 };
    const score = (change: Partial<typeof seen>, isScreen = false): number =>
      videoScore({ ...seen, ...change, isScreen });
    assert.equal(score({}), 5);
    assert.ok(score({ frameRate: 5 }) < 3);
    assert.ok(score({ bitrateBps: 100_000 }) < 4);
    assert.ok(score({ frozen: 0.5 }) <= 2);
    assert.equal(score({ frameRate: 0, bitrateBps: 0 }, true), 5);
  });

  test('are an event when they moved by a step, came or went', () => {
    const change = new ScoreChange();
    assert.equal(change.take({}), false);
    assert.equal(change.take({ audioQualityScore: 4 }), true);
    assert.equal(change.take({ audioQualityScore: 4.2 }), false);
    assert.equal(change.take({ audioQualityScore: 4.3 }), true);
    assert.equal(change.take({}), true);
  });

  test('are of the time since the reading before', () => {
    const rates = new Rates();
    const reading = (seconds: number, concealed: number): Row[] => [
      {
        ...{ id: 'a', type: 'inbound-rtp', kind: 'audio', timestamp: 1_000 * seconds },
        ...{ packetsReceived: 50 * seconds, totalSamplesReceived: 48_000 * seconds },
        concealedSamples: concealed,
      },
    ];
    const score = (rows: Row[]): number | undefined => {
      rates.take(rows);
      return scoresOf(rows, rates, subscriberStats(rows, 0, { rates }), false).audioQualityScore;
    };
    assert.equal(score(reading(10, 200_000)), undefined);
    assert.equal(score(reading(12, 200_000)), 4.4);
    assert.ok((score(reading(14, 248_000)) ?? 5) < 2);
    assert.equal(score(reading(14, 248_000)), undefined);
  });
});

describe('a publisher with audio fallback', () => {
  const good = { estimateBps: 1_000_000, loss: 0 };
  const bad = { estimateBps: 60_000, loss: 0 };
  const states = (
    fallback: AudioFallback,
    reading: typeof good,
    fromS: number,
    toS: number,
  ): string[] => {
    const seen: string[] = [];
    for (let second = fromS; second <= toS; second += 2) {
      const state = fallback.take(reading, 1_000 * second);
      if (seen.at(-1) !== state) seen.push(state);
    }
    return seen;
  };

  test('is warned, gives up its video, and tries again ever less often', () => {
    const fallback = new AudioFallback();
    assert.deepEqual(states(fallback, good, 0, 4), ['video']);
    assert.deepEqual(states(fallback, bad, 6, 12), ['warning', 'audio']);
    assert.deepEqual(states(fallback, bad, 14, 20), ['audio']);
    assert.deepEqual(states(fallback, bad, 22, 30), ['video', 'warning', 'audio']);
    assert.deepEqual(states(fallback, bad, 32, 48), ['audio']);
    assert.deepEqual(states(fallback, good, 50, 90), ['video']);
  });

  test('keeps its video through a short gap, and one without an estimate too', () => {
    const fallback = new AudioFallback();
    assert.deepEqual(states(fallback, bad, 0, 4), ['warning']);
    assert.deepEqual(states(fallback, good, 6, 8), ['video']);
    assert.deepEqual(states(fallback, { estimateBps: 0, loss: 0 }, 10, 30), ['video']);
  });

  test('gives up its video for loss, and does not try again while that lasts', () => {
    const fallback = new AudioFallback();
    assert.deepEqual(states(fallback, { ...good, loss: 0.3 }, 0, 60), ['warning', 'audio']);
    assert.deepEqual(states(fallback, good, 62, 64), ['video']);
  });
});

describe('statistics', () => {
  const sent = (seconds: number, change: object = {}): Row[] => [
    {
      ...{ id: 'v', type: 'outbound-rtp', kind: 'video', timestamp: 1_000 * seconds },
      ...{ bytesSent: 100_000 * seconds, headerBytesSent: 10_000 * seconds },
      ...{ packetsSent: 100 * seconds, frameWidth: 640, frameHeight: 480, framesPerSecond: 30 },
      ...{ codecId: 'c', qualityLimitationReason: 'none', scalabilityMode: 'L1T3', ...change },
    },
    { id: 'c', type: 'codec', timestamp: 0, mimeType: 'video/VP9' },
    { id: 't', type: 'transport', timestamp: 0, selectedCandidatePairId: 'p' },
    { id: 'p', type: 'candidate-pair', timestamp: 0, availableOutgoingBitrate: 900_000 },
    { id: 'o', type: 'candidate-pair', timestamp: 0, availableOutgoingBitrate: 1, nominated: true },
  ];

  test('of what is sent have rates, layers and the way to the server', () => {
    const rates = new Rates();
    rates.take(sent(10));
    const rows = sent(12);
    rates.take(rows);
    const {
      video,
      mediaLink,
      transportStats: same,
    } = publisherStats(rows, 0, {
      rates,
      wantedBps: 1_000_000,
    });
    assert.deepEqual(video.layers, [
      {
        ...{ codec: 'VP9', width: 640, height: 480, encodedFrameRate: 30 },
        ...{ bitrate: 800_000, totalBitrate: 880_000 },
        ...{ scalabilityMode: 'L1T3', qualityLimitationReason: 'none' },
      },
    ]);
    assert.equal(same, mediaLink.transport);
    assert.deepEqual(same, {
      connectionEstimatedBandwidth: 900_000,
      networkCondition: 'excellent',
      networkConditionReason: 'none',
    });
  });

  test('blame no way for what has no subscribers, or is switched off', async () => {
    const graded = async (host: {
      subscribedBps: number;
      wantsVideo: boolean;
    }): Promise<string> => {
      const quality = new PublisherQuality(
        {},
        {
          ...{ rows: () => Promise.resolve(sent(1)), wantedBps: 20_000_000, ...host },
          ...{ hold: () => undefined, sendStats: () => undefined, dispatch: () => undefined },
        },
      );
      return (await quality.stats()).transportStats.networkCondition;
    };
    const all = await graded({ subscribedBps: 20_000_000, wantsVideo: true });
    assert.equal(all, 'critical');
    assert.notEqual(await graded({ subscribedBps: 0, wantsVideo: true }), all);
    assert.notEqual(await graded({ subscribedBps: 900_000, wantsVideo: true }), all);
    assert.notEqual(await graded({ subscribedBps: 20_000_000, wantsVideo: false }), all);
  });

  test('show what became of a sent video', () => {
    const change = new SentVideoChange();
    const take = (details: object): string | undefined =>
      change.take(publisherStats(sent(1, details), 0));
    assert.equal(take({}), undefined);
    assert.equal(take({ qualityLimitationReason: 'cpu' }), 'cpu');
    assert.equal(take({ qualityLimitationReason: 'cpu' }), undefined);
    assert.equal(take({}), 'none');
    assert.equal(take({ frameWidth: 320 }), 'resolutionChange');
  });

  test('show what became of a received video', () => {
    const change = new ReceivedVideoChange();
    const take = (details: object): string | undefined =>
      change.take(
        subscriberStats(
          [
            {
              ...{ id: 'v', type: 'inbound-rtp', kind: 'video', timestamp: 0 },
              ...{ frameWidth: 640, freezeCount: 0, ...details },
            },
          ],
          0,
        ),
      );
    assert.equal(take({}), undefined);
    assert.equal(take({ freezeCount: 1 }), 'videoInterruption');
    assert.equal(take({ freezeCount: 1, frameWidth: 320 }), 'resolutionChange');
  });

  test('of a sender go from client to client, and nothing else under their name is believed', () => {
    const sender = {
      senderStats: {
        connectionMaxAllocatedBitrate: 900_000,
        connectionEstimatedBandwidth: 500_000,
      },
      transport: transportStats({ estimateBps: 500_000, wantedBps: 900_000, loss: 0 }),
    };
    const data = encodeSenderStats({ streamId: 's', sender });
    assert.deepEqual(decodeSenderStats(data), { streamId: 's', sender });
    const stats = subscriberStats([], 0, { remote: sender });
    assert.deepEqual(stats.senderStats, sender.senderStats);
    assert.deepEqual(stats.mediaLink.remotePublisherTransport, sender.transport);
    const said = JSON.parse(data) as object;
    const lies = [{ s: 1 }, { m: -1 }, { b: '9' }, { c: 'toString' }, { r: null }];
    for (const lie of [
      '',
      'null',
      '[]',
      '7',
      ...lies.map((one) => JSON.stringify({ ...said, ...one })),
    ]) {
      assert.equal(decodeSenderStats(lie), undefined, lie);
    }
  });
});

test('a monitor looks only while somebody wants to know, and goes on after a failure', async () => {
  const clock = new FakeClock();
  let looks = 0;
  const monitor = new Monitor(() => {
    looks += 1;
    return Promise.reject(new Error('nothing there'));
  }, clock);
  await clock.advance(INTERVAL_MS);
  assert.equal(looks, 0);
  monitor.run(true);
  monitor.run(true);
  await clock.advance(3 * INTERVAL_MS);
  assert.equal(looks, 3);
  monitor.run(false);
  await clock.advance(3 * INTERVAL_MS);
  assert.equal(looks, 3);
});

test('the state of the processor is an event once for each change, while it is wanted', () => {
  const heard: string[] = [];
  let report: (records: { state: string }[]) => void = () => undefined;
  let isObserving = false;
  class PressureObserver {
    constructor(onRecords: typeof report) {
      report = onRecords;
    }
    observe(): Promise<void> {
      isObserving = true;
      return Promise.resolve();
    }
    disconnect(): void {
      isObserving = false;
    }
  }
  const watch = new CpuWatch((state) => heard.push(state));
  watch.run(true);
  assert.equal(isObserving, false);
  Object.assign(globalThis, { PressureObserver });
  watch.run(true);
  for (const state of ['nominal', 'nominal', 'critical']) report([{ state }]);
  assert.deepEqual(heard, ['nominal', 'critical']);
  watch.run(false);
  assert.equal(isObserving, false);
});

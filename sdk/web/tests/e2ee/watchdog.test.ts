import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pulse } from '../../src/e2ee/pulse';
import type { SessionEncryption } from '../../src/e2ee/session-encryption';
import { Watchdog } from '../../src/e2ee/watchdog';
import type { Downlink } from '../../src/rtc/downlink';
import type { Uplink } from '../../src/rtc/uplink';
import { StatsReader } from '../../src/rtc/stats-reader';
import { FakeClock } from '../support';

type Row = Record<string, unknown>;

function report(rows: readonly Row[]): Promise<Map<string, Row>> {
  return Promise.resolve(new Map(rows.map((row, index) => [String(index), row])));
}

/** What browser and worker count, as a test wants it. */
class Stage {
  readonly clock = new FakeClock();
  readonly faults: string[] = [];
  sent = { counted: 0, seen: 0, bytes: 0 };
  /** Of audio. */
  sentBytes = 0;
  /** Audio of one SSRC: what came from the network, and what of it came to the worker. */
  audio = { packets: 0, counted: 0, bytes: 0 };
  /** Decoded, and given out by the worker. */
  video = { counted: 0, given: 0 };
  ssrc = 1;
  stray: Row[] = [];
  stalls = 0;
  /** So many lines cannot be asked. */
  refusals = 0;
  isAttached = true;
  /** How long the worker takes to answer; `undefined`: forever. */
  answersAfterMs: number | undefined = 0;
  hasGivenUp = false;
  isSenderStopped = false;
  isDownlinkClosed = false;
  /** Calls of `getStats`, of connections and of their lines. */
  readonly asked = { connections: 0, lines: 0 };
  private readonly watchdog: Watchdog;

  /** `names`: the browser says in each row which m-line is meant. */
  constructor(
    kind: 'audio' | 'video' = 'video',
    names = true,
    private readonly connectionState = 'connected',
  ) {
    const ofLine = (row: () => Row): { getStats: () => Promise<Map<string, Row>> } => ({
      getStats: () => {
        this.asked.lines += 1;
        if (this.refusals > 0) {
          this.refusals -= 1;
          return Promise.reject(new Error('no statistics'));
        }
        return report([row()]);
      },
    });
    const ofConnection = (rows: () => readonly (Row & { mid?: string })[]): StatsReader => {
      const getStats = (): Promise<Map<string, Row>> => {
        this.asked.connections += 1;
        return report(names ? rows() : rows().map(({ mid: _mid, ...row }) => row));
      };
      return new StatsReader({ getStats: getStats }, this.clock);
    };
    const sent = (): Row => {
      const { counted } = this.sent;
      const counts = { framesSent: counted, packetsSent: counted, bytesSent: this.sentBytes };
      return { type: 'outbound-rtp', mid: '0', kind, ...counts };
    };
    const sender = {
      ...ofLine(sent),
      replaceTrack: () => {
        this.isSenderStopped = true;
        return Promise.resolve();
      },
    };
    const inbound = { type: 'inbound-rtp', trackIdentifier: 'track' };
    const heard = (): Row => {
      const { packets: packetsReceived, counted: bytesReceived } = this.audio;
      const counts = { packetsReceived, bytesReceived };
      return { ...inbound, mid: '0', kind: 'audio', ssrc: this.ssrc, ...counts };
    };
    const shown = (): Row => {
      const framesDecoded = this.video.counted;
      return { ...inbound, mid: '1', kind: 'video', ssrc: 2, framesDecoded };
    };
    const encryption = {
      counters: () => this.answer(),
      giveUpWorker: () => (this.hasGivenUp = true),
    };
    const downlink = {
      connection: { connectionState: this.connectionState },
      stats: ofConnection(() => [heard(), shown(), ...this.stray]),
      receivers: () => [
        { name: 'heard', kind: 'audio', mid: '0', receiver: ofLine(heard) },
        { name: 'shown', kind: 'video', mid: '1', receiver: ofLine(shown) },
      ],
      reset: () => {
        this.isDownlinkClosed = true;
        downlink.connection = undefined as never;
      },
    };
    const uplink = {
      stats: ofConnection(() => [sent()]),
      senders: () => [{ name: 'up', kind, mid: '0', sender }],
    };
    this.watchdog = new Watchdog(
      encryption as unknown as SessionEncryption,
      uplink as unknown as Uplink,
      downlink as unknown as Downlink,
      this.clock,
      (error) => this.faults.push((error as Error).message),
    );
    this.watchdog.start();
  }

  /** Audio of 50 packets per second for this long; the worker gets `share` of each. */
  async hear(ms: number, share: (bytes: number) => number = (bytes) => bytes): Promise<void> {
    for (let passed = 0; passed < ms; passed += 20) {
      this.audio.packets += 1;
      this.audio.counted += 100;
      this.audio.bytes += share(100);
      await this.clock.advance(20);
    }
  }

  /** As the worker counts when it answers. */
  private answer(): Promise<object> {
    const { answersAfterMs } = this;
    return new Promise((resolve) => {
      if (answersAfterMs === undefined) return;
      const count = (): void =>
        resolve({
          sent: { up: this.sent },
          received: {
            heard: { isAttached: this.isAttached, bytes: this.audio.bytes, given: 0 },
            shown: { isAttached: true, bytes: 0, given: this.video.given },
          },
          stalls: this.stalls,
        });
      if (answersAfterMs === 0) count();
      else this.clock.after(answersAfterMs, count);
    });
  }
}

describe('the watchdog of what is sent', () => {
  test('lets be what all came to the worker, or is on its way there', async () => {
    const stage = new Stage();
    for (let ms = 0; ms < 20_000; ms += 50) {
      stage.sent.seen = stage.sent.counted;
      // The worker has not counted the last frame at most of the looks.
      if (ms % 250 !== 0) stage.sent.counted += 1;
      await stage.clock.advance(50);
    }
    assert.deepEqual(stage.faults, []);
  });

  test('stops a sender of which a single frame went around the worker', async () => {
    const stage = new Stage();
    stage.sent = { counted: 1_001, seen: 1_000, bytes: 0 };
    await stage.clock.advance(1_000);
    assert.equal(stage.isSenderStopped, true);
    assert.equal(stage.isDownlinkClosed, false);
    assert.match(stage.faults.join(), /left without passing the encryption worker/);
    await stage.clock.advance(10_000);
    assert.equal(stage.faults.length, 1);
  });

  test('takes packets of padding for no audio, and a single frame of it for one', async () => {
    const stage = new Stage('audio');
    // Packets of padding are packets: only bytes say what left.
    stage.sent = { counted: 1_020, seen: 1_000, bytes: 90_000 };
    stage.sentBytes = 90_000;
    await stage.clock.advance(20_000);
    assert.deepEqual(stage.faults, []);
    stage.sentBytes = 90_003;
    await stage.clock.advance(1_300);
    assert.equal(stage.isSenderStopped, true);
  });
});

test('the watchdog of what is sent lets be a worker that is starved', async () => {
  for (const answersAfterMs of [0, 700]) {
    const stage = new Stage();
    stage.answersAfterMs = answersAfterMs;
    for (let frame = 0; frame < 300; frame += 1) {
      stage.sent.counted += 1;
      // It gets them late, and of a hundred ten never.
      if (frame % 100 < 10) stage.stalls += 1;
      else if (frame % 60 === 59) stage.sent.seen = stage.sent.counted - 10;
      await stage.clock.advance(33);
      if (answersAfterMs === 0) stage.stalls += 1;
    }
    assert.deepEqual(stage.faults, []);
    stage.sent.seen = stage.sent.counted - 50;
    stage.answersAfterMs = 0;
    await stage.clock.advance(5_000);
    assert.deepEqual(stage.faults, []);
    stage.sent.counted += 1;
    await stage.clock.advance(1_000);
    assert.equal(stage.isSenderStopped, true);
  }
});

describe('the watchdog of what is received', () => {
  test('lets be what came to the worker, and packets of padding alone', async () => {
    const stage = new Stage();
    await stage.hear(5_000);
    for (let ms = 0; ms < 10_000; ms += 20) {
      stage.audio.packets += 5;
      await stage.clock.advance(20);
    }
    assert.deepEqual(stage.faults, []);
  });

  test('closes a downlink of which a tenth of the bytes goes around the worker, in a second', async () => {
    const stage = new Stage();
    await stage.hear(10_000);
    await stage.hear(1_200, (bytes) => bytes * 0.9);
    assert.equal(stage.isDownlinkClosed, true);
    assert.equal(stage.isSenderStopped, false);
    assert.match(stage.faults.join(), /arrived without passing the encryption worker/);
    assert.equal(stage.faults.length, 1);
  });

  test('asks each connection once for a look, and its lines if it does not name them', async () => {
    for (const names of [true, false]) {
      const stage = new Stage('video', names);
      await stage.hear(3_010);
      assert.deepEqual(stage.asked, { connections: 20, lines: names ? 0 : 30 });
      await stage.hear(1_200, (bytes) => bytes * 0.9);
      assert.equal(stage.isDownlinkClosed, true);
    }
  });

  test('goes on to judge after a browser that could not say what it counted', async () => {
    const stage = new Stage('video', false);
    stage.refusals = 3;
    await stage.hear(3_000);
    assert.equal(stage.isDownlinkClosed, false);
    assert.equal(stage.faults.length, 1);
    await stage.hear(1_200, (bytes) => bytes * 0.9);
    assert.equal(stage.isDownlinkClosed, true);
  });

  test('looks at a transport that seems disconnected or failed, too', async () => {
    for (const state of ['disconnected', 'failed']) {
      const bypassed = new Stage('video', true, state);
      await bypassed.hear(10_000);
      await bypassed.hear(1_200, (bytes) => bytes * 0.9);
      assert.equal(bypassed.isDownlinkClosed, true);
      const strayed = new Stage('video', true, state);
      strayed.stray = [{ type: 'inbound-rtp', kind: 'audio', trackIdentifier: '' }];
      await strayed.clock.advance(300);
      assert.equal(strayed.isDownlinkClosed, true);
    }
  });

  test('closes one of which all goes around it from the start', async () => {
    const stage = new Stage();
    await stage.hear(1_200, () => 0);
    assert.equal(stage.isDownlinkClosed, true);
  });

  for (const [what, starve] of [
    ['answers late', (stage: Stage) => (stage.answersAfterMs = 700)],
    ['did not run for a while, again and again', (stage: Stage) => (stage.stalls += 1)],
  ] as const) {
    test(`lets be a worker that ${what}, what it has not counted and what it never got`, async () => {
      const stage = new Stage();
      await stage.hear(2_000);
      for (let second = 0; second < 20; second += 1) {
        starve(stage);
        // Half of it late, and of the rest a part lost for good.
        await stage.hear(1_000, () => (second % 2 === 0 ? 0 : 150));
      }
      assert.deepEqual(stage.faults, []);
      stage.answersAfterMs = 0;
      await stage.hear(20_000);
      assert.deepEqual(stage.faults, []);
      // And a bypass afterwards is one.
      await stage.hear(4_500, (bytes) => bytes * 0.9);
      assert.equal(stage.isDownlinkClosed, true);
    });
  }

  test('lets be what came before the transform of a track ran, for three seconds', async () => {
    const [late, never] = [new Stage(), new Stage()];
    late.isAttached = never.isAttached = false;
    await late.hear(2_000, () => 0);
    late.isAttached = true;
    await late.hear(10_000);
    assert.deepEqual(late.faults, []);
    await never.hear(6_000, () => 0);
    assert.equal(never.isDownlinkClosed, true);
  });

  test('is not deceived by an m-line that is used again under another SSRC', async () => {
    const stage = new Stage();
    await stage.hear(10_000);
    stage.ssrc += 1;
    stage.audio.counted = 0;
    await stage.hear(10_000);
    assert.deepEqual(stage.faults, []);
    await stage.hear(1_500, () => 0);
    assert.equal(stage.isDownlinkClosed, true);
  });

  test('knows that a frame was decoded that the worker did not give out, however busy it is', async () => {
    for (const answersAfterMs of [0, 700]) {
      const stage = new Stage();
      stage.answersAfterMs = answersAfterMs;
      for (let frame = 0; frame < 300; frame += 1) {
        stage.video.given += 1;
        // What is late at the worker is late at the decoder.
        stage.video.counted = Math.max(0, stage.video.given - (frame % 90));
        stage.stalls += frame % 30 === 0 ? 1 : 0;
        await stage.clock.advance(33);
      }
      assert.deepEqual(stage.faults, []);
      stage.video.counted = stage.video.given + 1;
      await stage.clock.advance(1_300 + 3 * answersAfterMs);
      assert.equal(stage.isDownlinkClosed, true);
    }
  });

  test('closes a downlink at once over which media came that belongs to no track', async () => {
    for (const answersAfterMs of [0, undefined]) {
      const stage = new Stage();
      stage.answersAfterMs = answersAfterMs;
      await stage.clock.advance(5_000);
      stage.stray = [{ type: 'inbound-rtp', kind: 'audio', trackIdentifier: '' }];
      await stage.clock.advance(300);
      assert.equal(stage.isDownlinkClosed, true);
      assert.equal(stage.faults.length, 1);
    }
  });

  test('gives up a worker that does not answer for ten seconds', async () => {
    const stage = new Stage();
    await stage.clock.advance(10_000);
    stage.answersAfterMs = undefined;
    await stage.clock.advance(9_000);
    assert.equal(stage.hasGivenUp, false);
    await stage.clock.advance(4_000);
    assert.equal(stage.hasGivenUp, true);
  });

  test('lets a call be that is silent for ten minutes, of which the worker counts nothing', async () => {
    const stage = new Stage('audio');
    await stage.clock.advance(600_000);
    assert.equal(stage.hasGivenUp, false);
    assert.deepEqual(stage.faults, []);
    assert.equal(stage.isDownlinkClosed, false);
  });

  test('gives up a worker that ended in a silent call as soon as one in a loud call', async () => {
    for (const isLoud of [true, false]) {
      const stage = new Stage();
      await stage.clock.advance(10_000);
      stage.answersAfterMs = undefined;
      if (isLoud) await stage.hear(13_000);
      else await stage.clock.advance(13_000);
      assert.equal(stage.hasGivenUp, true, isLoud ? 'loud' : 'silent');
    }
  });

  test('lets a worker be that always takes nine seconds, and a page that slept for an hour', async () => {
    const slow = new Stage();
    slow.answersAfterMs = 9_000;
    await slow.clock.advance(300_000);
    assert.equal(slow.hasGivenUp, false);
    const asleep = new Stage();
    asleep.answersAfterMs = 3_000;
    await asleep.clock.advance(1_000);
    await asleep.clock.freeze(3_600_000);
    await asleep.clock.advance(20_000);
    assert.equal(asleep.hasGivenUp, false);
    assert.deepEqual([...slow.faults, ...asleep.faults], []);
  });
});

test('a worker notices that it did not run, and not that its timer is a little late', () => {
  const pulse = new Pulse();
  for (const ms of [0, 200, 400, 1_400, 2_500]) pulse.beat(ms);
  assert.equal(pulse.stalls, 0);
  for (const ms of [3_800, 4_000, 9_000]) pulse.beat(ms);
  assert.equal(pulse.stalls, 2);
});

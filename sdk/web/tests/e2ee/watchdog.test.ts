import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SessionSeal } from '../../src/e2ee/session-seal';
import { Watchdog } from '../../src/e2ee/watchdog';
import type { Downlink } from '../../src/rtc/downlink';
import type { Uplink } from '../../src/rtc/uplink';
import { FakeClock } from '../support';

type Row = Record<string, unknown>;

/** What browser and worker count, as a test wants it. */
class Stage {
  readonly clock = new FakeClock();
  readonly faults: string[] = [];
  sent = { counted: 0, seen: 0, bytes: 0 };
  /** Of audio. */
  sentBytes = 0;
  received = { counted: 0, seen: 0 };
  stray: Row[] = [];
  isSilent = false;
  hasGivenUp = false;
  isSenderStopped = false;
  isDownlinkClosed = false;
  private readonly watchdog: Watchdog;

  constructor(kind: 'audio' | 'video' = 'video') {
    const stats = (...rows: Row[]): Promise<Map<string, Row>> =>
      Promise.resolve(new Map(rows.map((row, index) => [String(index), row])));
    const sender = {
      getStats: () => {
        const { counted } = this.sent;
        const counts = { framesSent: counted, packetsSent: counted, bytesSent: this.sentBytes };
        return stats({ type: 'outbound-rtp', kind, ...counts });
      },
      replaceTrack: () => {
        this.isSenderStopped = true;
        return Promise.resolve();
      },
    };
    const receiver = {
      getStats: () =>
        stats({ type: 'inbound-rtp', kind: 'audio', packetsReceived: this.received.counted }),
    };
    const seal = {
      counters: () =>
        this.isSilent
          ? new Promise(() => undefined)
          : Promise.resolve({ sent: { up: this.sent }, received: { down: this.received } }),
      giveUpWorker: () => (this.hasGivenUp = true),
    };
    const downlink = {
      connection: { connectionState: 'connected', getStats: () => stats(...this.stray) },
      receivers: () => [{ name: 'down', kind: 'audio', receiver }],
      reset: () => (this.isDownlinkClosed = true),
    };
    this.watchdog = new Watchdog(
      seal as unknown as SessionSeal,
      { senders: () => [{ name: 'up', kind, sender }] } as unknown as Uplink,
      downlink as unknown as Downlink,
      this.clock,
      (error) => this.faults.push((error as Error).message),
    );
    this.watchdog.start();
  }
}

describe('the watchdog', () => {
  test('lets be what all came to the worker, or is on its way there', async () => {
    const stage = new Stage();
    for (let ms = 0; ms < 20_000; ms += 50) {
      stage.sent.seen = stage.sent.counted;
      // The worker has not counted the last frame at most of the looks.
      if (ms % 250 !== 0) stage.sent.counted += 1;
      stage.received.seen += 2;
      stage.received.counted += 2;
      await stage.clock.advance(50);
    }
    assert.deepEqual(stage.faults, []);
  });

  test('stops a sender of which a single frame went around the worker', async () => {
    const stage = new Stage();
    stage.sent = { counted: 1_001, seen: 1_000, bytes: 0 };
    await stage.clock.advance(2_600);
    assert.equal(stage.isSenderStopped, true);
    assert.equal(stage.isDownlinkClosed, false);
    assert.match(stage.faults.join(), /left without passing the encryption worker/);
  });

  test('takes packets of padding for no audio, and a single frame of it for one', async () => {
    const stage = new Stage('audio');
    stage.sent = { counted: 1_020, seen: 1_000, bytes: 90_000 };
    stage.sentBytes = 90_000;
    await stage.clock.advance(20_000);
    assert.deepEqual(stage.faults, []);
    stage.sentBytes = 90_003;
    await stage.clock.advance(2_600);
    assert.equal(stage.isSenderStopped, true);
  });

  test('closes a downlink of which a single frame went around the worker', async () => {
    const stage = new Stage();
    stage.received = { counted: 1, seen: 0 };
    await stage.clock.advance(2_600);
    assert.equal(stage.isDownlinkClosed, true);
    assert.equal(stage.isSenderStopped, false);
    assert.match(stage.faults.join(), /arrived without passing the encryption worker/);
  });

  test('closes a downlink at once over which media came that belongs to no track', async () => {
    const stage = new Stage();
    stage.stray = [{ type: 'inbound-rtp', kind: 'audio', trackIdentifier: '' }];
    await stage.clock.advance(2_000);
    assert.equal(stage.isDownlinkClosed, true);
  });

  test('gives up a worker that does not answer for ten seconds', async () => {
    const stage = new Stage();
    await stage.clock.advance(10_000);
    stage.isSilent = true;
    await stage.clock.advance(9_000);
    assert.equal(stage.hasGivenUp, false);
    await stage.clock.advance(4_000);
    assert.equal(stage.hasGivenUp, true);
  });
});

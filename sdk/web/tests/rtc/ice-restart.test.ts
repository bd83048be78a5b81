import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IceKeeper } from '../../src/rtc/ice-restart';
import { PauseDetector, StallDetector } from '../../src/rtc/stall';
import { StatsReader } from '../../src/rtc/stats-reader';
import { FakeClock } from '../support';

class Peer extends EventTarget {
  connectionState: RTCPeerConnectionState = 'connected';

  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
}

class Bench {
  readonly clock = new FakeClock();
  readonly peer = new Peer();
  readonly restarts: number[] = [];
  fails = false;
  answerMs = 0;
  troubles = 0;
  readonly interruptions: [number, boolean][] = [];
  readonly keeper = new IceKeeper(
    this.peer,
    this.clock,
    () => {
      this.restarts.push(this.clock.now());
      if (this.fails) return Promise.reject(new Error('no signaling'));
      if (this.answerMs === 0) return Promise.resolve();
      return new Promise((resolve) => this.clock.after(this.answerMs, resolve));
    },
    {
      onTrouble: () => (this.troubles += 1),
      onInterrupted: (isInterrupted) => this.interruptions.push([this.clock.now(), isInterrupted]),
    },
  );

  pass(milliseconds: number): Promise<void> {
    return this.clock.advance(milliseconds);
  }
}

describe('a transport whose network changes', () => {
  test('gets a second to come back by itself, and a restart at once when it has failed', async () => {
    const bench = new Bench();
    bench.peer.become('disconnected');
    await bench.pass(900);
    bench.peer.become('connected');
    await bench.pass(5_000);
    assert.deepEqual(bench.restarts, []);
    bench.peer.become('failed');
    assert.equal(bench.restarts.length, 1);
  });

  test('is restarted until it is connected again', async () => {
    const bench = new Bench();
    bench.peer.become('disconnected');
    await bench.pass(13_000);
    assert.deepEqual(bench.restarts, [1_000, 5_000, 9_000, 13_000]);
    bench.peer.become('connecting');
    bench.peer.become('connected');
    await bench.pass(20_000);
    assert.equal(bench.restarts.length, 4);
  });

  test('is restarted at once and only once when the network became another one', async () => {
    const bench = new Bench();
    bench.keeper.hurry();
    bench.keeper.hurry();
    await bench.pass(1_000);
    bench.keeper.hurry();
    assert.deepEqual(bench.restarts, [0]);
    await bench.pass(10_000);
    bench.keeper.hurry();
    assert.equal(bench.restarts.length, 2);
  });

  test('is restarted as soon as signaling is back, when that was lost at the same time', async () => {
    const bench = new Bench();
    bench.fails = true;
    bench.keeper.hurry();
    await bench.pass(1_300);
    bench.fails = false;
    bench.keeper.onResumed();
    assert.deepEqual(bench.restarts, [0, 1_300]);
    await bench.pass(20_000);
    bench.keeper.onResumed();
    assert.equal(bench.restarts.length, 2, 'nothing was open any more');
  });

  test('is restarted once at a time where answers are slow, and again once they came', async () => {
    const bench = new Bench();
    bench.answerMs = 12_000;
    bench.peer.become('failed');
    for (let second = 0; second < 11; second += 1) {
      await bench.pass(1_000);
      bench.keeper.hurry();
    }
    assert.deepEqual(bench.restarts, [0]);
    bench.answerMs = 0;
    await bench.pass(1_000);
    assert.deepEqual(bench.restarts, [0, 12_000], 'the network may have changed meanwhile');
    await bench.pass(4_000);
    assert.deepEqual(bench.restarts, [0, 12_000, 16_000]);
  });

  test('gets time to come back after a slow answer before it is restarted again', async () => {
    const bench = new Bench();
    bench.answerMs = 3_900;
    bench.peer.become('failed');
    await bench.pass(8_000);
    assert.deepEqual(bench.restarts, [0, 5_900]);
  });

  test('people are told once that it does not come back, and once that it has', async () => {
    const bench = new Bench();
    bench.peer.become('connecting');
    await bench.pass(20_000);
    assert.deepEqual(bench.interruptions, [], 'it was not there yet');
    bench.peer.become('connected');
    bench.peer.become('disconnected');
    await bench.pass(9_000);
    bench.peer.become('connected');
    await bench.pass(20_000);
    assert.deepEqual(bench.interruptions, [], 'it came back soon');
    for (const state of ['disconnected', 'failed', 'connecting', 'failed'] as const) {
      bench.peer.become(state);
      await bench.pass(4_000);
    }
    assert.deepEqual(bench.interruptions, [[59_000, true]]);
    bench.peer.become('connected');
    assert.deepEqual(bench.interruptions.slice(1), [[65_000, false]]);
    bench.peer.become('failed');
    bench.peer.become('closed');
    await bench.pass(20_000);
    assert.equal(bench.interruptions.length, 2);
  });

  test('is left alone once it is closed', async () => {
    const bench = new Bench();
    bench.peer.become('disconnected');
    bench.peer.become('closed');
    bench.keeper.hurry();
    bench.keeper.onResumed();
    await bench.pass(10_000);
    assert.deepEqual(bench.restarts, []);
  });
});

describe('a stall', () => {
  test('is told once, when packets were sent and none came for three quarters of a second', () => {
    const detector = new StallDetector();
    const told: number[] = [];
    for (let now = 0; now <= 5_000; now += 250) {
      const received = now < 2_000 ? now : 2_000;
      if (detector.see(now, now / 10, received)) told.push(now);
    }
    assert.deepEqual(told, [2_750]);
  });

  test('ends with the next packet, and may come again', () => {
    const detector = new StallDetector();
    const told: number[] = [];
    for (let now = 0; now <= 4_000; now += 250) {
      if (detector.see(now, now, now < 2_000 ? 1 : 2)) told.push(now);
    }
    assert.deepEqual(told, [750, 2_750]);
  });

  test('is none while the page is too late to say', () => {
    const detector = new StallDetector();
    for (let now = 0; now <= 30_000; now += 600) {
      assert.equal(detector.see(now, now, 1), false);
    }
    const told: number[] = [];
    for (let now = 30_000; now <= 35_000; now += 250) {
      if (detector.see(now, now, 1)) told.push(now);
    }
    assert.deepEqual(told, [30_750], 'from when it keeps its time again');
  });

  test('is told no second time after the page was late', () => {
    const detector = new StallDetector();
    const told = [0, 250, 500, 750, 5_000, 5_250, 5_500, 5_750, 6_000].filter((now) =>
      detector.see(now, now, 1),
    );
    assert.deepEqual(told, [750]);
  });

  test('is none while hardly anything is sent', () => {
    const detector = new StallDetector();
    for (let now = 0; now <= 60_000; now += 250) {
      assert.equal(detector.see(now, Math.min(now, 9), 1), false);
    }
  });
});

test('a transport in trouble asks whether signaling is there, and a healthy one does not', () => {
  const bench = new Bench();
  for (const state of ['connected', 'connecting', 'disconnected', 'connected', 'failed'] as const) {
    bench.peer.become(state);
  }
  assert.equal(bench.troubles, 2);
});

describe('a pause of what is received', () => {
  const seen = (newest: (now: number) => number): number[] => {
    const detector = new PauseDetector();
    const told: number[] = [];
    for (let now = 0; now <= 20_000; now += 250) {
      if (detector.see(now, newest(now))) told.push(now);
    }
    return told;
  };

  test('is told once, a second after the last of what came steadily', () => {
    assert.deepEqual(
      seen((now) => Math.min(now + 1, 5_001)),
      [6_000],
    );
  });

  test('is none while the page is late, and is told when media stops again after it', () => {
    const detector = new PauseDetector();
    let told = 0;
    for (let now = 0; now <= 20_000; now += now < 10_000 ? 250 : 700) {
      if (detector.see(now, Math.min(now + 1, 9_900))) told += 1;
    }
    assert.equal(told, 0);
  });

  test('is none where little comes, as of audio in silence, or where nothing ever came', () => {
    assert.deepEqual(
      seen((now) => Math.floor(now / 400) * 400),
      [],
    );
    assert.deepEqual(
      seen(() => 0),
      [],
    );
  });
});

test('statistics that were just read serve whoever does not need new ones', async () => {
  const clock = new FakeClock();
  let asked = 0;
  const getStats = (): Promise<Map<string, object>> =>
    Promise.resolve(new Map([['one', { id: 'one', asked: (asked += 1) }]]));
  const reader = new StatsReader({ getStats: getStats }, clock);
  await reader.read();
  await clock.advance(300);
  const { askedAt, rows } = await reader.read(400);
  assert.deepEqual([askedAt, rows[0]?.['asked']], [0, 1]);
  await reader.read();
  await clock.advance(400);
  assert.equal((await reader.read(400)).askedAt, 700);
  assert.equal(asked, 3);
});

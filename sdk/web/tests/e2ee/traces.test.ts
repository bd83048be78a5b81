/** The traces of e2ee/2 that every SDK runs: switches of the secret, replay and identity, mismatch. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Bytes } from '../../src/e2ee/bytes';
import { FORMATS, type FrameFormat, SIGNAL_FORMAT } from '../../src/e2ee/frames/index';
import { type FrameCounts, SubscriberHealth, TrackHealth } from '../../src/e2ee/health';
import { type Decryptor, ReceiveHistory, type Refusal } from '../../src/e2ee/receiver';
import { encryptFrame } from '../../src/e2ee/frame-encryption';
import { deriveSessionKey, SessionKeys } from '../../src/e2ee/secret';
import { SecretRing } from '../../src/e2ee/secret-ring';
import { SwitchSchedule } from '../../src/e2ee/switch-schedule';
import { hex, readJson } from '../support';

interface SwitchTrace {
  name: string;
  hint: number;
  end_ms: number;
  steps: (
    | { at_ms: number; do: 'announced'; connection: string; hint: number }
    | { at_ms: number; do: 'left'; connection: string }
    | { at_ms: number; do: 'set'; hint: number; immediate: boolean }
  )[];
  switches: { at_ms: number; hint: number }[];
}

interface FrameStep {
  at_ms: number;
  do: 'frame';
  subscription: string;
  kind: 'audio' | 'video' | 'signal';
  kid: string;
  ctr: number;
  verifies: boolean;
  expect: string;
}

interface ReplayTrace {
  name: string;
  steps: (
    | { at_ms: number; do: 'subscribe'; subscription: string; stream: string }
    | { at_ms: number; do: 'server'; what: string }
    | FrameStep
  )[];
}

interface MismatchTrace {
  name: string;
  steps: { at_ms: number; track?: string; result?: 'ok' | Refusal; do?: 'set' }[];
  events: { at_ms: number; event: string }[];
  reports: { at_ms: number; state: string }[];
}

const traces = readJson<{
  switch: SwitchTrace[];
  replay: ReplayTrace[];
  mismatch: MismatchTrace[];
}>('../../tests/vectors/e2ee-v2-traces.json');
assert.ok(traces, 'tests/vectors/e2ee-v2-traces.json is part of the repository');

describe('changes of the secret', () => {
  for (const trace of traces.switch) {
    test(trace.name, () => assert.deepEqual(switchesOf(trace), trace.switches));
  }
});

function switchesOf({ hint, steps, end_ms }: SwitchTrace): SwitchTrace['switches'] {
  const schedule = new SwitchSchedule(hint);
  const switches: SwitchTrace['switches'] = [];
  let newest = hint;
  const look = (now: number): void => {
    if (schedule.isDue(now)) switches.push({ at_ms: now, hint: newest });
  };
  /** What the deadline's own timer does on the way to `now`. */
  const wait = (now: number): void => {
    const { deadline } = schedule;
    if (deadline !== undefined && deadline <= now) look(deadline);
  };
  for (const step of steps) {
    wait(step.at_ms);
    if (step.do === 'left') schedule.onLeft(step.connection);
    else if (step.do === 'announced') schedule.onAnnounced(step.connection, step.hint);
    else {
      newest = step.hint;
      const isInUse = newest === (switches.at(-1)?.hint ?? hint);
      schedule.set(newest, step.at_ms, { immediate: step.immediate, isInUse });
    }
    look(step.at_ms);
  }
  wait(end_ms);
  return switches;
}

describe('replay and identity', () => {
  for (const trace of traces.replay) test(trace.name, () => replay(trace));
});

const FRAME = hex('780102030405');
const FORMAT_OF = { audio: FORMATS.opus, video: FORMATS.vp9, signal: SIGNAL_FORMAT } as const;
const CONNECTION = 'conn-1';

/** All hints that traces use, each with a secret of its own. */
const secrets = new Map<number, SessionKeys>();
async function keysOf(hint: number): Promise<SessionKeys> {
  let keys = secrets.get(hint);
  if (!keys) {
    const real = await SessionKeys.fromSessionKey(await deriveSessionKey(`${hint}`, 's', 1));
    keys = Object.assign(Object.create(SessionKeys.prototype) as SessionKeys, { ...real, hint });
    secrets.set(hint, keys);
  }
  return keys;
}

class Receiver {
  readonly history: ReceiveHistory;
  private readonly streams = new Map<string, string>();
  private readonly openers = new Map<string, Decryptor>();

  constructor(ring: SecretRing) {
    this.history = new ReceiveHistory(ring);
  }

  subscribe(subscription: string, stream: string): void {
    this.streams.set(subscription, stream);
    const owner = { connectionId: CONNECTION, streamId: stream };
    for (const kind of ['audio', 'video'] as const) {
      this.openers.set(`${subscription} ${kind}`, this.history.subscribe(owner, kind));
    }
  }

  /** An offer binds the m-lines of every subscription again, as the page does it. */
  bindAgain(): void {
    for (const [subscription, stream] of this.streams) this.subscribe(subscription, stream);
  }

  async onFrame(step: FrameStep): Promise<string> {
    const format = FORMAT_OF[step.kind];
    const stream = this.streams.get(step.subscription) ?? '';
    const wire = await wireOf(step, format, stream);
    const result =
      step.kind === 'signal'
        ? await this.history.decryptSignal(stream, format, wire, step.at_ms)
        : await this.openers
            .get(`${step.subscription} ${step.kind}`)!
            .decrypt(format, wire, step.at_ms);
    return 'refused' in result ? result.refused : 'ok';
  }
}

async function wireOf(step: FrameStep, format: FrameFormat, stream: string): Promise<Bytes> {
  const kid = BigInt(`0x${step.kid}`);
  const keys = await keysOf(Number(kid & 0xffffn));
  const owner =
    step.kind === 'signal'
      ? { connectionId: stream, streamId: undefined }
      : { connectionId: CONNECTION, streamId: stream };
  const wire = await encryptFrame(format, await keys.sframeKey(owner, kid), kid, step.ctr, FRAME);
  assert.ok(wire);
  if (!step.verifies) wire[wire.length - 1] = (wire.at(-1) ?? 0) ^ 1;
  return wire;
}

async function replay({ steps }: ReplayTrace): Promise<void> {
  const ring = new SecretRing();
  const hints = steps.flatMap((step) =>
    step.do === 'frame' ? [Number(`0x${step.kid.slice(-4)}`)] : [],
  );
  for (const hint of [...new Set(hints)].reverse()) ring.add(await keysOf(hint), 0);
  // Time is the trace's own; secrets do not end in it.
  Object.assign(ring, { expire: () => undefined });
  const receiver = new Receiver(ring);
  for (const step of steps) {
    if (step.do === 'subscribe') receiver.subscribe(step.subscription, step.stream);
    else if (step.do === 'server') receiver.bindAgain();
    else {
      const place = `${step.kid} ${step.ctr} at ${step.at_ms}`;
      assert.equal(await receiver.onFrame(step), step.expect, place);
    }
  }
}

describe('mismatch and match', () => {
  for (const trace of traces.mismatch) {
    test(trace.name, () => {
      const { events, reports } = resultsOf(trace);
      assert.deepEqual(events, trace.events);
      assert.deepEqual(reports, trace.reports);
    });
  }
});

function resultsOf({ steps }: MismatchTrace): Pick<MismatchTrace, 'events' | 'reports'> {
  const tracks = new Map<string, TrackHealth>();
  const subscriber = new SubscriberHealth();
  const events: MismatchTrace['events'] = [];
  const reports: MismatchTrace['reports'] = [];
  let secretChangedAt = -Infinity;
  for (const { at_ms, track = '', result = 'ok', ...step } of steps) {
    const act = ({ event, report, recheck = [] }: ReturnType<SubscriberHealth['onHope']>): void => {
      for (const name of recheck) tracks.get(name)?.recheck();
      if (event) events.push({ at_ms, event });
      if (report) reports.push({ at_ms, state: report });
    };
    if (step.do === 'set') {
      secretChangedAt = at_ms;
      for (const health of tracks.values()) health.recheck();
      act(subscriber.onHope());
      continue;
    }
    const health = tracks.get(track) ?? new TrackHealth();
    tracks.set(track, health);
    const change =
      result === 'ok' ? health.onDecrypted() : health.onRefused(result, at_ms, secretChangedAt);
    const counts: FrameCounts = { decrypted: health.decrypted, failed: health.failed };
    if (change) act(subscriber.onTrack(track, { change, ...counts }, at_ms));
  }
  return { events, reports };
}

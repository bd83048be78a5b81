import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { SessionEncryption } from '../../src/e2ee/session-encryption';
import type { OTError } from '../../src/errors';
import { Downlink, type ReceivedTrack } from '../../src/rtc/downlink';
import type { DownlinkTrack } from '../../src/signaling/messages';
import { FakeClock, settled } from '../support';

const SETTINGS = { iceServers: [], iceTransportPolicy: 'all', isEncrypted: true } as const;

interface Line {
  mid: string;
  receiver: { track: { kind: string }; getParameters(): { codecs: object[] } };
}

/** Makes a transceiver for each m-line of an offer, as browsers do. */
class FakePeer {
  connectionState = 'new';
  ontrack: ((event: { transceiver: Line }) => void) | null = null;
  localDescription = { sdp: '' };
  readonly lines: Line[] = [];

  addEventListener(): void {}

  close(): void {}

  getTransceivers(): Line[] {
    return this.lines;
  }

  setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    for (const [, kind = '', mid = ''] of sdp.matchAll(/m=(\w+) [^]*?a=mid:(\w+)/g)) {
      if (this.lines.some((line) => line.mid === mid)) continue;
      const receiver = { track: { kind }, getParameters: () => ({ codecs: [] }) };
      this.lines.push({ mid, receiver });
    }
    return Promise.resolve();
  }

  createAnswer(): Promise<{ sdp: string }> {
    return Promise.resolve({ sdp: '' });
  }

  setLocalDescription(): Promise<void> {
    return Promise.resolve();
  }
}

before(() => Object.assign(globalThis, { RTCPeerConnection: FakePeer }));
after(() => Reflect.deleteProperty(globalThis, 'RTCPeerConnection'));

const line = (mid: string): string =>
  [`m=audio 9 UDP/TLS/RTP/SAVPF 111`, `a=mid:${mid}`, 'a=sendonly', ''].join('\r\n');

const track = (mid: string, subscriberId: string, streamId: string): DownlinkTrack => ({
  ...{ mid, kind: 'audio', codec: 'opus' },
  ...{ subscriberId, streamId },
});

class Stage {
  readonly done: string[] = [];
  readonly codecsNamed: string[] = [];
  readonly failures: OTError[] = [];
  readonly owners = new Map([
    ['bob', { connectionId: 'of bob', streamId: 'stream of bob' }],
    ['eve', { connectionId: 'of eve', streamId: 'stream of eve' }],
  ]);

  private readonly encryption = {
    attachReceiver: () => undefined,
    setCodec: (name: string) => {
      this.codecsNamed.push(name);
      return Promise.resolve();
    },
    bindReceiver: (_: string, { connectionId, streamId }: Record<string, string>) => {
      this.done.push(`bind ${connectionId}, ${streamId}`);
      return Promise.resolve();
    },
    releaseReceiver: () => {
      this.done.push('release');
      return Promise.resolve();
    },
  } as unknown as SessionEncryption;

  readonly downlink = new Downlink(
    SETTINGS,
    () => {
      this.done.push('answer');
      return Promise.resolve({ t: 'ok', re: 1 });
    },
    this.encryption,
    {
      ownerOf: (subscriberId) => this.owners.get(subscriberId),
      onTracks: (subscriberId: string, tracks: readonly ReceivedTrack[]) =>
        this.done.push(`${subscriberId} has ${tracks.length}`),
      onFailure: (error) => this.failures.push(error),
      onQuiet: () => undefined,
      onInterrupted: () => undefined,
    },
    new FakeClock(),
  );

  async offer(sdp: string, ...tracks: DownlinkTrack[]): Promise<string[]> {
    this.downlink.onOffer({ t: 'downlinkOffer', offerId: 1, sdp, tracks });
    await settled();
    return this.done.splice(0);
  }
}

describe('the downlink of an encrypted session', () => {
  test('binds with the ids of the Stream that the Subscriber asked for', async () => {
    const stage = new Stage();
    const done = await stage.offer(line('0'), track('0', 'bob', 'stream of bob'));
    assert.deepEqual(done, ['bind of bob, stream of bob', 'bob has 1', 'answer']);
  });

  test('refuses an offer that gives a Subscriber the stream of somebody else', async () => {
    const stage = new Stage();
    assert.deepEqual(await stage.offer(line('0'), track('0', 'bob', 'stream of eve')), []);
    assert.match(stage.failures[0]?.message ?? '', /did not ask for/);
    assert.equal(stage.downlink.connection, undefined);
  });

  test('takes the track from a Subscriber before its m-line carries another', async () => {
    const stage = new Stage();
    await stage.offer(line('0'), track('0', 'bob', 'stream of bob'));
    const done = await stage.offer(line('0'), track('0', 'eve', 'stream of eve'));
    assert.deepEqual(done, [
      ...['bob has 0', 'release', 'bind of eve, stream of eve'],
      ...['eve has 1', 'answer'],
    ]);
  });

  test('binds again when a known name means the stream of somebody else now', async () => {
    const stage = new Stage();
    await stage.offer(line('0'), track('0', 'bob', 'stream of bob'));
    stage.owners.set('bob', { connectionId: 'of carol', streamId: 'stream of carol' });
    const done = await stage.offer(line('0'), track('0', 'bob', 'stream of carol'));
    assert.deepEqual(done, [
      ...['bob has 0', 'release', 'bind of carol, stream of carol'],
      ...['bob has 1', 'answer'],
    ]);
  });

  test('names the codec of every track of every offer', async () => {
    const stage = new Stage();
    await stage.offer(line('0'), track('0', 'bob', 'stream of bob'));
    await stage.offer(line('0'), track('0', 'bob', 'stream of bob'));
    assert.equal(stage.codecsNamed.length, 2);
  });

  test('lets the worker forget the tracks of a lost transport', async () => {
    const stage = new Stage();
    await stage.offer(line('0'), track('0', 'bob', 'stream of bob'));
    stage.downlink.reset();
    assert.deepEqual(stage.done, ['release']);
  });

  test('binds nothing for who is no Subscriber any more, and goes on', async () => {
    const stage = new Stage();
    const gone = track('1', 'gone', 'some stream');
    const done = await stage.offer(line('0') + line('1'), track('0', 'bob', 'stream of bob'), gone);
    assert.deepEqual(done, ['bind of bob, stream of bob', 'bob has 1', 'answer']);
    assert.deepEqual(stage.failures, []);
  });

  test('knows whose frames the worker gets, and forgets it with the transport', async () => {
    const stage = new Stage();
    await stage.offer(line('0'), track('0', 'bob', 'stream of bob'));
    const [{ name = '' } = {}] = stage.downlink.receivers();
    assert.equal(stage.downlink.userOf(name), 'bob');
    stage.downlink.reset();
    await stage.offer(line('0'), track('0', 'eve', 'stream of eve'));
    assert.equal(stage.downlink.userOf(name), undefined);
  });

  test('keeps the certificate and the role of its first offer, and forgets them with it', async () => {
    const stage = new Stage();
    const offered = (print: string, role = 'actpass'): string =>
      `${line('0')}a=fingerprint:sha-256 ${print}\r\na=setup:${role}\r\n`;
    const bob = track('0', 'bob', 'stream of bob');
    await stage.offer(offered('AB:CD'), bob);
    for (const lie of [offered('AB:CE'), offered('AB:CD', 'active'), line('0')]) {
      assert.deepEqual(await stage.offer(lie, bob), []);
      assert.match(stage.failures.pop()?.message ?? '', /another certificate or DTLS role/);
    }
    // What is refused leaves nothing behind.
    const more = offered('AB:CE') + line('1');
    assert.deepEqual(await stage.offer(more, bob), []);
    stage.failures.length = 0;
    assert.deepEqual(await stage.offer(offered('AB:CD'), bob), ['bob has 1', 'answer']);
    stage.downlink.reset();
    await stage.offer(offered('AB:CE'), bob);
    assert.deepEqual(stage.failures, []);
  });
});

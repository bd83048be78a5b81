import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OfferRules } from '../../src/rtc/offer-rules';
import type { DownlinkTrack } from '../../src/signaling/messages';

const AUDIO = ['m=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:0', 'a=sendonly', 'a=ssrc:7 cname:x'];
const VIDEO = ['m=video 9 UDP/TLS/RTP/SAVPF 96 97', 'a=mid:1', 'a=sendonly'];
const TRACKS: readonly DownlinkTrack[] = [
  { mid: '0', kind: 'audio', codec: 'opus', subscriberId: 'bob', streamId: 'stream' },
  { mid: '1', kind: 'video', codec: 'vp8', subscriberId: 'bob', streamId: 'stream' },
];

const offer = (...sections: readonly (readonly string[])[]): string =>
  [['v=0', 's=-', 'a=group:BUNDLE 0 1'], ...sections].flat().join('\r\n') + '\r\n';

const asked = (subscriberId: string): string | undefined =>
  subscriberId === 'bob' ? 'stream' : undefined;

const canDecode = (kind: string, name: string): boolean => `${kind}/${name}` === 'video/vp8';

function refusal(
  sdp: string,
  tracks = TRACKS,
  rules = new OfferRules(canDecode),
): string | undefined {
  const fault = rules.refusal(sdp, tracks, asked);
  if (fault === undefined) rules.remember(sdp);
  return fault;
}

const changed = (index: number, change: Partial<DownlinkTrack>): DownlinkTrack[] =>
  TRACKS.map((track, at) => (at === index ? { ...track, ...change } : track));

const without = (section: readonly string[], line: string): string[] =>
  section.filter((candidate) => candidate !== line);

describe('an offer of an encrypted session', () => {
  test('may offer, pause, reject and go on with what was asked for', () => {
    const rules = new OfferRules(canDecode);
    const paused = VIDEO.map((line) => (line === 'a=sendonly' ? 'a=inactive' : line));
    const rejected = ['m=video 0 UDP/TLS/RTP/SAVPF 96', 'a=mid:1', 'a=inactive'];
    for (const [sdp, tracks] of [
      [offer(AUDIO), TRACKS.slice(0, 1)],
      [offer(AUDIO, VIDEO), TRACKS],
      [offer(AUDIO, paused), TRACKS.slice(0, 1)],
      [offer(AUDIO, VIDEO), TRACKS],
      [offer(AUDIO, VIDEO), changed(1, { subscriberId: 'just unsubscribed' })],
      [offer(AUDIO, rejected), TRACKS.slice(0, 1)],
    ] as const) {
      assert.equal(refusal(sdp, tracks, rules), undefined, sdp);
    }
    // Its receiver ended; another one would have the same name.
    assert.ok(refusal(offer(AUDIO, VIDEO), TRACKS, rules));
  });

  const line = (...lines: string[]): string => offer(AUDIO, [...VIDEO, ...lines]);
  for (const [name, sdp, tracks] of [
    [
      'a stream on an m-line that does not send',
      offer(AUDIO, [...without(VIDEO, 'a=sendonly'), 'a=inactive']),
      TRACKS,
    ],
    ['another stream', offer(AUDIO, VIDEO), changed(0, { streamId: 'of eve' })],
    [
      'two m-lines of one kind for one subscriber',
      offer(AUDIO, VIDEO, [...VIDEO.slice(0, 1), 'a=mid:2', 'a=sendonly']),
      [...TRACKS, { ...TRACKS[1]!, mid: '2' }],
    ],
    [
      'two subscribers on one m-line',
      offer(AUDIO, VIDEO),
      [...TRACKS, { ...TRACKS[1]!, subscriberId: 'x' }],
    ],
    ['video called audio', offer(AUDIO, VIDEO), changed(1, { kind: 'audio' })],
    ['a track on no m-line', offer(AUDIO), TRACKS],
    [
      'data channels',
      offer(AUDIO, VIDEO, [
        'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
        'a=mid:2',
        'a=sctp-port:5000',
        'a=sendonly',
      ]),
      TRACKS,
    ],
    [
      'a direction that receives',
      offer(AUDIO, [...without(VIDEO, 'a=sendonly'), 'a=sendrecv']),
      TRACKS,
    ],
    ['no direction, which means both', offer(AUDIO, without(VIDEO, 'a=sendonly')), TRACKS],
    ['two directions', line('a=recvonly'), TRACKS],
    ['two mids in one m-line', line('a=mid:7'), TRACKS],
    [
      'one mid twice',
      offer(
        AUDIO,
        VIDEO.map((of) => (of === 'a=mid:1' ? 'a=mid:0' : of)),
      ),
      TRACKS,
    ],
    ['no mid', offer(AUDIO, without(VIDEO, 'a=mid:1')), TRACKS],
    ['simulcast', line('a=rid:h send', 'a=simulcast:send h'), TRACKS],
    ['keys of its own', line('a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x'), TRACKS],
    [
      'line ends of another kind',
      offer(AUDIO, VIDEO).replace('a=mid:1\r\n', 'a=mid:1\ra=mid:2\r\n'),
      TRACKS,
    ],
  ] as const) {
    test(`is refused with ${name}`, () => assert.ok(refusal(sdp, tracks)));
  }

  test('has a codec on each m-line that sends which this browser decodes', () => {
    const coded = (...codecs: string[]): string =>
      offer(AUDIO, [...VIDEO, ...codecs.map((codec, index) => `a=rtpmap:${96 + index} ${codec}`)]);
    assert.equal(refusal(coded('AV2/90000', 'VP8/90000')), undefined);
    const silent = coded('AV2/90000').replace(/a=sendonly(?![^]*a=sendonly)/, 'a=inactive');
    assert.equal(refusal(silent, TRACKS.slice(0, 1)), undefined);
    const told = 'an m-line has no codec that can be decoded';
    assert.equal(refusal(coded('AV2/90000')), told);
    assert.equal(new OfferRules(canDecode).peerRefusal(coded('AV2/90000')), told);
  });

  test('is refused when an m-line became another one', () => {
    for (const [first, second] of [
      [offer(AUDIO, VIDEO), offer(VIDEO, AUDIO)],
      [offer(AUDIO, VIDEO), offer(AUDIO)],
      [offer(AUDIO), offer([...VIDEO.slice(0, 1), 'a=mid:0', 'a=sendonly'])],
    ] as const) {
      const rules = new OfferRules(canDecode);
      assert.equal(refusal(first, [], rules), undefined);
      assert.ok(refusal(second, [], rules), second);
      // What was refused is not remembered.
      assert.equal(refusal(first, [], rules), undefined);
    }
  });
});

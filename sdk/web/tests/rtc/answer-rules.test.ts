import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answerRefusal } from '../../src/rtc/answer-rules';

const HEAD = ['v=0', 's=-', 'a=group:BUNDLE 0 1', 'a=msid-semantic:WMS *'];
const AUDIO = [
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  'a=sendonly',
  'a=rtpmap:111 opus/48000/2',
  'a=fmtp:111 minptime=10;useinbandfec=1',
  'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level',
  'a=ssrc:7 cname:x',
];
const VIDEO = [
  'm=video 9 UDP/TLS/RTP/SAVPF 96 97 98',
  'a=mid:1',
  'a=sendonly',
  'a=rtpmap:96 VP8/90000',
  'a=rtpmap:97 rtx/90000',
  'a=fmtp:97 apt=96',
  'a=rtpmap:98 H264/90000',
  'a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f',
  'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid',
  'a=rid:q send',
  'a=rid:f send',
  'a=simulcast:send q;f',
];
const ANSWERED_AUDIO = [
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  'a=recvonly',
  'a=rtpmap:111 OPUS/48000/2',
  'a=fmtp:111 useinbandfec=1;usedtx=1',
  'a=extmap:1/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level',
];
const ANSWERED_VIDEO = [
  'm=video 9 UDP/TLS/RTP/SAVPF 96 97',
  'a=mid:1',
  'a=recvonly',
  'a=rtpmap:96 VP8/90000',
  'a=rtpmap:97 rtx/90000',
  'a=fmtp:97 apt=96',
  'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid',
  'a=rid:q recv',
  'a=rid:f recv',
  'a=simulcast:recv ~q;f',
];

const sdp = (...sections: readonly (readonly string[])[]): string =>
  [HEAD, ...sections].flat().join('\r\n') + '\r\n';

const OFFER = sdp(AUDIO, VIDEO);
const refusal = (...sections: readonly (readonly string[])[]): string | undefined =>
  answerRefusal(OFFER, sdp(...sections));

const changed = (section: readonly string[], from: string, to: string): string[] =>
  section.map((line) => line.replace(from, to));

describe('an answer of an encrypted session', () => {
  test('may take what was offered, or less of it', () => {
    assert.equal(refusal(ANSWERED_AUDIO, ANSWERED_VIDEO), undefined);
    const paused = changed(ANSWERED_VIDEO, 'a=recvonly', 'a=inactive');
    assert.equal(refusal(ANSWERED_AUDIO, paused), undefined);
    const less = ANSWERED_VIDEO.filter((line) => !/^a=(?:rid|simulcast|extmap)/.test(line));
    assert.equal(refusal(ANSWERED_AUDIO, less), undefined);
    const rejected = ['m=video 0 UDP/TLS/RTP/SAVPF 96', 'a=mid:1', 'a=inactive'];
    assert.equal(refusal(ANSWERED_AUDIO, rejected), undefined);
    assert.equal(
      answerRefusal(OFFER, sdp(ANSWERED_AUDIO, ANSWERED_VIDEO).replaceAll('\r', '')),
      undefined,
    );
  });

  test('takes what is about to be sent', () => {
    const told = (...sections: readonly (readonly string[])[]): string | undefined =>
      answerRefusal(OFFER, sdp(...sections), ['1']);
    assert.equal(told(ANSWERED_AUDIO, ANSWERED_VIDEO), undefined);
    const silent = changed(ANSWERED_AUDIO, 'a=recvonly', 'a=inactive');
    assert.equal(told(silent, ANSWERED_VIDEO), undefined, 'another stream, that may have ended');
    const paused = changed(ANSWERED_VIDEO, 'a=recvonly', 'a=inactive');
    const rejected = changed(ANSWERED_VIDEO, 'm=video 9', 'm=video 0');
    for (const video of [paused, rejected]) {
      assert.equal(told(ANSWERED_AUDIO, video), 'an m-line does not take what is sent');
    }
  });

  const [audio, video] = [ANSWERED_AUDIO, ANSWERED_VIDEO];
  for (const [name, sections] of [
    ['an m-line more', [audio, video, [...video.slice(0, 1), 'a=mid:2', 'a=recvonly']]],
    ['an m-line less', [audio]],
    ['other mids', [audio, changed(video, 'a=mid:1', 'a=mid:0')]],
    ['two mids in an m-line', [audio, [...video, 'a=mid:0']]],
    ['m-lines in another order', [video, audio]],
    ['another kind', [audio, changed(video, 'm=video', 'm=audio')]],
    ['data channels', [audio, ['m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'a=mid:1']]],
    ['media of its own', [audio, changed(video, 'a=recvonly', 'a=sendrecv')]],
    ['media of its own alone', [audio, changed(video, 'a=recvonly', 'a=sendonly')]],
    ['two directions', [audio, [...video, 'a=sendrecv']]],
    ['no direction, which means both', [audio, video.filter((line) => line !== 'a=recvonly')]],
    ['sources of its own', [audio, [...video, 'a=ssrc:5 cname:y']]],
    ['another codec under a payload type', [audio, changed(video, 'VP8', 'VP9')]],
    ['a codec that was not offered', [audio, changed(video, 'SAVPF 96 97', 'SAVPF 96 99')]],
    [
      'redundant audio around the frames',
      [[...changed(audio, 'SAVPF 111', 'SAVPF 63 111'), 'a=rtpmap:63 red/48000/2'], video],
    ],
    [
      'clear audio',
      [changed(changed(audio, 'SAVPF 111', 'SAVPF 0'), 'a=rtpmap:111', 'a=x:'), video],
    ],
    ['retransmissions of something else', [audio, changed(video, 'apt=96', 'apt=98')]],
    [
      'another packetization',
      [audio, [...video, 'a=rtpmap:98 H264/90000', 'a=fmtp:98 packetization-mode=0']],
    ],
    ['an extension that was not offered', [audio, [...video, 'a=extmap:9 urn:x']]],
    [
      'another extension under an id',
      [changed(audio, 'ssrc-audio-level', 'csrc-audio-level'), video],
    ],
    ['another layer', [audio, [...video, 'a=rid:x recv']]],
    ['keys in the description', [[...audio, 'a=crypto:1 AES_CM_128 inline:x'], video]],
  ] as const) {
    test(`is refused with ${name}`, () => assert.ok(refusal(...sections)));
  }

  test('is refused with an extension for all m-lines, or lines that end in different ways', () => {
    const answer = sdp(audio, video);
    assert.ok(answerRefusal(OFFER, answer.replace('s=-', 's=-\r\na=extmap:9 urn:x')));
    assert.ok(answerRefusal(OFFER, answer.replace('a=recvonly\r\n', 'a=recvonly\ra=sendrecv\r\n')));
  });
});

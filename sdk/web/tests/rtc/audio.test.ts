import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withAudioFormats, withOfferedStereo } from '../../src/rtc/audio';

const AUDIO = ['m=audio 9 UDP/TLS/RTP/SAVPF 111 112', 'a=mid:1', 'a=rtpmap:111 opus/48000/2'];
const sdp = (...lines: string[]): string => ['v=0', 's=-', ...lines, ''].join('\r\n');

test('two channels are taken where the offer has them, for that payload type of that m-line', () => {
  const two = [...AUDIO, 'a=rtpmap:112 opus/48000/2'];
  const other = ['m=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:2', 'a=rtpmap:111 opus/48000/2'];
  const offer = sdp(...two, 'a=fmtp:112 stereo=1;minptime=10', 'a=fmtp:111 stereo=0', ...other);
  const answer = sdp(...two, 'a=fmtp:112 minptime=10', ...other);
  const taken = sdp(...two, 'a=fmtp:112 minptime=10;stereo=1', ...other);
  assert.equal(withOfferedStereo(answer, offer), taken);
  assert.equal(withOfferedStereo(answer, answer), answer);
  const sprop = sdp(...AUDIO, 'a=fmtp:111 sprop-stereo=1');
  assert.equal(withOfferedStereo(sdp(...AUDIO), sprop), sdp(...AUDIO, 'a=fmtp:111 stereo=1'));
});

test('formats are written behind the rtpmap of Opus, and nothing else is changed', () => {
  const video = ['m=video 9 UDP/TLS/RTP/SAVPF 96', 'a=mid:0', 'a=rtpmap:96 VP8/90000'];
  const rest = ['a=fmtp:96 max-fs=3600', 'a=rtcp-fb:96 nack'];
  const given = sdp(...AUDIO, 'a=rtcp-fb:111 nack', 'a=fmtp:111 useinbandfec=1', ...video, ...rest);
  const formats = new Map([['1', { stereo: true, dtx: true }]]);
  const written = 'a=fmtp:111 useinbandfec=1;stereo=1;sprop-stereo=1;usedtx=1';
  assert.equal(
    withAudioFormats(given, (mid) => formats.get(mid)),
    sdp(...AUDIO, written, 'a=rtcp-fb:111 nack', ...video, ...rest),
  );
  const none = sdp(...AUDIO, 'a=rtcp-fb:111 nack', ...video);
  assert.equal(
    withAudioFormats(none, () => undefined),
    none,
  );
});

test('lines that end otherwise are lines all the same', () => {
  const given = sdp(...AUDIO, 'a=fmtp:111 usedtx=1').replaceAll('\r', '');
  const mono = withAudioFormats(given, () => ({ stereo: false, dtx: false }));
  assert.doesNotMatch(mono, /usedtx/);
});

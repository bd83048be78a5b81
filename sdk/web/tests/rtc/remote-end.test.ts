import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RemoteEnd } from '../../src/rtc/remote-end';

const print = (value: string): string => `a=fingerprint:sha-256 ${value}\r\n`;
const line = (mid: number, ...more: string[]): string =>
  [`m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:${mid}\r\n`, ...more].join('');
const PASSIVE = 'a=setup:passive\r\n';
const HEAD = 'v=0\r\n';
const FIRST = HEAD + line(0, print('AA:BB'), PASSIVE);

const isTaken = (end: RemoteEnd, sdp: string): boolean => {
  try {
    end.check(sdp);
    return true;
  } catch (error) {
    assert.equal((error as Error).name, 'OT_UNEXPECTED_SERVER_RESPONSE');
    return false;
  }
};

describe('the other end of a transport', () => {
  for (const [what, sdp, isSame] of [
    ['the same', FIRST, true],
    ['in other letters', FIRST.replace('AA:BB', 'aa:bb').replace('sha', 'SHA'), true],
    ['of more m-lines', FIRST + line(1, print('AA:BB'), PASSIVE), true],
    ['for the whole session, as Firefox writes it', HEAD + print('AA:BB') + line(0, PASSIVE), true],
    ['with an m-line that is rejected', FIRST + 'm=video 0 UDP/TLS/RTP/SAVPF 0\r\n', true],
    ['another certificate', FIRST.replace('AA:BB', 'AA:BC'), false],
    ['another kind of name', FIRST.replace('sha-256', 'sha-512'), false],
    ['one more', FIRST + print('CC:DD'), false],
    ['another one of a later m-line', FIRST + line(1, print('CC:DD'), PASSIVE), false],
    ['another one of an earlier m-line', HEAD + line(1, print('CC:DD')) + FIRST, false],
    ['another role', FIRST.replace('passive', 'active'), false],
    ['two roles', FIRST + line(1, 'a=setup:active\r\n'), false],
    ['none', HEAD + line(0), false],
    ['no role', HEAD + line(0, print('AA:BB')), false],
    [
      'another one in lines that end otherwise',
      FIRST.replace('AA', 'CC').replaceAll('\r', ''),
      false,
    ],
  ] as const) {
    test(`${isSame ? 'may be' : 'may not be'} ${what}`, () => {
      const end = new RemoteEnd();
      end.check(FIRST);
      end.remember(FIRST);
      assert.equal(isTaken(end, sdp), isSame);
      // Whatever else is applied, the first one stays.
      end.remember(sdp);
      assert.equal(isTaken(end, FIRST), true);
    });
  }

  test('is nobody before a description was applied', () => {
    const end = new RemoteEnd();
    end.check(FIRST);
    assert.equal(isTaken(end, FIRST.replace('AA', 'CC')), true);
    assert.equal(isTaken(end, FIRST + line(1, print('CC:DD'), PASSIVE)), false);
  });
});

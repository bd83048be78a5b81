import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { readLink, writeLink } from '../src/link';
import { enterRoom } from '../src/rooms';

const { fetch } = globalThis;
afterEach(() => {
  globalThis.fetch = fetch;
});

const part = (value: unknown): string => btoa(JSON.stringify(value)).replaceAll('=', '');
const token = (session_id: unknown): string =>
  `${part({ alg: 'HS256' })}.${part({ session_id })}.x`;

async function outcome(room: string | null, body: unknown, status = 200): Promise<string> {
  globalThis.fetch = () => Promise.resolve(new Response(JSON.stringify(body), { status }));
  return enterRoom(room, 'Ada').then(
    ({ sessionId }) => sessionId,
    ({ name }: Error) => name,
  );
}

test('a room that was not asked for is not entered', async () => {
  const good = { apiKey: 'k', sessionId: 'mine', token: token('mine') };
  assert.equal(await outcome('mine', good), 'mine');
  assert.equal(await outcome(null, good), 'mine');
  const other = { ...good, sessionId: 'other', token: token('other') };
  for (const [room, body] of [
    ['mine', other],
    ['mine', { ...good, token: token('other') }],
    [null, { ...good, token: token('other') }],
    [null, { ...good, token: 'none' }],
  ] as const) {
    assert.equal(await outcome(room, body), 'ROOM_ANOTHER');
  }
  assert.equal(await outcome('mine', { ...good, sessionId: ['mine'] }), 'ROOM_REFUSED');
  assert.equal(await outcome('mine', null), 'ROOM_REFUSED');
});

test('refusals have names', async () => {
  assert.equal(await outcome('gone', {}, 404), 'ROOM_UNKNOWN');
  assert.equal(await outcome(null, {}, 404), 'ROOMS_OFF');
  assert.equal(await outcome(null, {}, 503), 'ROOM_REFUSED');
});

test('a link keeps room and secret, and odd ones are taken as they are', () => {
  const link = writeLink('https://example.org/?x=1', 'a b', 'ä#%');
  assert.deepEqual(readLink(new URL(link)), { room: 'a b', secret: 'ä#%' });
  assert.ok(!new URL(link).search.includes('ä'));
  assert.deepEqual(readLink(new URL('https://example.org/#%')), { room: null, secret: '%' });
});

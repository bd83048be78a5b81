// @ts-check
/** @typedef {{apiKey: string, sessionId: string, token: string}} Admission */

/** @param {string} name @returns {Error} whose sentence `sentences.js` has */
const refusal = (name) => Object.assign(new Error('The server did not open the room.'), { name });

/**
 * Asks the server for a room: a new one, or the way into one that exists.
 * @param {string | null} room @param {string} name
 * @returns {Promise<Admission>}
 */
export async function enterRoom(room, name) {
  const path = room ? `/v1/rooms/${encodeURIComponent(room)}` : '/v1/rooms';
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  const body = await response.json().catch(() => null);
  const isMissing = response.status === 404;
  if (isMissing) throw refusal(room ? 'ROOM_UNKNOWN' : 'ROOMS_OFF');
  if (!response.ok) throw refusal('ROOM_REFUSED');
  return checked(body, room);
}

/**
 * The way into the room that was asked for, and into no other: the secret of one room must not
 * come to serve another one.
 * @param {any} body @param {string | null} room
 * @returns {Admission}
 */
function checked(body, room) {
  const { apiKey, sessionId, token } = body ?? {};
  if (![apiKey, sessionId, token].every((text) => typeof text === 'string' && text !== '')) {
    throw refusal('ROOM_REFUSED');
  }
  const isAsked = room === null || room === sessionId;
  if (!isAsked || sessionOf(token) !== sessionId) throw refusal('ROOM_ANOTHER');
  return { apiKey, sessionId, token };
}

/** The session that a token is for. @param {string} token @returns {unknown} */
function sessionOf(token) {
  try {
    const [, claims = ''] = token.split('.');
    return JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/'))).session_id;
  } catch {
    return undefined;
  }
}

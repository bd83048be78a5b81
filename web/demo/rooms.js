// @ts-check
/** @typedef {{apiKey: string, sessionId: string, token: string}} Admission */

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
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw Object.assign(new Error(body.message ?? 'The server did not open the room.'), {
      name: response.status === 404 ? 'ROOM_UNKNOWN' : 'ROOM_REFUSED',
    });
  }
  return body;
}

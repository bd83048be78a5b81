/** The server's door: it opens a room, or the way into one that exists. */

export interface Admission {
  readonly apiKey: string;
  readonly sessionId: string;
  readonly token: string;
}

/** An error that has a sentence in every language. */
export function named(name: string): Error {
  return Object.assign(new Error(name), { name });
}

/** Asks the server for a new room (`null`), or for the way into one that exists. */
export async function enterRoom(room: string | null, name: string): Promise<Admission> {
  const path = room ? `/v1/rooms/${encodeURIComponent(room)}` : '/v1/rooms';
  const response = await fetch(path, {
    method: 'POST',
    // This door leads to rooms of this server, and to no other one.
    redirect: 'error',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name }),
  }).catch(() => {
    throw named('OT_CONNECT_FAILED');
  });
  const body: unknown = await response.json().catch(() => null);
  if (response.status === 404) throw named(room ? 'ROOM_UNKNOWN' : 'ROOMS_OFF');
  if (!response.ok) throw named('ROOM_REFUSED');
  return checked(body, room);
}

/**
 * The way into the room that was asked for, and into no other: the secret of one room must not
 * come to serve another one.
 */
function checked(body: unknown, room: string | null): Admission {
  const { apiKey, sessionId, token } = (body ?? {}) as Record<string, unknown>;
  if (!isText(apiKey) || !isText(sessionId) || !isText(token)) throw named('ROOM_REFUSED');
  const isAsked = room === null || room === sessionId;
  if (!isAsked || sessionOf(token) !== sessionId) throw named('ROOM_ANOTHER');
  return { apiKey, sessionId, token };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** The session that a token is for. */
function sessionOf(token: string): unknown {
  try {
    const [, claims = ''] = token.split('.');
    const text = atob(claims.replaceAll('-', '+').replaceAll('_', '/'));
    return (JSON.parse(text) as { session_id?: unknown }).session_id;
  } catch {
    return undefined;
  }
}

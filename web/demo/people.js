// @ts-check
/// <reference path="./ot.d.ts" />
/** The people in the call: one tile for each stream, and one for each person without a stream. */

import { ENCRYPTION_LABELS, TILE, Tile } from './tiles.js';

const SPEAKING_LEVEL = 0.12;
const SPEAKING_HOLD_MS = 800;
const RETRY_MS = 2_000;
export const WIDGET = { insertMode: 'append', width: '100%', height: '100%', showControls: false };

/** @param {any} connection what the room's token says of its owner */
function nameOf(connection) {
  try {
    return String(JSON.parse(connection.data).name || 'Guest');
  } catch {
    return 'Guest';
  }
}

export class People {
  /**
   * @param {import("./tiles.js").Grid} grid
   * @param {HTMLTemplateElement} template
   * @param {(type: string, detail: string) => void} notify
   */
  constructor(grid, template, notify) {
    this.grid = grid;
    this.template = template;
    this.notify = notify;
    /** Of others. @type {Map<string, {name: string, streams: Set<string>}>} */
    this.persons = new Map();
    /** Streams whose video the connection does not carry. @type {Set<string>} */
    this.slow = new Set();
    /** @type {Map<string, any>} */ this.subscribers = new Map();
    /** By tile. @type {Map<string, ReturnType<typeof setTimeout>>} */ this.speaking = new Map();
    /** @type {Map<string, {received: number, lost: number}>} */ this.seen = new Map();
  }

  /** @param {any} session */
  follow(session) {
    /** @param {any} connection */
    const isOwn = (connection) => connection.connectionId === session.connection?.connectionId;
    session.on({
      connectionCreated: ({ connection }) => isOwn(connection) || this.#come(connection),
      connectionDestroyed: ({ connection }) => isOwn(connection) || this.#leave(connection),
      streamCreated: ({ stream }) => this.#show(session, stream),
      streamDestroyed: ({ stream }) => this.#forget(stream),
      streamPropertyChanged: ({ stream }) => this.#refresh(stream),
    });
  }

  /** @param {any} connection */
  #come(connection) {
    const id = connection.connectionId;
    this.persons.set(id, { name: nameOf(connection), streams: new Set() });
    this.notify('announce', `${nameOf(connection)} joined`);
    this.#showPerson(id);
  }

  /** @param {any} connection */
  #leave(connection) {
    const id = connection.connectionId;
    const person = this.persons.get(id);
    this.persons.delete(id);
    this.grid.remove(TILE.person(id));
    if (person) this.notify('announce', `${person.name} left`);
  }

  /** Without a stream of their own, people still see and hear the others. @param {string} id */
  #showPerson(id) {
    const person = this.persons.get(id);
    const key = TILE.person(id);
    if (!person || person.streams.size > 0) {
      this.grid.remove(key);
    } else if (!this.grid.tiles.has(key)) {
      const tile = new Tile(this.template, { name: person.name, kind: 'person', own: false });
      tile.setVideo(false);
      tile.setPresence('no camera, no microphone');
      this.grid.add(key, tile);
    }
  }

  /** @param {any} session @param {any} stream */
  #show(session, stream) {
    const id = stream.streamId;
    const kind = stream.videoType === 'screen' ? 'screen' : 'camera';
    const owner = stream.connection.connectionId;
    if (kind === 'camera') this.persons.get(owner)?.streams.add(id);
    this.#showPerson(owner);
    const tile = new Tile(this.template, { name: stream.name || 'Guest', kind, own: false });
    this.grid.add(TILE.stream(id), tile);
    this.#refresh(stream);
    this.#subscribe(session, stream);
  }

  /** @param {any} session @param {any} stream */
  #subscribe(session, stream) {
    const id = stream.streamId;
    const tile = this.grid.tiles.get(TILE.stream(id));
    if (!tile || session.connection === undefined) return;
    const subscriber = session.subscribe(stream, tile.media, WIDGET, (error) => {
      if (this.subscribers.get(id) !== subscriber) return;
      tile.setNotice('error', error ? 'No connection yet. Trying again…' : null);
      if (error) setTimeout(() => this.#subscribe(session, stream), RETRY_MS);
    });
    this.subscribers.set(id, subscriber);
    subscriber.on({
      encryptionStateChanged: (event) => tile.setEncryption(ENCRYPTION_LABELS[event.newValue]),
      audioLevelUpdated: (event) => this.level(TILE.stream(id), event.audioLevel),
      audioBlocked: () => this.notify('blocked', ''),
      videoDisabled: ({ reason }) => {
        if (reason === 'quality') this.slow.add(id);
        this.#refresh(stream);
      },
      videoEnabled: ({ reason }) => {
        if (reason === 'quality') this.slow.delete(id);
        this.#refresh(stream);
      },
    });
  }

  /** @param {any} stream */
  #forget(stream) {
    const id = stream.streamId;
    const owner = stream.connection.connectionId;
    this.subscribers.delete(id);
    this.slow.delete(id);
    this.seen.delete(id);
    this.grid.remove(TILE.stream(id));
    this.persons.get(owner)?.streams.delete(id);
    this.#showPerson(owner);
  }

  /** @param {any} stream */
  #refresh(stream) {
    const tile = this.grid.tiles.get(TILE.stream(stream.streamId));
    tile?.setVideo(stream.hasVideo);
    tile?.setAudio(stream.hasAudio || stream.videoType === 'screen');
    // A camera that is off is no matter of the connection.
    const isSlow = stream.hasVideo && this.slow.has(stream.streamId);
    tile?.setNotice('quality', isSlow ? 'Video paused: the connection is too slow.' : null);
  }

  /** @param {string} key one of TILE @param {number} level */
  level(key, level) {
    if (level < SPEAKING_LEVEL) return;
    this.grid.tiles.get(key)?.setSpeaking(true);
    clearTimeout(this.speaking.get(key));
    const quiet = () => this.grid.tiles.get(key)?.setSpeaking(false);
    this.speaking.set(key, setTimeout(quiet, SPEAKING_HOLD_MS));
  }

  async measure() {
    for (const [id, subscriber] of this.subscribers) {
      const stats = await subscriber.getStats().catch(() => null);
      const media = stats?.video?.packetsReceived ? stats.video : stats?.audio;
      if (!media) continue;
      const before = this.seen.get(id) ?? { received: 0, lost: 0 };
      const received = media.packetsReceived - before.received;
      const lost = Math.max(0, media.packetsLost - before.lost);
      this.seen.set(id, { received: media.packetsReceived, lost: media.packetsLost });
      this.grid.tiles.get(TILE.stream(id))?.setQuality(qualityOf(received, lost));
    }
  }

  /** The session is gone, and everybody of it; own tiles stay. */
  clear() {
    for (const id of this.subscribers.keys()) this.grid.remove(TILE.stream(id));
    for (const id of this.persons.keys()) this.grid.remove(TILE.person(id));
    this.subscribers.clear();
    this.persons.clear();
    this.slow.clear();
    this.seen.clear();
  }
}

/** @param {number} received @param {number} lost packets since the last look @returns {0|1|2|3} */
function qualityOf(received, lost) {
  if (received + lost <= 0) return 0;
  const share = lost / (received + lost);
  if (share > 0.08) return 1;
  return share > 0.02 ? 2 : 3;
}

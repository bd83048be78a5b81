// @ts-check
/// <reference path="./ot.d.ts" />
/** One call: a session, what we publish into it and what we see of the others. */

import { Tile } from './tiles.js';

const QUALITY_INTERVAL_MS = 2_000;
const SPEAKING_LEVEL = 0.12;
const SPEAKING_HOLD_MS = 800;
const WIDGET = { insertMode: 'append', width: '100%', height: '100%', showControls: false };

/** @param {(done: (error?: Error) => void) => unknown} start @returns {Promise<void>} */
function completion(start) {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error) : resolve()));
  });
}

export class Call extends EventTarget {
  /**
   * @param {import("./tiles.js").Grid} grid
   * @param {HTMLTemplateElement} template
   */
  constructor(grid, template) {
    super();
    this.grid = grid;
    this.template = template;
    /** @type {any} */ this.session = null;
    /** @type {any} */ this.publisher = null;
    /** @type {any} */ this.screen = null;
    /** @type {Map<string, any>} */ this.subscribers = new Map();
    /** @type {Map<string, ReturnType<typeof setTimeout>>} */ this.speaking = new Map();
    /** @type {Map<string, {received: number, lost: number}>} */ this.seen = new Map();
  }

  /**
   * @param {import("./rooms.js").Admission} admission
   * @param {{name: string, secret: string, audio: boolean, video: boolean}} wish
   */
  async join(admission, wish) {
    this.name = wish.name;
    const session = OT.initSession(admission.apiKey, admission.sessionId, {
      encryptionSecret: wish.secret,
    });
    this.session = session;
    session.on({
      streamCreated: (event) => this.#show(event.stream),
      streamDestroyed: (event) => this.#forget(event.stream.streamId),
      streamPropertyChanged: (event) => this.#refresh(event.stream),
      sessionReconnecting: () => this.#tell('state', 'Connection lost. Reconnecting…'),
      sessionReconnected: () => this.#tell('state', ''),
      sessionDisconnected: (event) => this.#tell('ended', event.reason),
    });
    const publishing = wish.audio || wish.video ? this.#prepare(wish) : null;
    await completion((done) => session.connect(admission.token, done));
    if (publishing) {
      this.publisher = await publishing;
      await completion((done) => session.publish(this.publisher, done));
    }
    this.timer = setInterval(() => void this.#measure(), QUALITY_INTERVAL_MS);
  }

  /** @param {{name: string, audio: boolean, video: boolean}} wish */
  async #prepare(wish) {
    const tile = new Tile(this.template, { name: wish.name, kind: 'camera', own: true });
    tile.setVideo(wish.video);
    tile.setAudio(wish.audio);
    this.grid.add('own', tile);
    const properties = {
      ...WIDGET,
      name: wish.name,
      mirror: true,
      resolution: '1280x720',
      audioSource: wish.audio ? undefined : null,
      videoSource: wish.video ? undefined : null,
    };
    const publisher = await OT.initPublisher.promise(tile.media, properties);
    publisher.on('audioLevelUpdated', (event) => this.#level('own', event.audioLevel));
    publisher.on('muteForced', () => {
      tile.setAudio(false);
      this.#tell('muted', '');
    });
    return publisher;
  }

  /** @param {any} stream */
  async #show(stream) {
    const id = stream.streamId;
    const kind = stream.videoType === 'screen' ? 'screen' : 'camera';
    const tile = new Tile(this.template, { name: stream.name || 'Guest', kind, own: false });
    this.grid.add(id, tile);
    this.#refresh(stream);
    this.#tell('announce', `${stream.name || 'Guest'} joined`);
    const subscriber = this.session.subscribe(stream, tile.media, WIDGET, (error) => {
      if (error) tile.setNotice(error.message);
    });
    this.subscribers.set(id, subscriber);
    subscriber.on({
      connected: () => tile.setSeal('sealed'),
      encryptionSecretMismatch: () => tile.setSeal('mismatch'),
      encryptionSecretMatch: () => tile.setSeal('sealed'),
      audioLevelUpdated: (event) => this.#level(id, event.audioLevel),
      audioBlocked: () => this.#tell('blocked', ''),
      videoDisabled: () => tile.setNotice('Picture paused: the connection is too slow.'),
      videoEnabled: () => tile.setNotice(null),
    });
  }

  /** @param {string} id */
  #forget(id) {
    const tile = this.grid.tiles.get(id);
    if (tile) this.#tell('announce', `${tile.name} left`);
    this.subscribers.delete(id);
    this.seen.delete(id);
    this.grid.remove(id);
  }

  /** @param {any} stream */
  #refresh(stream) {
    const tile = this.grid.tiles.get(stream.streamId);
    tile?.setVideo(stream.hasVideo);
    tile?.setAudio(stream.hasAudio);
  }

  /** @param {string} id @param {number} level */
  #level(id, level) {
    if (level < SPEAKING_LEVEL) return;
    this.grid.tiles.get(id)?.setSpeaking(true);
    clearTimeout(this.speaking.get(id));
    const quiet = () => this.grid.tiles.get(id)?.setSpeaking(false);
    this.speaking.set(id, setTimeout(quiet, SPEAKING_HOLD_MS));
  }

  async #measure() {
    for (const [id, subscriber] of this.subscribers) {
      const stats = await subscriber.getStats().catch(() => null);
      const media = stats?.video?.packetsReceived ? stats.video : stats?.audio;
      if (!media) continue;
      const before = this.seen.get(id) ?? { received: 0, lost: 0 };
      const received = media.packetsReceived - before.received;
      const lost = Math.max(0, media.packetsLost - before.lost);
      this.seen.set(id, { received: media.packetsReceived, lost: media.packetsLost });
      this.grid.tiles.get(id)?.setQuality(qualityOf(received, lost));
    }
  }

  /** @param {boolean} on */
  setAudio(on) {
    this.publisher?.publishAudio(on);
    this.grid.tiles.get('own')?.setAudio(on);
  }

  /** @param {boolean} on */
  setVideo(on) {
    this.publisher?.publishVideo(on);
    this.grid.tiles.get('own')?.setVideo(on);
  }

  async shareScreen() {
    const tile = new Tile(this.template, {
      name: `${this.name}'s screen`,
      kind: 'screen',
      own: true,
    });
    const properties = { ...WIDGET, name: tile.name, videoSource: 'screen', audioSource: null };
    this.screen = await OT.initPublisher.promise(tile.media, properties);
    this.grid.add('screen', tile);
    this.screen.on('mediaStopped', () => this.stopScreen());
    await completion((done) => this.session.publish(this.screen, done));
  }

  stopScreen() {
    if (!this.screen) return;
    this.session.unpublish(this.screen);
    this.screen.destroy();
    this.screen = null;
    this.grid.remove('screen');
    this.#tell('screen', '');
  }

  /** @param {string} secret */
  async changeSecret(secret) {
    await this.session.setEncryptionSecret(secret);
  }

  /** @returns {Promise<string>} */
  verificationCode() {
    return this.session.getVerificationCode();
  }

  async leave() {
    clearInterval(this.timer);
    this.stopScreen();
    this.publisher?.destroy();
    await this.session?.disconnect();
    this.subscribers.clear();
    this.grid.clear();
  }

  /** @param {string} type @param {string} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {number} received @param {number} lost packets since the last look @returns {0|1|2|3} */
function qualityOf(received, lost) {
  if (received + lost <= 0) return 0;
  const share = lost / (received + lost);
  if (share > 0.08) return 1;
  return share > 0.02 ? 2 : 3;
}

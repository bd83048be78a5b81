// @ts-check
/// <reference path="./ot.d.ts" />
/** One call: a session and what we publish into it. It comes back by itself from a lost server. */

import { People, WIDGET } from './people.js';
import { enterRoom } from './rooms.js';
import { ENCRYPTION_LABELS, TILE, Tile } from './tiles.js';

const QUALITY_INTERVAL_MS = 2_000;
/** A server that is back is found within a second or two; more clients than one wait for it. */
const FIRST_RETRY_MS = 300;
const MAX_RETRY_MS = 2_000;
/** Reasons of a refusal that another attempt does not change. */
const FINAL = [
  'ROOM_UNKNOWN',
  'ROOM_ANOTHER',
  'OT_UNSUPPORTED_BROWSER',
  'OT_INVALID_ENCRYPTION_SECRET',
];

/** @param {(done: (error?: Error) => void) => unknown} start @returns {Promise<void>} */
function completion(start) {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error) : resolve()));
  });
}

/**
 * What `sentences.js` calls the end of a session.
 * @param {{reason: string, error?: {name: string}}} event
 */
function nameOfEnd({ reason, error }) {
  if (reason !== 'forceDisconnected' || !error) return reason;
  return error.name === 'OT_RATE_LIMIT_EXCEEDED' ? 'MESSAGE_FLOOD' : error.name;
}

/** @param {number} attempt from 0 */
function retryDelay(attempt) {
  return Math.min(FIRST_RETRY_MS * 2 ** attempt, MAX_RETRY_MS) * (0.5 + Math.random() / 2);
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
    this.people = new People(grid, template, (type, detail) => this.#notify(type, detail));
    /** @type {any} */ this.session = null;
    /** @type {any} */ this.publisher = null;
    /** @type {any} */ this.screen = null;
    this.hasLeft = false;
  }

  /**
   * @param {import("./rooms.js").Admission} admission
   * @param {{name: string, secret: string, audio: boolean, video: boolean}} choices
   */
  async join(admission, choices) {
    this.name = choices.name;
    const session = OT.initSession(admission.apiKey, admission.sessionId, {
      encryptionSecret: choices.secret,
    });
    this.session = session;
    this.people.follow(session);
    session.on({
      sessionReconnecting: () => this.#notify('state', 'Connection lost. Reconnecting…'),
      sessionReconnected: () => this.#notify('state', ''),
      sessionDisconnected: (event) => this.#end(nameOfEnd(event)),
    });
    const publishing = this.#prepare(choices);
    publishing.catch(() => undefined);
    await completion((done) => session.connect(admission.token, done));
    this.publisher = await publishing;
    await this.#publish(this.publisher);
    this.timer = setInterval(() => void this.people.measure(), QUALITY_INTERVAL_MS);
  }

  /** @param {any} publisher */
  async #publish(publisher) {
    if (publisher) await completion((done) => this.session.publish(publisher, done));
  }

  /** @param {{name: string, audio: boolean, video: boolean}} choices */
  async #prepare(choices) {
    const tile = new Tile(this.template, { name: choices.name, kind: 'camera', own: true });
    tile.setVideo(choices.video);
    tile.setAudio(choices.audio);
    this.grid.add(TILE.camera, tile);
    if (!choices.audio && !choices.video) {
      tile.setPresence('no camera, no microphone');
      return null;
    }
    const properties = {
      ...WIDGET,
      name: choices.name,
      mirror: true,
      resolution: '1280x720',
      audioSource: choices.audio ? undefined : null,
      videoSource: choices.video ? undefined : null,
    };
    const publisher = await OT.initPublisher.promise(tile.media, properties);
    this.#keep(publisher);
    publisher.on('audioLevelUpdated', (event) => this.people.level(TILE.camera, event.audioLevel));
    publisher.on('encryptionStateChanged', (event) =>
      tile.setEncryption(ENCRYPTION_LABELS[event.newValue]),
    );
    publisher.on('muteForced', () => {
      tile.setAudio(false);
      this.#notify('muted', '');
    });
    return publisher;
  }

  /** Camera and screen stay as they are while the server is away. @param {any} publisher */
  #keep(publisher) {
    publisher.on('streamDestroyed', (event) => {
      if (event.reason === 'networkDisconnected') event.preventDefault();
    });
  }

  /** @param {string} reason */
  #end(reason) {
    this.people.clear();
    if (this.hasLeft || reason === 'clientDisconnected') return;
    if (reason !== 'networkDisconnected') {
      this.#notify('ended', reason);
      return;
    }
    this.#notify('state', 'Connection lost. Joining again…');
    void this.#rejoin(0);
  }

  /** @param {number} attempt */
  async #rejoin(attempt) {
    await new Promise((resolve) => setTimeout(resolve, retryDelay(attempt)));
    if (this.hasLeft) return;
    try {
      const admission = await enterRoom(this.session.sessionId, this.name ?? '');
      if (this.hasLeft) return;
      await completion((done) => this.session.connect(admission.token, done));
      await Promise.all([this.#publish(this.publisher), this.#publish(this.screen)]);
      this.#notify('state', '');
    } catch (error) {
      // A connection that came about and is lost again tells so itself.
      if (this.hasLeft || this.session.connection) return;
      const { name } = error instanceof Error ? error : new Error();
      if (FINAL.includes(name)) this.#notify('ended', name);
      else void this.#rejoin(attempt + 1);
    }
  }

  /** @param {boolean} on */
  setAudio(on) {
    this.publisher?.publishAudio(on);
    this.grid.tiles.get(TILE.camera)?.setAudio(on);
  }

  /** @param {boolean} on */
  setVideo(on) {
    this.publisher?.publishVideo(on);
    this.grid.tiles.get(TILE.camera)?.setVideo(on);
  }

  async shareScreen() {
    const tile = new Tile(this.template, {
      name: `${this.name}'s screen`,
      kind: 'screen',
      own: true,
    });
    const properties = { ...WIDGET, name: tile.name, videoSource: 'screen', audioSource: null };
    this.screen = await OT.initPublisher.promise(tile.media, properties);
    this.grid.add(TILE.screen, tile);
    this.#keep(this.screen);
    this.screen.on('mediaStopped', () => this.stopScreen());
    await this.#publish(this.screen);
  }

  stopScreen() {
    if (!this.screen) return;
    this.session.unpublish(this.screen);
    this.screen.destroy();
    this.screen = null;
    this.grid.remove(TILE.screen);
    this.#notify('screen', '');
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
    this.hasLeft = true;
    clearInterval(this.timer);
    this.stopScreen();
    this.publisher?.destroy();
    await this.session?.disconnect();
    this.people.clear();
    this.grid.clear();
  }

  /** @param {string} type @param {string} detail */
  #notify(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// @ts-check
/** The grid of people: one tile per stream, sized so that all of them are as large as can be. */

const ASPECT = 16 / 9;
const GAP_PX = 10;

/**
 * The widest tile with which `count` tiles of 16:9 fit into an area.
 * @param {number} count @param {number} width @param {number} height pixels
 * @returns {{columns: number, tileWidth: number}}
 */
export function layOut(count, width, height) {
  let best = { columns: 1, tileWidth: 0 };
  for (let columns = 1; columns <= Math.max(count, 1); columns += 1) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - GAP_PX * (columns - 1)) / columns;
    const byHeight = ((height - GAP_PX * (rows - 1)) / rows) * ASPECT;
    const tileWidth = Math.floor(Math.min(byWidth, byHeight));
    if (tileWidth > best.tileWidth) best = { columns, tileWidth };
  }
  return best;
}

const ENCRYPTION_WORDS = { waiting: 'waiting', encrypted: 'encrypted', mismatch: 'other secret' };
/** What the SDK says of a stream's encryption, and nothing else. */
export const ENCRYPTION_LABELS = /** @type {const} */ ({
  none: 'waiting',
  pending: 'waiting',
  encrypted: 'encrypted',
  failing: 'mismatch',
});
/** What a tile is called: the server names streams and people, and none of those names takes one that the page has chosen. */
export const TILE = {
  camera: 'own:camera',
  screen: 'own:screen',
  /** @param {string} connectionId */
  person: (connectionId) => `person:${connectionId}`,
  /** @param {string} streamId */
  stream: (streamId) => `stream:${streamId}`,
};
const NOTICES = ['encryption', 'error', 'quality'];
const QUALITY_WORDS = ['unknown', 'poor', 'fair', 'good'];

/** One person's tile. */
export class Tile {
  /** @param {HTMLTemplateElement} template @param {{name: string, kind: string, own: boolean}} person */
  constructor(template, person) {
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.element = /** @type {HTMLElement} */ (copy.querySelector('.tile'));
    this.media = this.#part('.tile-media');
    /** @type {Map<string, string>} */ this.notices = new Map();
    this.name = person.own ? `${person.name} (you)` : person.name;
    this.element.dataset.kind = person.kind;
    this.element.dataset.own = String(person.own);
    this.#part('.tile-name').textContent = this.name;
    this.#part('.tile-initials').textContent = initials(person.name);
    this.setEncryption('waiting');
  }

  /** @param {keyof typeof ENCRYPTION_WORDS} state */
  setEncryption(state) {
    const encryption = this.#part('.tile-encryption');
    encryption.dataset.state = state;
    encryption.textContent = ENCRYPTION_WORDS[state];
    this.setNotice(
      'encryption',
      state === 'mismatch' ? `${this.name} uses another secret. Compare your codes.` : null,
    );
    this.#describe();
  }

  /**
   * The most important one is shown; one that is over does not take another along.
   * @param {"encryption" | "error" | "quality"} kind @param {string | null} text
   */
  setNotice(kind, text) {
    if (text === null) this.notices.delete(kind);
    else this.notices.set(kind, text);
    const shown = NOTICES.map((one) => this.notices.get(one)).find((one) => one !== undefined);
    const notice = this.#part('.tile-notice');
    notice.hidden = shown === undefined;
    notice.textContent = shown ?? '';
  }

  /** In place of the encryption, where nothing is sent that could be encrypted. @param {string} text */
  setPresence(text) {
    const encryption = this.#part('.tile-encryption');
    encryption.dataset.state = 'present';
    encryption.textContent = text;
    this.#part('.tile-muted').hidden = true;
    this.#describe();
  }

  /** @param {boolean} on */
  setVideo(on) {
    this.element.dataset.video = on ? 'on' : 'off';
  }

  /** @param {boolean} on */
  setAudio(on) {
    this.#part('.tile-muted').hidden = on;
    this.#describe();
  }

  /** @param {boolean} speaking */
  setSpeaking(speaking) {
    this.element.dataset.speaking = String(speaking);
  }

  /** @param {0 | 1 | 2 | 3} level */
  setQuality(level) {
    const quality = this.#part('.tile-quality');
    quality.dataset.level = String(level);
    quality.setAttribute('aria-label', `Connection ${QUALITY_WORDS[level]}`);
  }

  #describe() {
    const muted = this.#part('.tile-muted').hidden ? '' : ', muted';
    this.element.setAttribute(
      'aria-label',
      `${this.name}, ${this.#part('.tile-encryption').textContent}${muted}`,
    );
  }

  /** @param {string} selector @returns {HTMLElement} */
  #part(selector) {
    return /** @type {HTMLElement} */ (this.element.querySelector(selector));
  }
}

/** @param {string} name */
function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  return words
    .slice(0, 2)
    .map((word) => [...word][0]?.toUpperCase() ?? '')
    .join('');
}

/** Keeps the tiles of `container` laid out. */
export class Grid {
  /** @param {HTMLElement} container */
  constructor(container) {
    this.container = container;
    /** @type {Map<string, Tile>} */
    this.tiles = new Map();
    new ResizeObserver(() => this.arrange()).observe(container);
  }

  /** @param {string} key one of TILE @param {Tile} tile */
  add(key, tile) {
    this.tiles.get(key)?.element.remove();
    this.tiles.set(key, tile);
    this.container.append(tile.element);
    this.arrange();
  }

  /** @param {string} key */
  remove(key) {
    this.tiles.get(key)?.element.remove();
    this.tiles.delete(key);
    this.arrange();
  }

  clear() {
    for (const key of [...this.tiles.keys()]) this.remove(key);
  }

  arrange() {
    const style = getComputedStyle(this.container);
    const width = this.container.clientWidth - parseFloat(style.paddingLeft) * 2;
    const { tileWidth } = layOut(this.tiles.size, width, this.container.clientHeight);
    this.container.style.setProperty('--tile-width', `${tileWidth}px`);
  }
}

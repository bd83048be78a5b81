/** The tiles on the page: made, changed and removed as `tiles.ts` says, laid out as `layout.ts` says. */
import { mark, write } from './elements';
import { type Box, layOut, layOutStage } from './layout';
import { TILE } from './state';
import { initials } from './texts';
import type { Tile } from './tiles';
import type { Words } from './words';

/** How the tile calls itself. */
function titleOf(tile: Tile, words: Words): string {
  if (tile.kind !== 'screen') return words.name(tile.name);
  return tile.isOwn ? words.say('tile.ownScreen') : words.say('tile.screen', { name: tile.name });
}

/** What is said in place of a video. */
function statusOf(tile: Tile, words: Words): string {
  if (tile.kind === 'person') return words.say('tile.noMedia');
  if (tile.video === 'on') return '';
  return words.say(tile.video === 'off' ? 'tile.cameraOff' : 'tile.noCamera');
}

function describe(tile: Tile, words: Words): string {
  const parts = [
    titleOf(tile, words),
    tile.isOwn && tile.kind !== 'screen' ? words.say('you') : '',
    tile.encryption ? words.say(`tile.${tile.encryption}`) : '',
    tile.isMuted ? words.say('tile.muted') : '',
    statusOf(tile, words),
    tile.hasHand ? words.say('tile.hand') : '',
    tile.level === 1 ? words.say('level.1') : '',
  ];
  return parts.filter(Boolean).join(', ');
}

class TileElement {
  readonly element: HTMLElement;

  constructor(template: HTMLTemplateElement, box: HTMLElement, onPin: () => void) {
    const copy = template.content.cloneNode(true) as DocumentFragment;
    this.element = copy.firstElementChild as HTMLElement;
    this.part('tile-media').append(box);
    this.part('tile-pin').addEventListener('click', onPin);
    this.element.addEventListener('dblclick', onPin);
  }

  update(tile: Tile, words: Words): void {
    const { element } = this;
    const title = titleOf(tile, words);
    mark(element, 'data-kind', tile.kind);
    mark(element, 'data-own', String(tile.isOwn));
    mark(element, 'data-video', tile.video);
    mark(element, 'data-speaking', String(tile.isSpeaking));
    mark(element, 'data-notice', tile.notice ?? '');
    mark(element, 'aria-label', describe(tile, words));
    write(this.part('tile-name'), title);
    this.show('tile-you', tile.isOwn && tile.kind !== 'screen', words.say('you'));
    write(this.part('tile-initials'), initials(words.name(tile.name)));
    write(this.part('tile-status'), statusOf(tile, words));
    this.show('tile-muted', tile.isMuted, words.say('tile.muted'));
    this.show('tile-hand', tile.hasHand, words.say('tile.hand'));
    this.updateEncryption(tile, words);
    const { notice, name } = tile;
    this.show(
      'tile-notice',
      notice !== null,
      notice ? words.say(`notice.${notice}`, { name }) : '',
    );
    const quality = this.part('tile-quality');
    quality.hidden = tile.level === 0;
    mark(quality, 'data-level', String(tile.level));
    mark(quality, 'aria-label', words.say(`level.${tile.level}`));
    const pin = this.part('tile-pin');
    mark(pin, 'aria-pressed', String(tile.isPinned));
    mark(pin, 'aria-label', words.say('tile.pinName', { name: title }));
    mark(pin, 'title', words.say('tile.pin'));
  }

  place(box: Box | undefined, isStage: boolean): void {
    this.element.hidden = box === undefined;
    if (!box) return;
    mark(this.element, 'data-stage', String(isStage));
    const { style } = this.element;
    style.left = `${box.x}px`;
    style.top = `${box.y}px`;
    style.width = `${box.width}px`;
    style.height = `${box.height}px`;
  }

  private updateEncryption({ encryption }: Tile, words: Words): void {
    const node = this.part('tile-encryption');
    node.hidden = encryption === null;
    mark(node, 'data-state', encryption ?? 'none');
    const text = encryption ? words.say(`tile.${encryption}`) : '';
    write(this.part('tile-encryption-text'), text);
    mark(node, 'title', text);
  }

  private show(name: string, isShown: boolean, text: string): void {
    const node = this.part(name);
    node.hidden = !isShown;
    const inner = node.querySelector('.text') ?? node;
    write(inner, isShown ? text : '');
  }

  private part(name: string): HTMLElement {
    const found = this.element.querySelector<HTMLElement>(`.${name}`);
    if (!found) throw new Error(`A tile has no ${name}`);
    return found;
  }
}

export class Grid {
  private readonly tiles = new Map<string, TileElement>();
  private readonly boxes = new Map<string, HTMLElement>();
  private order: readonly Tile[] = [];
  private stage: string | null = null;
  private words: Words | undefined;

  constructor(
    private readonly list: HTMLElement,
    private readonly template: HTMLTemplateElement,
    /** Says how many have no room. */
    private readonly more: HTMLElement,
    private readonly onPin: (key: string) => void,
  ) {
    new ResizeObserver(() => this.arrange()).observe(list);
  }

  /** The element for the video of a tile, also before the tile is there. */
  box(key: string): HTMLElement {
    const box = this.boxes.get(key) ?? document.createElement('div');
    this.boxes.set(key, box);
    return box;
  }

  update(tiles: readonly Tile[], stage: string | null, words: Words): void {
    const keys = new Set(tiles.map(({ key }) => key));
    for (const key of [...this.tiles.keys()]) if (!keys.has(key)) this.remove(key);
    for (const tile of tiles) this.show(tile).update(tile, words);
    this.order = tiles;
    this.stage = stage;
    this.words = words;
    mark(this.list, 'data-count', String(tiles.length));
    this.arrange();
  }

  private show({ key }: Tile): TileElement {
    const there = this.tiles.get(key);
    if (there) return there;
    const made = new TileElement(this.template, this.box(key), () => this.onPin(key));
    this.tiles.set(key, made);
    this.list.append(made.element);
    return made;
  }

  private remove(key: string): void {
    this.tiles.get(key)?.element.remove();
    this.tiles.delete(key);
    this.boxes.delete(key);
  }

  private arrange(): void {
    const { clientWidth: width, clientHeight: height } = this.list;
    if (width === 0 || this.order.length === 0) return;
    const area = { x: 0, y: 0, width, height };
    const small = this.placing(area);
    const hidden = this.order.length - small;
    this.more.hidden = hidden === 0;
    write(this.more, hidden > 0 && this.words ? this.words.count('tile.more', hidden) : '');
  }

  /** Returns how many tiles have room. */
  private placing(area: Box): number {
    const stage = this.stage === null ? undefined : this.tiles.get(this.stage);
    const others = this.order.filter(({ key }) => key !== this.stage || !stage);
    // The own screen comes last: its owner knows it.
    const sorted = stage ? others.filter(({ key }) => key !== TILE.screen) : others;
    const rest = others.filter((tile) => !sorted.includes(tile));
    const list = [...sorted, ...rest];
    const laid = stage ? layOutStage(list.length, area) : undefined;
    const boxes = laid ? laid.others : layOut(list.length, area);
    if (laid) stage?.place(laid.stage, true);
    list.forEach(({ key }, index) => this.tiles.get(key)?.place(boxes[index], false));
    return Math.min(boxes.length, list.length) + (stage ? 1 : 0);
  }
}

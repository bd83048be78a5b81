/** The element of a Publisher or Subscriber: a box with a video, a name and few controls. */
import type { StreamEncryptionState } from '../e2ee/trust';
import { otError } from '../errors';
import { Indicators, type StreamState } from './indicators';
import { shownName } from './shown-name';

export type InsertMode = 'replace' | 'after' | 'before' | 'append';
export type FitMode = 'cover' | 'contain';
export type Target = HTMLElement | string | null | undefined;

/** Parts of the element that can be switched. */
export interface WidgetStyle {
  /** Kept, and has no effect: the element shows no level. */
  audioLevelDisplayMode: 'auto' | 'on' | 'off';
  /** URL of an image behind the video. */
  backgroundImageURI: string;
  /** The mute button; `off` hides it. */
  buttonDisplayMode: 'auto' | 'on' | 'off';
  /** The name; `off` hides it. */
  nameDisplayMode: 'auto' | 'on' | 'off';
  /** The sign of a video that the connection does not carry, or hardly; `off` hides it. */
  videoDisabledDisplayMode: 'auto' | 'on' | 'off';
}

/** How a Publisher or Subscriber looks on the page. */
export interface WidgetProperties {
  /**
   * False makes no element: the application shows the media itself, as `videoElementCreated` and
   * `mediaStreamAvailable` give it; the default is true.
   */
  insertDefaultUI?: boolean;
  /** Where the element goes; `replace`, the default, takes the place of the target's content. */
  insertMode?: InsertMode;
  /** `cover`, the default, fills the element; `contain` shows the whole frame. */
  fitMode?: FitMode;
  /** Whether the element has a mute button and a name; the default is true. */
  showControls?: boolean;
  /** CSS width, pixels as a number; the default is 264. */
  width?: string | number;
  /** CSS height, pixels as a number; the default is 198. */
  height?: string | number;
  /** As for `setStyle`. */
  style?: Partial<WidgetStyle> & Record<string, unknown>;
}

interface ViewOptions {
  readonly role: 'publisher' | 'subscriber';
  readonly id: string;
  readonly name: string;
  /** Shown in the place of a video that is off. */
  readonly initials: string;
  /** Asked for by a click, where the browser blocks the audio. */
  readonly onUnblock?: () => void;
  readonly isMirrored: boolean;
  readonly properties: WidgetProperties;
}

const LOCKS: Readonly<Record<StreamEncryptionState, string>> = {
  none: '',
  pending: '…',
  encrypted: '🔒',
  failing: '⚠',
};
const LOCK_TITLES: Readonly<Record<StreamEncryptionState, string>> = {
  none: 'Not end-to-end encrypted',
  pending: 'Waiting for the first encrypted frame',
  encrypted: 'End-to-end encrypted',
  failing: 'Encrypted with another secret',
};
const DEFAULT_WIDTH = 264;
const DEFAULT_HEIGHT = 198;

export class View {
  readonly element: HTMLElement | undefined;
  readonly video: HTMLVideoElement;
  private readonly nameLabel: HTMLElement | undefined;
  private lock: HTMLElement | undefined;
  private muteButton: HTMLButtonElement | undefined;
  private readonly indicators: Indicators | undefined;
  private wasInserted = false;

  constructor(target: Target, options: ViewOptions) {
    const { properties } = options;
    this.video = makeVideo(options, properties.fitMode ?? 'cover');
    if (properties.insertDefaultUI === false) return;
    this.element = this.insert(target, properties.insertMode ?? 'replace');
    this.element.id ||= options.id;
    this.element.classList.add('OT_root', `OT_${options.role}`);
    Object.assign(this.element.style, {
      position: this.element.style.position || 'relative',
      overflow: 'hidden',
      background: '#000',
      width: cssLength(properties.width, DEFAULT_WIDTH),
      height: cssLength(properties.height, DEFAULT_HEIGHT),
    });
    this.element.append(this.video);
    if (properties.showControls !== false) {
      this.nameLabel = makeNameLabel(options.name);
      const { initials, onUnblock = () => undefined } = options;
      this.indicators = new Indicators(this.element, initials, onUnblock);
      this.element.append(this.nameLabel);
    }
  }

  /** A mute button, when controls are shown. */
  addMuteButton(label: string, onToggle: () => void): void {
    if (!this.nameLabel || !this.element) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'OT_mute';
    button.setAttribute('aria-label', label);
    Object.assign(button.style, { position: 'absolute', right: '4px', bottom: '4px' });
    button.addEventListener('click', onToggle);
    this.element.append(button);
    this.muteButton = button;
    this.showMuted(false);
  }

  showMuted(isMuted: boolean): void {
    if (!this.muteButton) return;
    this.muteButton.textContent = isMuted ? '🔇' : '🔊';
    this.muteButton.setAttribute('aria-pressed', String(isMuted));
  }

  /** Exactly the state of trust, for the application's style and for people. */
  showEncryption(state: StreamEncryptionState): void {
    if (!this.element) return;
    this.element.dataset['encryption'] = state;
    if (!this.nameLabel) return;
    this.lock ??= makeLock(this.element);
    this.lock.textContent = LOCKS[state];
    this.lock.title = LOCK_TITLES[state];
    this.lock.setAttribute('aria-label', LOCK_TITLES[state]);
  }

  hideVideo(isHidden: boolean): void {
    this.video.style.visibility = isHidden ? 'hidden' : '';
    this.indicators?.showInitials(isHidden);
  }

  /** What the connection does to the video. */
  showTrouble(streamState: StreamState): void {
    this.indicators?.showTrouble(streamState);
  }

  showBlocked(isBlocked: boolean): void {
    this.indicators?.showBlocked(isBlocked);
  }

  setStyle(key: string, value: unknown): void {
    this.indicators?.setMode(key, value);
    if (key === 'nameDisplayMode' && this.nameLabel) {
      this.nameLabel.style.display = value === 'off' ? 'none' : '';
    } else if (key === 'buttonDisplayMode' && this.muteButton) {
      this.muteButton.style.display = value === 'off' ? 'none' : '';
    } else if (key === 'backgroundImageURI' && this.element) {
      this.element.style.background = `#000 url("${CSS.escape(String(value))}") center / cover`;
    }
  }

  /** The video frame shown now as PNG in base64 without a prefix; `null` before there is one. */
  imageData(): string | null {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (width === 0 || height === 0) return null;
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    canvas.getContext('2d')?.drawImage(this.video, 0, 0);
    return canvas.toDataURL('image/png').split(',')[1] ?? null;
  }

  remove(): void {
    this.video.srcObject = null;
    this.video.remove();
    if (this.wasInserted) this.element?.remove();
  }

  private insert(target: Target, mode: InsertMode): HTMLElement {
    this.wasInserted = true;
    const anchor = findTarget(target);
    if (anchor && mode === 'replace') {
      anchor.replaceChildren();
      return anchor;
    }
    const element = document.createElement('div');
    if (!anchor) document.body.append(element);
    else if (mode === 'append') anchor.append(element);
    else if (mode === 'before') anchor.before(element);
    else anchor.after(element);
    return element;
  }
}

function findTarget(target: Target): HTMLElement | undefined {
  if (target === undefined || target === null || target === '') return undefined;
  const element = typeof target === 'string' ? document.getElementById(target) : target;
  if (!(element instanceof HTMLElement)) {
    throw otError('OT_INVALID_PARAMETER', 'The target element does not exist');
  }
  return element;
}

function makeVideo({ role, isMirrored }: ViewOptions, fitMode: FitMode): HTMLVideoElement {
  const video = document.createElement('video');
  video.autoplay = true;
  video.playsInline = true;
  video.muted = role === 'publisher';
  video.className = 'OT_video-element';
  Object.assign(video.style, {
    width: '100%',
    height: '100%',
    display: 'block',
    objectFit: fitMode,
    transform: isMirrored ? 'scaleX(-1)' : '',
  });
  return video;
}

function makeNameLabel(name: string): HTMLElement {
  const label = document.createElement('span');
  label.className = 'OT_name';
  label.textContent = shownName(name);
  Object.assign(label.style, {
    position: 'absolute',
    left: '8px',
    top: '4px',
    // The lock is beside it.
    maxWidth: 'calc(100% - 48px)',
    overflow: 'hidden',
    textOverflow: 'ellipsis',
    whiteSpace: 'nowrap',
    color: '#fff',
    font: '14px system-ui, sans-serif',
    textShadow: '0 0 4px #000',
  });
  return label;
}

function makeLock(element: HTMLElement): HTMLElement {
  const lock = document.createElement('span');
  lock.className = 'OT_encryption';
  lock.setAttribute('role', 'img');
  Object.assign(lock.style, {
    position: 'absolute',
    right: '8px',
    top: '4px',
    color: '#fff',
    font: '14px system-ui, sans-serif',
    textShadow: '0 0 4px #000',
  });
  element.append(lock);
  return lock;
}

function cssLength(value: string | number | undefined, fallback: number): string {
  if (value === undefined || value === '') return `${fallback}px`;
  return typeof value === 'number' || /^\d+$/.test(value) ? `${value}px` : value;
}

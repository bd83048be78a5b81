/** What an element shows in the place of a video, and of what is wrong with it. */
import { shownName } from './shown-name';

/** Whether the link carries the video: `limited` may become `paused` soon. */
export type StreamState = 'ok' | 'limited' | 'paused';
type DisplayMode = 'auto' | 'on' | 'off';

const TROUBLE: Readonly<Record<StreamState, readonly [sign: string, text: string]>> = {
  ok: ['', ''],
  limited: ['⚠', 'The connection hardly carries the video'],
  paused: ['⏸', 'Video paused: the connection is too slow'],
};
const TEXT_STYLE = {
  color: '#fff',
  font: '14px system-ui, sans-serif',
  textShadow: '0 0 4px #000',
};

/** For the elements of an application that wants controls. */
export class Indicators {
  private readonly initials: HTMLElement;
  private readonly trouble: HTMLElement;
  private readonly blocked: HTMLButtonElement;
  private readonly modes = { videoDisabledDisplayMode: 'auto', audioBlockedDisplayMode: 'auto' };
  private streamState: StreamState = 'ok';
  private isBlocked = false;

  constructor(element: HTMLElement, initials: string, onUnblock: () => void) {
    this.initials = makeInitials(initials);
    this.trouble = make('span', 'OT_video-trouble', { left: '8px', bottom: '8px', ...TEXT_STYLE });
    this.trouble.setAttribute('role', 'img');
    this.blocked = make('button', 'OT_audio-blocked', {
      ...{ left: '50%', bottom: '12px', transform: 'translateX(-50%)' },
    });
    this.blocked.type = 'button';
    this.blocked.textContent = '🔇 Click to hear';
    this.blocked.addEventListener('click', onUnblock);
    element.append(this.initials, this.trouble, this.blocked);
    this.draw();
  }

  /** In the place of a video that is not shown. */
  showInitials(isShown: boolean): void {
    show(this.initials, isShown && this.initials.textContent !== '', 'flex');
  }

  showTrouble(streamState: StreamState): void {
    this.streamState = streamState;
    this.draw();
  }

  /** The browser plays no audio before somebody clicks. */
  showBlocked(isBlocked: boolean): void {
    this.isBlocked = isBlocked;
    this.draw();
  }

  setMode(key: string, value: unknown): void {
    if (key in this.modes) Object.assign(this.modes, { [key]: value as DisplayMode });
    this.draw();
  }

  private draw(): void {
    const { videoDisabledDisplayMode, audioBlockedDisplayMode } = this.modes;
    const [sign, text] = TROUBLE[this.streamState];
    this.trouble.textContent = sign;
    this.trouble.title = text;
    this.trouble.setAttribute('aria-label', text);
    show(this.trouble, sign !== '' && videoDisabledDisplayMode !== 'off');
    show(this.blocked, this.isBlocked && audioBlockedDisplayMode !== 'off');
  }
}

function makeInitials(initials: string): HTMLElement {
  const box = make('span', 'OT_initials', {
    ...{ left: '0', top: '0', width: '100%', height: '100%' },
    ...{ alignItems: 'center', justifyContent: 'center', pointerEvents: 'none' },
    ...{ color: '#fff', font: '600 40px system-ui, sans-serif' },
  });
  // The name is said beside it.
  box.setAttribute('aria-hidden', 'true');
  box.textContent = shownName(initials);
  show(box, false);
  return box;
}

function make<Tag extends 'span' | 'button'>(
  tag: Tag,
  className: string,
  style: Partial<CSSStyleDeclaration>,
): HTMLElementTagNameMap[Tag] {
  const node = document.createElement(tag);
  node.className = className;
  Object.assign(node.style, { position: 'absolute', ...style });
  return node;
}

function show(node: HTMLElement, isShown: boolean, display = ''): void {
  node.style.display = isShown ? display : 'none';
}

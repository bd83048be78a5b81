/** What a call needs of the page. */
import type { Happening, State } from './state';

/** How the SDK puts videos into the elements of tiles. */
export const WIDGET = {
  ...{ width: '100%', height: '100%', showControls: false },
  insertMode: 'append',
} as const;

export interface Page {
  readonly state: State;
  dispatch(event: Happening): void;
  /** The element that the video of a tile goes into; tiles that are gone take theirs along. */
  box(key: string): HTMLElement;
  /** The call is over: by its reason, or by the name of an error. */
  ended(reason: string): void;
  /** The browser plays audio after a click only. */
  blocked(): void;
}

/** What a Publisher and a Subscriber have in common: an element on the page, and its looks. */
import { Emitter } from '../events';
import type { View, WidgetProperties } from './view';

/** An element on the page, and its looks. */
export abstract class Widget<Events extends object> extends Emitter<Events> {
  protected abstract readonly view: View;
  protected abstract readonly properties: WidgetProperties;

  /** The element on the page; `undefined` with `insertDefaultUI: false`. */
  get element(): HTMLElement | undefined {
    return this.view.element;
  }

  /** The current frame as PNG in base64 without a prefix, or `null` before the first frame. */
  getImgData(): string | null {
    return this.view.imageData();
  }

  /** All styles that were set, or the one called `key`. */
  getStyle(key?: string): unknown {
    const style = this.properties.style ?? {};
    return key === undefined ? style : style[key];
  }

  /** Sets one style, or several as an object; unknown names are kept and have no effect. */
  setStyle(style: string | Record<string, unknown>, value?: unknown): this {
    const entries = typeof style === 'string' ? { [style]: value } : style;
    this.properties.style = { ...this.properties.style, ...entries };
    for (const [key, entry] of Object.entries(entries)) this.view.setStyle(key, entry);
    return this;
  }

  /** Width of the video in pixels, 0 before the first frame. */
  videoWidth(): number {
    return this.view.video.videoWidth;
  }

  /** Height of the video in pixels, 0 before the first frame. */
  videoHeight(): number {
    return this.view.video.videoHeight;
  }
}

/** What a Publisher and a Subscriber have in common: an element on the page, and its looks. */
import { Emitter } from '../events';
import type { Stream } from '../stream';
import type { View, WidgetProperties, WidgetStyle } from './view';

/** An element on the page, and its looks. */
export abstract class Widget<
  Events extends object,
  Style extends WidgetStyle,
> extends Emitter<Events> {
  /** What is published or subscribed to. */
  abstract readonly stream: Stream | undefined;
  protected abstract readonly view: View;
  protected abstract readonly properties: WidgetProperties;

  /** The same as `stream.streamId`; applications use both. */
  get streamId(): string | undefined {
    return this.stream?.streamId;
  }

  /** The element on the page; `undefined` with `insertDefaultUI: false`. */
  get element(): HTMLElement | undefined {
    return this.view.element;
  }

  /** The video element, wherever the application or the SDK put it. */
  videoElement(): HTMLVideoElement {
    return this.view.video;
  }

  /** The current frame as PNG in base64 without a prefix, or `null` before the first frame. */
  getImgData(): string | null {
    return this.view.imageData();
  }

  /** All styles that were set, or the one called `key`. */
  getStyle(): Style;
  getStyle<Key extends keyof Style>(key: Key): Style[Key];
  getStyle(key?: keyof Style): unknown {
    const style = (this.properties.style ?? {}) as Style;
    return key === undefined ? style : style[key];
  }

  /** Sets one style, or several as an object; unknown names are kept and have no effect. */
  setStyle<Key extends keyof Style>(style: Key, value: Style[Key]): this;
  setStyle(styles: Partial<Style>): this;
  setStyle(style: PropertyKey | Partial<Style>, value?: unknown): this {
    const entries = typeof style === 'object' ? style : { [style]: value };
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

  /** The styles among the properties. */
  protected applyStyle(): void {
    for (const [key, value] of Object.entries(this.properties.style ?? {})) {
      this.view.setStyle(key, value);
    }
  }
}

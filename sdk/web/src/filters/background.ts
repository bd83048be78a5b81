/** Separates people from what is behind them, with MediaPipe's model, frame by frame. */
import type { MediaProcessorConnector } from '../media/processing';
import { type Frames, framesOf, type Output, outputFor } from './frames';
import { type Backdrop, paint } from './painter';

interface Segmenter {
  setOptions(options: { modelSelection: 0 | 1 }): void;
  onResults(listener: (results: { segmentationMask: CanvasImageSource }) => void): void;
  initialize(): Promise<void>;
  send(input: { image: HTMLCanvasElement }): Promise<void>;
  close(): Promise<void>;
}

type SegmenterClass = new (options: { locateFile: (name: string) => string }) => Segmenter;

/** The library is no module: it defines a global. */
const LIBRARY = 'selfie_segmentation.js';
const libraries = new Map<string, Promise<void>>();

function loadLibrary(url: string): Promise<void> {
  let loading = libraries.get(url);
  if (!loading) {
    loading = new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = url;
      script.crossOrigin = 'anonymous';
      script.onload = () => resolve();
      script.onerror = () => reject(new Error(`${url} could not be loaded`));
      document.head.append(script);
    });
    // Another call tries again.
    loading.catch(() => libraries.delete(url));
    libraries.set(url, loading);
  }
  return loading;
}

async function newSegmenter(folder: string): Promise<Segmenter> {
  await loadLibrary(folder + LIBRARY);
  const { SelfieSegmentation } = globalThis as { SelfieSegmentation?: SegmenterClass };
  if (!SelfieSegmentation) throw new Error('The library of the filter did not start');
  const segmenter = new SelfieSegmentation({ locateFile: (name) => folder + name });
  // 256 x 144 pixels: the quicker of the two models, and good enough for one camera.
  segmenter.setOptions({ modelSelection: 1 });
  await segmenter.initialize();
  return segmenter;
}

export class BackgroundConnector implements MediaProcessorConnector {
  private readonly input = document.createElement('canvas');
  private readonly canvas = document.createElement('canvas');
  private latest: { mask?: CanvasImageSource } = {};
  private frames: Frames | undefined;
  private output: Output | undefined;

  private constructor(
    private readonly segmenter: Segmenter,
    private readonly backdrop: Backdrop,
  ) {
    segmenter.onResults(({ segmentationMask }) => (this.latest = { mask: segmentationMask }));
  }

  static async load(folder: string, backdrop: Backdrop): Promise<BackgroundConnector> {
    return new BackgroundConnector(await newSegmenter(folder), backdrop);
  }

  setTrack(track: MediaStreamTrack): Promise<MediaStreamTrack> {
    this.stop();
    const output = outputFor(this.canvas);
    const frames = framesOf(track);
    [this.frames, this.output] = [frames, output];
    void this.run(frames, output);
    return Promise.resolve(output.track);
  }

  async destroy(): Promise<void> {
    this.stop();
    await this.segmenter.close();
  }

  /** A frame that cannot be separated is not sent at all. */
  private async run(frames: Frames, output: Output): Promise<void> {
    for (;;) {
      const frame = await frames.next(this.input).catch(() => undefined);
      if (frame === undefined || frames !== this.frames) break;
      try {
        await this.separate();
        await output.write(frame.timestamp);
      } catch {
        // The next one may be better.
      }
    }
  }

  private async separate(): Promise<void> {
    const { input, canvas } = this;
    this.latest = {};
    await this.segmenter.send({ image: input });
    const context = canvas.getContext('2d');
    const { mask } = this.latest;
    if (!mask || !context) throw new Error('There is no mask');
    if (canvas.width !== input.width) canvas.width = input.width;
    if (canvas.height !== input.height) canvas.height = input.height;
    paint(context, input, mask, this.backdrop);
  }

  private stop(): void {
    this.frames?.stop();
    this.output?.stop();
    this.frames = this.output = undefined;
  }
}

/** Frames of a track onto a canvas, and a canvas as a track. */

/** Chromium's, which goes on in pages that nobody looks at; elsewhere a video element does it. */
interface Insertable {
  MediaStreamTrackProcessor?: new (options: { track: MediaStreamTrack }) => {
    readable: ReadableStream<VideoFrame>;
  };
  MediaStreamTrackGenerator?: new (options: { kind: 'video' }) => MediaStreamTrack & {
    writable: WritableStream<VideoFrame>;
  };
}

export interface Frames {
  /** Draws the next frame; `undefined` at the end. Microseconds. */
  next(onto: HTMLCanvasElement): Promise<{ timestamp: number } | undefined>;
  stop(): void;
}

export interface Output {
  readonly track: MediaStreamTrack;
  /** What is on the canvas now. */
  write(timestamp: number): Promise<void>;
  stop(): void;
}

export function framesOf(track: MediaStreamTrack): Frames {
  const { MediaStreamTrackProcessor } = globalThis as Insertable;
  return MediaStreamTrackProcessor
    ? readFrames(new MediaStreamTrackProcessor({ track }).readable.getReader())
    : shownFrames(track);
}

export function outputFor(canvas: HTMLCanvasElement): Output {
  const { MediaStreamTrackGenerator } = globalThis as Insertable;
  return MediaStreamTrackGenerator
    ? generated(canvas, new MediaStreamTrackGenerator({ kind: 'video' }))
    : captured(canvas);
}

function readFrames(reader: ReadableStreamDefaultReader<VideoFrame>): Frames {
  return {
    async next(onto) {
      const { value: frame } = await reader.read();
      if (!frame) return undefined;
      const { timestamp, displayWidth, displayHeight } = frame;
      draw(onto, frame, displayWidth, displayHeight);
      frame.close();
      return { timestamp };
    },
    stop: () => void reader.cancel().catch(() => undefined),
  };
}

function shownFrames(track: MediaStreamTrack): Frames {
  const video = document.createElement('video');
  video.muted = video.playsInline = true;
  video.srcObject = new MediaStream([track]);
  video.play().catch(() => undefined);
  let isStopped = false;
  return {
    next: (onto) =>
      new Promise((resolve) => {
        video.requestVideoFrameCallback((_, { mediaTime }) => {
          if (isStopped) resolve(undefined);
          draw(onto, video, video.videoWidth, video.videoHeight);
          resolve({ timestamp: Math.round(1e6 * mediaTime) });
        });
      }),
    stop() {
      isStopped = true;
      video.srcObject = null;
    },
  };
}

function draw(
  onto: HTMLCanvasElement,
  frame: CanvasImageSource,
  width: number,
  height: number,
): void {
  if (onto.width !== width) onto.width = width;
  if (onto.height !== height) onto.height = height;
  onto.getContext('2d')?.drawImage(frame, 0, 0, width, height);
}

function generated(
  canvas: HTMLCanvasElement,
  track: MediaStreamTrack & { writable: WritableStream<VideoFrame> },
): Output {
  const writer = track.writable.getWriter();
  return {
    track,
    write: (timestamp) => writer.write(new VideoFrame(canvas, { timestamp })),
    stop() {
      writer.close().catch(() => undefined);
      track.stop();
    },
  };
}

function captured(canvas: HTMLCanvasElement): Output {
  // A canvas without a context has nothing to capture.
  canvas.getContext('2d');
  const [track] = canvas.captureStream().getVideoTracks();
  if (!track) throw new Error('The canvas cannot be captured');
  return { track, write: () => Promise.resolve(), stop: () => track.stop() };
}

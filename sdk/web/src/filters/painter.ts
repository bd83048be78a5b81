/** Puts people in front of another background: of a blurred image of themselves, or another one. */
import type { VideoFilter } from '../media/filters';

/** Draws what is behind people. */
export type Backdrop = (onto: CanvasRenderingContext2D, frame: CanvasImageSource) => void;

/** How often the image is halved, and made large again: quick without a GPU too, in all browsers. */
const HALVINGS = { low: 3, high: 5 } as const;

/** Rejects when the image cannot be had. */
export async function backdropOf(filter: VideoFilter): Promise<Backdrop> {
  if (filter.type === 'backgroundBlur') return blurred(HALVINGS[filter.blurStrength ?? 'low']);
  return pictured(await imageAt(filter.backgroundImgUrl));
}

function blurred(halvings: number): Backdrop {
  const steps = Array.from({ length: halvings }, () => document.createElement('canvas'));
  return (onto, frame) => {
    const { width, height } = onto.canvas;
    // Each pixel is the mean of four: larger steps would leave out most of them.
    const smallest = steps.reduce<CanvasImageSource>(
      (from, step, index) =>
        shrunk(step, from, width / 2 ** (index + 1), height / 2 ** (index + 1)),
      frame,
    );
    onto.drawImage(smallest, 0, 0, width, height);
  };
}

function shrunk(
  canvas: HTMLCanvasElement,
  from: CanvasImageSource,
  width: number,
  height: number,
): HTMLCanvasElement {
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  canvas.getContext('2d')?.drawImage(from, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Covers the frame, as `object-fit: cover` does. */
function pictured(image: HTMLImageElement): Backdrop {
  return (onto) => {
    const { width, height } = onto.canvas;
    const scale = Math.max(width / image.naturalWidth, height / image.naturalHeight);
    const [w, h] = [image.naturalWidth * scale, image.naturalHeight * scale];
    onto.drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
  };
}

async function imageAt(url: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.crossOrigin = 'anonymous';
  image.src = url;
  await image.decode();
  return image;
}

/** `mask`: opaque where people are. */
export function paint(
  onto: CanvasRenderingContext2D,
  frame: CanvasImageSource,
  mask: CanvasImageSource,
  backdrop: Backdrop,
): void {
  const { width, height } = onto.canvas;
  onto.globalCompositeOperation = 'copy';
  onto.drawImage(mask, 0, 0, width, height);
  onto.globalCompositeOperation = 'source-in';
  onto.drawImage(frame, 0, 0, width, height);
  onto.globalCompositeOperation = 'destination-over';
  backdrop(onto, frame);
}

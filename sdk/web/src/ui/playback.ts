/** Audio that the browser blocks until the user interacts with the page. */

export interface Playable {
  readonly video: HTMLVideoElement;
  readonly onBlocked: () => void;
  readonly onUnblocked: () => void;
}

const blocked = new Set<Playable>();

/** Starts an element; while audio is blocked, the video plays without it. */
export async function play(playable: Playable): Promise<void> {
  const { video } = playable;
  try {
    await video.play();
    if (blocked.delete(playable)) playable.onUnblocked();
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return;
    if (video.muted) return;
    video.muted = true;
    if (!blocked.has(playable)) {
      blocked.add(playable);
      playable.onBlocked();
    }
    // Muted playback is always allowed; what else could fail ends with the element.
    await video.play().catch(() => undefined);
  }
}

export function isBlocked(playable: Playable): boolean {
  return blocked.has(playable);
}

export function forgetPlayable(playable: Playable): void {
  blocked.delete(playable);
}

/** To be called from a user's gesture. Rejects with the browser's error when it still refuses. */
export async function unblockAll(): Promise<void> {
  await Promise.all(
    [...blocked].map(async (playable) => {
      playable.video.muted = false;
      try {
        await playable.video.play();
      } catch (error) {
        playable.video.muted = true;
        throw error;
      }
      blocked.delete(playable);
      playable.onUnblocked();
    }),
  );
}

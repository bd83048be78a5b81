/** Looks at something again and again while anybody wants to know. */
import { type Clock, systemClock } from '../clock';

/** Long enough for shares to mean something, short enough to be of use in a call. */
export const INTERVAL_MS = 2_000;

export class Monitor {
  private isRunning = false;
  private cancel: () => void = () => undefined;

  /** `look` may fail, as when the media ends meanwhile: the next look comes all the same. */
  constructor(
    private readonly look: () => Promise<void>,
    private readonly clock: Clock = systemClock,
  ) {}

  run(isWanted: boolean): void {
    if (isWanted === this.isRunning) return;
    this.isRunning = isWanted;
    if (isWanted) this.wait();
    else this.cancel();
  }

  private wait(): void {
    this.cancel = this.clock.after(INTERVAL_MS, () => {
      this.look()
        .catch(() => undefined)
        .finally(() => {
          if (this.isRunning) this.wait();
        });
    });
  }
}

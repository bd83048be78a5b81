/** Callers that wait for media to flow; each is notified once. */
import { afterRunning, type Clock } from './clock';
import { type OTError, otError } from './errors';

/** How long media may take, retries of a lost transport included. */
const LIVE_TIMEOUT_MS = 20_000;

interface Patience {
  readonly clock: Clock;
  /** Whether this client negotiates the media connection. */
  readonly isAtWork: () => boolean;
}

export class Waiting<Result> {
  readonly result: Promise<Result>;
  private isLimited = false;
  private settle: { resolve(result: Result): void; reject(error: unknown): void } | undefined;
  private cancel: () => void = () => undefined;

  constructor() {
    this.result = new Promise((resolve, reject) => (this.settle = { resolve, reject }));
  }

  /**
   * Time runs from the first call on, but not while the client itself `isAtWork`: a slow machine
   * takes long over its descriptions, and nothing is wrong with the way to the server.
   */
  limit(
    { clock, isAtWork }: Patience,
    complaint: string,
    onTimeout: (error: OTError) => void,
  ): void {
    if (!this.isOpen || this.isLimited) return;
    this.isLimited = true;
    const fail = (): void => onTimeout(otError('OT_ICE_WORKFLOW_FAILED', complaint));
    this.cancel = afterRunning(clock, LIVE_TIMEOUT_MS, fail, isAtWork);
  }

  /** True before `resolve` and `reject`. */
  get isOpen(): boolean {
    return this.settle !== undefined;
  }

  resolve(result: Result): void {
    this.finish()?.resolve(result);
  }

  reject(error: unknown): void {
    this.finish()?.reject(error);
  }

  private finish(): typeof this.settle {
    const { settle } = this;
    this.settle = undefined;
    this.cancel();
    return settle;
  }
}

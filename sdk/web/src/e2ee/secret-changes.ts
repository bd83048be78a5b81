/**
 * Changes of the encryption secret, one after the other: each derives a key, which takes its time.
 * While one is under way, later calls wait together, and only the newest secret of these is
 * derived.
 */

interface Change {
  secret: string;
  /** One of its calls excludes clients that have only the previous secret. */
  isImmediate: boolean;
  readonly done: Promise<void>;
  readonly settle: (result: Promise<void>) => void;
}

export class SecretChanges {
  private isRunning = false;
  private next: Change | undefined;

  constructor(private readonly apply: (secret: string, isImmediate: boolean) => Promise<void>) {}

  /**
   * Resolves when this secret is in use, or a later one that overtook it. Rejects with what
   * `apply` rejects with; the next change happens all the same.
   */
  ask(secret: string, isImmediate: boolean): Promise<void> {
    this.next ??= waiting();
    this.next.secret = secret;
    this.next.isImmediate ||= isImmediate;
    const { done } = this.next;
    if (!this.isRunning) void this.run();
    return done;
  }

  private async run(): Promise<void> {
    this.isRunning = true;
    for (let change = this.next; change; change = this.next) {
      this.next = undefined;
      const result = this.apply(change.secret, change.isImmediate);
      change.settle(result);
      await result.catch(() => undefined);
    }
    this.isRunning = false;
  }
}

function waiting(): Change {
  let settle: Change['settle'] = () => undefined;
  const done = new Promise<void>((resolve) => (settle = resolve));
  return { secret: '', isImmediate: false, done, settle };
}

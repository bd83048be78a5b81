/** What encrypts, in this thread: the worker of a session, and another member. */
import type { FromWorker, Notice, Request } from '../src/e2ee/protocol';
import { WorkerCore } from '../src/e2ee/worker-core';

/** The worker's core in this thread. */
export class InlineWorker {
  static made = 0;
  static last: InlineWorker | undefined;
  isTerminated = false;
  onmessage: ((event: { data: FromWorker }) => void) | null = null;
  onerror: (() => void) | null = null;
  private readonly core = new WorkerCore(
    (notice: Notice) => this.onmessage?.({ data: notice }),
    () => performance.now(),
  );

  constructor() {
    InlineWorker.made += 1;
    InlineWorker.last = this;
  }

  postMessage(request: Request): void {
    this.core.handle(request).then(
      (result) => this.onmessage?.({ data: { type: 'reply', id: request.id, result } }),
      (error: Error) =>
        this.onmessage?.({ data: { type: 'refusal', id: request.id, reason: error.message } }),
    );
  }

  terminate(): void {
    this.isTerminated = true;
  }
}

/** Another member, who encrypts. */
export async function signalsOfBob(
  secret: string,
): Promise<(type: string, data: string, to?: string) => Promise<Uint8Array>> {
  const bob = new WorkerCore(
    () => undefined,
    () => 0,
  );
  const common = { secret, sessionId: 'session', immediate: false };
  await bob.handle({ type: 'setSecret', id: 1, ...common });
  return async (signalType, data, to = '') => {
    const content = { connectionId: 'bob', to, signalType, data };
    const reply = await bob.handle({ type: 'encryptSignal', id: 2, ...content });
    return (reply as { encrypted: Uint8Array }).encrypted;
  };
}

/** Runs jobs one after the other: a peer connection negotiates one thing at a time. */
export class JobQueue {
  private last: Promise<unknown> = Promise.resolve();
  private unfinished = 0;

  get isBusy(): boolean {
    return this.unfinished > 0;
  }

  /** Rejects with what `job` rejects with; the next job runs all the same. */
  run<Result>(job: () => Promise<Result>): Promise<Result> {
    this.unfinished += 1;
    const result = this.last.then(job, job);
    const end = (): void => void (this.unfinished -= 1);
    this.last = result.then(end, end);
    return result;
  }
}

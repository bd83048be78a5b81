/** Runs jobs one after the other: a peer connection negotiates one thing at a time. */
export class JobQueue {
  private last: Promise<unknown> = Promise.resolve();

  /** Rejects with what `job` rejects with; the next job runs all the same. */
  run<Result>(job: () => Promise<Result>): Promise<Result> {
    const result = this.last.then(job, job);
    this.last = result.catch(() => undefined);
    return result;
  }
}

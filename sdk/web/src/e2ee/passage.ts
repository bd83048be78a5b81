/**
 * Whether media of one track goes around the worker, by what the browser and the worker count. Pure.
 *
 * Some counts are sure: no decoder can have decoded more frames than the worker gave out, and no
 * more bytes of audio can have left. Others count what is still on its way to the worker, which may
 * be starved on a busy machine; the browser may even drop it then. So those are judged only by
 * prompt answers of a worker that ran, and against what was missing when it had caught up.
 */

/** Looks in a row that show it: a count may be a moment ahead of the other. */
const LOOKS = { sure: 3, unsure: 5 };
/** Looks after a stall until what came meanwhile has been counted. */
const SETTLING_LOOKS = 3;
/** Looks until a transform must run. */
const STARTING_LOOKS = 15;

interface Look {
  /** As the browser counts it, by SSRC. */
  readonly counted: ReadonlyMap<unknown, number>;
  /** As the worker counts it, by an answer that was asked for after that. */
  readonly seen: number;
  /** The worker ran, and answered soon. */
  readonly isPrompt: boolean;
  /** The transform of the track runs. */
  readonly isAttached: boolean;
}

/** Of one track since it was made. */
export class Passage {
  private last: ReadonlyMap<unknown, number> = new Map();
  /** Of SSRCs that the browser does not count any more. */
  private gone = 0;
  private seenBefore = 0;
  /** How much was missing when the worker had caught up with what it could. */
  private excused = 0;
  private settling = 0;
  private suspicions = 0;
  private looks = 0;

  /** `isSure`: what the browser counts has passed the worker. */
  constructor(private readonly isSure: boolean) {}

  /** The next look should come soon. */
  get isOpen(): boolean {
    return this.settling > 0 || this.suspicions > 0;
  }

  /** True, once: media goes around the worker. */
  look({ counted, seen, isPrompt, isAttached }: Look): boolean {
    this.looks += 1;
    const total = this.totalOf(counted);
    const { seenBefore } = this;
    this.seenBefore = seen;
    const isRunning = isPrompt && (isAttached || this.looks > STARTING_LOOKS);
    if (!this.isSure && !this.isJudged(total - seenBefore, isRunning)) return false;
    this.suspicions = total - seen > this.excused ? this.suspicions + 1 : 0;
    return this.suspicions === LOOKS[this.isSure ? 'sure' : 'unsure'];
  }

  /** `mostMissing`: by an answer that is older than what was counted. */
  private isJudged(mostMissing: number, isRunning: boolean): boolean {
    if (!isRunning) this.settling = SETTLING_LOOKS;
    const missing = Math.max(0, mostMissing);
    if (this.settling === 0) {
      // What was late has come meanwhile: it excuses nothing any more.
      this.excused = Math.min(this.excused, missing);
      return true;
    }
    this.suspicions = 0;
    if (isRunning) this.settling -= 1;
    if (this.settling === 0) this.excused = missing;
    return false;
  }

  private totalOf(counted: ReadonlyMap<unknown, number>): number {
    for (const [source, amount] of this.last) {
      if ((counted.get(source) ?? -1) < amount) this.gone += amount;
    }
    this.last = counted;
    return [...counted.values()].reduce((sum, amount) => sum + amount, this.gone);
  }
}

/** Declares key ids to the server's plaintext guard: best effort, nothing here waits for an answer. */
import type { Clock } from '../clock';
import { MAX_OLD_KIDS, OLD_KIDS_MS } from '../rules';
import type { Reply, RequestMessage } from '../signaling/channel';

export type Send = (message: RequestMessage) => Promise<Reply>;

interface Declared {
  readonly streamId: string;
  readonly mid: string;
  /** In use. */
  current: Uint8Array;
  /** Of the last ten seconds, the oldest first: packets under them are still on the way. */
  before: readonly Uint8Array[];
  /** Chosen for the switch to come. */
  next: Uint8Array | undefined;
}

export class KidDeclarations {
  private readonly tracks = new Map<string, Declared>();

  constructor(
    private readonly clock: Clock,
    private readonly send: Send,
    /** The server drops frames under undeclared key ids; the application gets an error. */
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /** A stream is published; its first KID was declared with it, if it still is the one in use. */
  add(
    track: string,
    place: { streamId: string; mid: string; kid: Uint8Array; isKnown: boolean },
  ): void {
    const { streamId, mid, kid, isKnown } = place;
    this.tracks.set(track, { streamId, mid, current: kid, before: [], next: undefined });
    if (!isKnown) this.declare(track);
  }

  remove(track: string): void {
    this.tracks.delete(track);
  }

  prepare(track: string, kid: Uint8Array): void {
    const declared = this.tracks.get(track);
    if (!declared) return;
    declared.next = kid;
    this.declare(track);
  }

  /** `isWithdrawing`: the KID before is not good any more. */
  use(track: string, kid: Uint8Array, isWithdrawing: boolean): void {
    const declared = this.tracks.get(track);
    if (!declared) return;
    const wasDeclared = declared.next !== undefined && isSame(declared.next, kid);
    const old = declared.current;
    declared.before = isWithdrawing ? [] : [...declared.before, old].slice(-MAX_OLD_KIDS);
    declared.current = kid;
    declared.next = undefined;
    if (isWithdrawing || !wasDeclared) this.declare(track);
    if (isWithdrawing) return;
    this.clock.after(OLD_KIDS_MS, () => {
      if (this.tracks.get(track) !== declared || !declared.before.includes(old)) return;
      declared.before = declared.before.filter((other) => other !== old);
      this.declare(track);
    });
  }

  /** After a resume: the server may have missed any of it. */
  declareAll(): void {
    for (const track of this.tracks.keys()) this.declare(track);
  }

  private declare(track: string): void {
    const declared = this.tracks.get(track);
    if (!declared) return;
    const { streamId, mid, before, current, next } = declared;
    const kids = [...before, current, ...(next ? [next] : [])];
    this.send({ t: 'declareKids', streamId, mid, kids }).catch((error: unknown) => {
      if (this.tracks.get(track) === declared) this.onFailure(error);
    });
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

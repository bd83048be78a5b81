/**
 * Deriving a key costs far more than a frame, and anybody can invent key ids: so many tries a
 * second, for each owner and in all (e2ee/2 section 7).
 */
import { ALL_DERIVATIONS_PER_S, DERIVATIONS_PER_S } from '../rules';

const PERIOD_MS = 1_000;

export class DerivationBudget {
  private recent: { readonly owner: string; readonly at: number }[] = [];

  /** False when the frame is not worth a key. */
  take(owner: string, now: number): boolean {
    this.recent = this.recent.filter(({ at }) => now - at < PERIOD_MS);
    if (this.recent.length >= ALL_DERIVATIONS_PER_S) return false;
    if (this.recent.filter((entry) => entry.owner === owner).length >= DERIVATIONS_PER_S)
      return false;
    this.recent.push({ owner, at: now });
    return true;
  }
}

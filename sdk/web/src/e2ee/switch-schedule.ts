/** When senders start to use a new secret (e2ee/2 section 9). Pure: time is a parameter. */
import { SWITCH_AFTER_MS } from '../rules';

interface Target {
  readonly hint: number;
  readonly deadline: number;
  /** Another secret has the same hint: who announces it may hold that one only. */
  readonly isAmbiguous: boolean;
}

interface SetOptions {
  readonly immediate?: boolean;
  readonly isInUse: boolean;
}

export class SwitchSchedule {
  /** What those who are present announced last; who never announced is not waited for. */
  private readonly hints = new Map<string, number>();
  private target: Target | undefined;

  /** `current`: the hint of the secret that senders use. */
  constructor(private current?: number) {}

  /** When the switch happens at the latest; `undefined`: none is pending. */
  get deadline(): number | undefined {
    return this.target?.deadline;
  }

  /** Another connection can decrypt frames under the secret that `hint` names. */
  onAnnounced(connectionId: string, hint: number): void {
    this.hints.set(connectionId, hint);
  }

  onLeft(connectionId: string): void {
    this.hints.delete(connectionId);
  }

  /**
   * The newest secret is one with this hint now. `isInUse`: it is the one that senders use; two
   * secrets can have one hint, so the hint alone does not say it.
   */
  set(hint: number, now: number, { immediate = false, isInUse }: SetOptions): void {
    this.current ??= hint;
    if (isInUse) {
      this.target = undefined;
      return;
    }
    // A second change does not prolong the use of the old key.
    const deadline = this.target?.deadline ?? now + SWITCH_AFTER_MS;
    const isAmbiguous = hint === this.current;
    this.target = { hint, deadline: immediate ? now : deadline, isAmbiguous };
  }

  /**
   * True once when senders have to switch: everybody who ever announced a secret announced this
   * one, or time is up.
   */
  isDue(now: number): boolean {
    const { target } = this;
    if (!target) return false;
    const areReady =
      !target.isAmbiguous && [...this.hints.values()].every((hint) => hint === target.hint);
    if (now < target.deadline && !areReady) return false;
    this.current = target.hint;
    this.target = undefined;
    return true;
  }
}

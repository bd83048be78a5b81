/** When a sender starts to use a new secret (e2ee/1 5.9). Pure: time is a parameter. */
const SWITCH_AFTER_MS = 5_000;

export class SwitchSchedule {
  private readonly hints = new Map<string, number>();
  private target: { hint: number; deadline: number } | undefined;

  /** Another connection can open frames under the secret that `hint` names. */
  onAnnounced(connectionId: string, hint: number): void {
    this.hints.set(connectionId, hint);
  }

  onLeft(connectionId: string): void {
    this.hints.delete(connectionId);
  }

  hintOf(connectionId: string): number | undefined {
    return this.hints.get(connectionId);
  }

  /** Returns the time at which the switch is due at the latest. */
  start(hint: number, now: number, immediate: boolean): number {
    const deadline = immediate ? now : now + SWITCH_AFTER_MS;
    this.target = { hint, deadline };
    return deadline;
  }

  /** Due when everybody who ever announced a secret announced this one, or time is up. */
  isDue(now: number): boolean {
    const { target } = this;
    if (!target) return false;
    return now >= target.deadline || [...this.hints.values()].every((hint) => hint === target.hint);
  }

  get isPending(): boolean {
    return this.target !== undefined;
  }

  finish(): void {
    this.target = undefined;
  }
}

/** The secrets that a client can decrypt frames with: the newest first, at most three (e2ee/2, 3 and 9). */
import { MAX_SECRETS, SECRET_IDLE_MS, SECRET_OVERLAP_MS } from '../rules';
import { keyOf } from './kid';
import type { SessionKeys } from './secret';

interface Entry {
  readonly keys: SessionKeys;
  /** When a newer secret came; `undefined` for the newest. */
  replacedAt: number | undefined;
  lastOpenedAt: number;
}

export class SecretRing {
  private entries: Entry[] = [];

  get newest(): SessionKeys | undefined {
    return this.entries[0]?.keys;
  }

  /**
   * Returns the keys that stand in front now: those held already when the secret is an old one.
   * `immediate`: the older secrets end now, to exclude clients that know only them.
   */
  add(given: SessionKeys, now: number, immediate = false): SessionKeys {
    const held = this.entries.find(({ keys }) => keys.id === given.id);
    const keys = held?.keys ?? given;
    const older = immediate ? [] : this.entries.filter((entry) => entry !== held);
    for (const entry of older) entry.replacedAt ??= now;
    this.entries = [{ keys, replacedAt: undefined, lastOpenedAt: now }, ...older].slice(
      0,
      MAX_SECRETS,
    );
    return keys;
  }

  /** Secrets that a frame with this KID may be encrypted under. */
  candidates(kid: bigint, now: number): SessionKeys[] {
    this.expire(now);
    const hint = keyOf(kid);
    return this.entries.filter(({ keys }) => keys.hint === hint).map(({ keys }) => keys);
  }

  /** `undefined`: that secret is not held, or not any more. */
  find(id: string, now: number): SessionKeys | undefined {
    this.expire(now);
    return this.entries.find(({ keys }) => keys.id === id)?.keys;
  }

  decrypted(id: string, now: number): void {
    const entry = this.entries.find(({ keys }) => keys.id === id);
    if (entry) entry.lastOpenedAt = now;
  }

  clear(): void {
    this.entries = [];
  }

  private expire(now: number): void {
    this.entries = this.entries.filter(
      ({ replacedAt, lastOpenedAt }) =>
        replacedAt === undefined ||
        (now - replacedAt < SECRET_OVERLAP_MS &&
          now - Math.max(lastOpenedAt, replacedAt) < SECRET_IDLE_MS),
    );
  }
}

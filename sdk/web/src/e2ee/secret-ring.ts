/** The secrets a client can open frames with: the newest first, at most three (e2ee/1 5.3, 5.9). */
import type { SessionKeys } from './secret';

const MAX_SECRETS = 3;
/** An old secret lives this long after the last frame it opened … */
const IDLE_MS = 10_000;
/** … and never longer than this after it was replaced. */
const REPLACED_MS = 60_000;

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

  /** `immediate`: the older secrets end now, to shut out somebody who knows them. */
  add(keys: SessionKeys, now: number, immediate = false): void {
    for (const entry of this.entries) entry.replacedAt ??= now;
    const kept = immediate ? [] : this.entries;
    this.entries = [{ keys, replacedAt: undefined, lastOpenedAt: now }, ...kept].slice(
      0,
      MAX_SECRETS,
    );
  }

  /** Secrets that may have sealed a frame with this hint. */
  candidates(hint: number, now: number): SessionKeys[] {
    this.expire(now);
    return this.entries.filter(({ keys }) => keys.hint === hint).map(({ keys }) => keys);
  }

  has(keys: SessionKeys, now: number): boolean {
    this.expire(now);
    return this.entries.some((entry) => entry.keys === keys);
  }

  opened(keys: SessionKeys, now: number): void {
    const entry = this.entries.find((candidate) => candidate.keys === keys);
    if (entry) entry.lastOpenedAt = now;
  }

  clear(): void {
    this.entries = [];
  }

  private expire(now: number): void {
    this.entries = this.entries.filter(
      ({ replacedAt, lastOpenedAt }) =>
        replacedAt === undefined ||
        (now - replacedAt < REPLACED_MS && now - Math.max(lastOpenedAt, replacedAt) < IDLE_MS),
    );
  }
}

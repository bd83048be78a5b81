/** Members of OpenTok.js that are not built; docs/opentok-differences.md has the reasons. */
import { type OTError, otError } from './errors';

export type Throwing = (...args: unknown[]) => never;
export type Rejecting = (...args: unknown[]) => Promise<never>;

export function notBuilt(member: string): OTError {
  return otError('OT_NOT_SUPPORTED', `${member} is not supported; see docs/opentok-differences.md`);
}

export function rejectsNotBuilt(member: string): Rejecting {
  return () => Promise.reject(notBuilt(member));
}

/** Methods that are there, so that applications can look for them, and say what they are. */
export function defineNotBuilt(
  prototype: object,
  { throwing, rejecting }: { throwing: readonly string[]; rejecting: readonly string[] },
): void {
  const define = (name: string, value: Throwing | Rejecting): void => {
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
  };
  for (const name of rejecting) define(name, rejectsNotBuilt(name));
  for (const name of throwing) {
    define(name, () => {
      throw notBuilt(name);
    });
  }
}

/** Members of OpenTok.js that are not built; docs/opentok-differences.md has the reasons. */
import { type OTError, otError } from './errors';

export function notBuilt(member: string): OTError {
  return otError('OT_NOT_SUPPORTED', `${member} is not supported; see docs/opentok-differences.md`);
}

export function throwsNotBuilt(member: string): (...args: unknown[]) => never {
  return () => {
    throw notBuilt(member);
  };
}

export function rejectsNotBuilt(member: string): (...args: unknown[]) => Promise<never> {
  return () => Promise.reject(notBuilt(member));
}

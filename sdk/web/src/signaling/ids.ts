/** What an id of the server is (e2ee/2, section 2). Keys are derived from ids: two never alias. */
import { MAX_ID_UNITS } from '../rules';

/** Control characters, and surrogates without their other half: UTF-8 has no bytes for those. */
const NOT_IN_IDS = /[\p{Cc}\p{Cs}]/u;

export function isId(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length >= 1 &&
    value.length <= MAX_ID_UNITS &&
    !NOT_IN_IDS.test(value)
  );
}

/** OpenTok.js lets callers leave out arguments in the middle; these sort out what was given. */
import type { OTError } from './errors';
import type { Target } from './ui/view';

export type Callback<Result = void> = (error?: OTError, result?: Result) => void;

export function isTarget(value: unknown): value is Target {
  return (
    value === undefined || value === null || typeof value === 'string' || value instanceof Element
  );
}

/** Properties and callback, whichever of them were given. */
export function optional<Properties, Result>(
  ...given: (Properties | Callback<Result> | undefined)[]
): [Properties | undefined, Callback<Result> | undefined] {
  const callback = given.find((argument) => typeof argument === 'function');
  const properties = given.find((argument) => typeof argument === 'object' && argument !== null);
  return [properties, callback as Callback<Result> | undefined];
}

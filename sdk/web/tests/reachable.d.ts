/** Of tests/browser/pages/reachable.js. */
declare function pathsTo(
  text: string,
  roots: Readonly<Record<string, unknown>>,
  isShut?: (value: unknown) => boolean,
): { found: string[]; count: number };

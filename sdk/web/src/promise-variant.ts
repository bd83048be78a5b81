/** OpenTok.js gives many methods a twin that returns a promise: `connect.promise(token)`. */
export function withPromise<Call extends (...args: never[]) => unknown, Promised>(
  call: Call,
  promise: Promised,
): Call & { promise: Promised } {
  return Object.assign(call, { promise });
}

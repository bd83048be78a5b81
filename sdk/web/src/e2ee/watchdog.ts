/** Notices frames that leave without passing the worker (e2ee/1 5.10). Pure. */

/** Frames between the two counters when they are read: sealing and sending go on meanwhile. */
const SLACK = 30;

/** Both are totals of one sender since it was made. */
export function isLeaking(sent: number, sealed: number): boolean {
  return sent - sealed > SLACK;
}

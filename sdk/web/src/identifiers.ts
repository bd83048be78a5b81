let count = 0;

/** An element id that is unique on this page. */
export function elementId(role: string): string {
  count += 1;
  return `OT_${role}_${count}`;
}

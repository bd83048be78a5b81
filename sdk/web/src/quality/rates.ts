/** Differences between one reading of statistics and the next, by row. Pure. */
import { type Row, type Rows } from '../rtc/stats';

export interface Change {
  /** Of a member of the row since the reading before; 0 for its first. */
  of(member: string): number;
  /** The same for each second. */
  perSecond(member: string): number;
  readonly seconds: number;
}

/** One place looks on its own: two that share it would take each other's differences. */
export class Rates {
  private before = new Map<string, Row>();
  private changes = new Map<string, Change>();

  take(rows: Rows): void {
    this.changes = new Map(rows.map((row) => [row.id, changeOf(this.before.get(row.id), row)]));
    this.before = new Map(rows.map((row) => [row.id, row]));
  }

  of(row: Row | undefined): Change {
    return (row && this.changes.get(row.id)) ?? NOTHING;
  }

  sum(rows: Rows, member: string): number {
    return rows.reduce((total, row) => total + this.of(row).of(member), 0);
  }

  perSecond(rows: Rows, member: string): number {
    return rows.reduce((total, row) => total + this.of(row).perSecond(member), 0);
  }
}

const NOTHING: Change = { of: () => 0, perSecond: () => 0, seconds: 0 };

function changeOf(before: Row | undefined, now: Row): Change {
  const seconds = before ? (now.timestamp - before.timestamp) / 1_000 : 0;
  if (seconds <= 0) return NOTHING;
  const of = (member: string): number => {
    const [first, last] = [before?.[member], now[member]];
    // A sender that began again counts from zero.
    return typeof first === 'number' && typeof last === 'number' ? Math.max(0, last - first) : 0;
  };
  return { of, seconds, perSecond: (member) => of(member) / seconds };
}

/** What a signal's event has; the events themselves are in event-types.ts. */
import type { Connection } from './connection';

export interface SignalDetails {
  data: string;
  /** `null` when the REST API sent it. */
  from: Connection | null;
  /** Encrypted by its sender; the server could not read or change it. */
  encrypted: boolean;
}

/** What the events of changed networks have beside the statistics. */
export interface NetworkChange {
  reason: 'networkConditionChanged';
}

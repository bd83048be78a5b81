/** What a room needs to begin, and the events that it reports. */
import type { Connection } from './connection';
import type { SessionEncryption } from './e2ee/session-encryption';
import type { SessionTrust } from './e2ee/trust';
import type { RELAYED, SessionEvents } from './event-types';
import type { Welcome } from './signaling/messages';
import type { PropertyChange, Stream } from './stream';

export type RelayedEvent = (typeof RELAYED)[keyof typeof RELAYED]['event'];

export interface ReceivedSignal {
  readonly type: string;
  readonly data: string;
  readonly from: Connection | null;
  readonly encrypted: boolean;
}

/** The events of a room, in their order. */
export interface RoomListener {
  onConnectionCreated(connection: Connection): void;
  onConnectionDestroyed(connection: Connection, reason: string): void;
  onStreamCreated(stream: Stream): void;
  /** True: the application keeps the elements. */
  onStreamDestroyed(stream: Stream, reason: string): boolean;
  onStreamChanged(stream: Stream, change: PropertyChange): void;
  onSignal(signal: ReceivedSignal): void;
  onMuteForced(active: boolean): void;
  /** A message that is an event as it is. */
  onRelayed<Name extends RelayedEvent>(event: Name, details: SessionEvents[Name]): void;
  onDisconnected(reason: string): void;
  /** Nothing comes over the uplink any more. */
  onNetworkDoubt(): void;
  /** Media stopped, or a transport is in trouble: the server may be out of reach. */
  onQuiet(): void;
}

/** What the client was let into, and what it takes that for. */
export interface Admission {
  readonly welcome: Welcome;
  readonly trust: SessionTrust;
  /** Present exactly when the session is encrypted. */
  readonly encryption: SessionEncryption | undefined;
}

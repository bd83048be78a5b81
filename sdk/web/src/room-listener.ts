/** What a room needs to begin, and what it tells. */
import type { Connection } from './connection';
import type { SessionEncryption } from './e2ee/session-encryption';
import type { SessionTrust } from './e2ee/trust';
import type { Welcome } from './signaling/messages';
import type { PropertyChange, Stream } from './stream';

export interface ReceivedSignal {
  readonly type: string;
  readonly data: string;
  readonly from: Connection | null;
  readonly encrypted: boolean;
}

/** What the room tells the session, in the order of happening. */
export interface RoomListener {
  onConnectionCreated(connection: Connection): void;
  onConnectionDestroyed(connection: Connection, reason: string): void;
  onStreamCreated(stream: Stream): void;
  /** True: the application keeps the elements. */
  onStreamDestroyed(stream: Stream, reason: string): boolean;
  onStreamChanged(stream: Stream, change: PropertyChange): void;
  onSignal(signal: ReceivedSignal): void;
  onMuteForced(active: boolean): void;
  onActiveSpeaker(stream: Stream): void;
  onDisconnected(reason: string): void;
  /** Nothing comes over the uplink any more. */
  onNetworkDoubt(): void;
}

/** What the client was let into, and what it takes that for. */
export interface Admission {
  readonly welcome: Welcome;
  readonly trust: SessionTrust;
  /** Present exactly when the session is encrypted. */
  readonly encryption: SessionEncryption | undefined;
}

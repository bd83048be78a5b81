/** What sessions tell applications. */
import type { Connection } from './connection';
import type { SessionEncryptionChange } from './e2ee/trust';
import type { OTError } from './errors';
import type { PropertyChange, Stream } from './stream';

export interface SessionEvents {
  [signal: `signal:${string}`]: SignalDetails;
  archiveStarted: { id: string; name: string };
  archiveStopped: { id: string; name: string };
  connectionCreated: { connection: Connection };
  connectionDestroyed: { connection: Connection; reason: string };
  encryptionStateChanged: SessionEncryptionChange;
  muteForced: { active: boolean };
  /** Another stream is the one that speaks. */
  activeSpeakerChanged: { stream: Stream };
  sessionConnected: object;
  /** `error`: why, where the reason alone says too little. */
  sessionDisconnected: { reason: string; error?: OTError };
  sessionReconnected: object;
  sessionReconnecting: object;
  signal: SignalDetails;
  streamCreated: { stream: Stream };
  streamDestroyed: { stream: Stream; reason: string };
  streamPropertyChanged: { stream: Stream } & PropertyChange;
}

export interface SignalDetails {
  data: string;
  /** `null` when the REST API sent it. */
  from: Connection | null;
  /** Encrypted by its sender; the server could not read or change it. */
  encrypted: boolean;
}

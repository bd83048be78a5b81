import type { IceConfig } from './rtc/ice';

/** Options of `OT.initSession`. */
export interface SessionOptions {
  /** 8..256 characters; makes an end-to-end encrypted session usable. Never sent anywhere. */
  encryptionSecret?: string;
  /** Refuses a session that the server calls clear, also while the secret is still to come. */
  requireEncryption?: boolean;
  /** No `connectionCreated` and `connectionDestroyed`, for large sessions; the default is false. */
  connectionEventsSuppressed?: boolean;
  /** TURN and STUN servers, and which candidates are used. */
  iceConfig?: IceConfig;
  /** Where the server is, when not where the script came from. */
  serverUrl?: string;
  /** dist/e2ee-worker.js, for pages whose CSP has no `worker-src blob:`. */
  e2eeWorkerUrl?: string;
  /** Accepted for OpenTok.js: media goes to the server, over two peer connections. */
  singlePeerConnection?: boolean;
  /** Accepted for OpenTok.js: connections are resumed in any case. */
  sessionMigration?: boolean;
  /** Accepted for OpenTok.js: there is one server, and one address. */
  ipWhitelist?: boolean;
}

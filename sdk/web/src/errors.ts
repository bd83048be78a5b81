/** Errors as applications know them: an Error whose `name` starts with OT_, and a number. */

import type { Contradiction } from './e2ee/trust';

/** Name → OpenTok's numeric code, for errors that begin here and not on the server. */
const CODES = {
  OT_AUTHENTICATION_ERROR: 1004,
  OT_INVALID_SESSION_ID: 1005,
  OT_CONNECT_FAILED: 1006,
  OT_UNSUPPORTED_BROWSER: 1006,
  OT_CREATE_PEER_CONNECTION_FAILED: 1006,
  OT_ICE_WORKFLOW_FAILED: 1006,
  OT_NOT_CONNECTED: 1010,
  OT_DISCONNECTED: 1010,
  OT_INVALID_PARAMETER: 1011,
  OT_NOT_SUPPORTED: 1011,
  OT_NOT_FOUND: 1011,
  OT_CONSTRAINTS_NOT_SATISFIED: 1011,
  OT_NO_VALID_CONSTRAINTS: 1011,
  OT_STREAM_CREATE_FAILED: 1500,
  OT_USER_MEDIA_ACCESS_DENIED: 1500,
  OT_HARDWARE_UNAVAILABLE: 1500,
  OT_NO_DEVICES_FOUND: 1500,
  OT_SCREEN_SHARING_NOT_SUPPORTED: 1500,
  OT_UNABLE_TO_CAPTURE_MEDIA: 1500,
  OT_PERMISSION_DENIED: 1500,
  OT_TIMEOUT: 1542,
  OT_SET_REMOTE_DESCRIPTION_FAILED: 1600,
  OT_MEDIA_ERR_ABORTED: 1600,
  OT_UNABLE_TO_SUBSCRIBE: 1600,
  OT_STREAM_NOT_FOUND: 1604,
  OT_STREAM_DESTROYED: 1604,
  OT_STREAM_LIMIT_EXCEEDED: 1605,
  OT_RATE_LIMIT_EXCEEDED: 1550,
  OT_UNEXPECTED_SERVER_RESPONSE: 2000,
  OT_REPORT_ISSUE_FAILED: 2000,
  OT_ENCRYPTION_INTERNAL_ERROR: 6001,
  OT_DECRYPTION_INTERNAL_ERROR: 6002,
  OT_ENCRYPTION_SECRET_MISMATCH: 6003,
  OT_INVALID_ENCRYPTION_SECRET: 6004,
  OT_ENCRYPTION_UNSUPPORTED_CODEC: 6005,
  OT_DECRYPTION_UNSUPPORTED_CODEC: 6006,
} as const;

export type ErrorName = keyof typeof CODES;

/** OpenTok's numbers under its names, as `error.code` has them. */
export const EXCEPTION_CODES = {
  AUTHENTICATION_ERROR: CODES.OT_AUTHENTICATION_ERROR,
  INVALID_SESSION_ID: CODES.OT_INVALID_SESSION_ID,
  CONNECT_FAILED: CODES.OT_CONNECT_FAILED,
  NOT_CONNECTED: CODES.OT_NOT_CONNECTED,
  INVALID_PARAMETER: CODES.OT_INVALID_PARAMETER,
  UNABLE_TO_PUBLISH: CODES.OT_STREAM_CREATE_FAILED,
  UNABLE_TO_SUBSCRIBE: CODES.OT_UNABLE_TO_SUBSCRIBE,
  STREAM_LIMIT_EXCEEDED: CODES.OT_STREAM_LIMIT_EXCEEDED,
  UNEXPECTED_SERVER_RESPONSE: CODES.OT_UNEXPECTED_SERVER_RESPONSE,
  REPORT_ISSUE_ERROR: CODES.OT_REPORT_ISSUE_FAILED,
} as const;

/** The native SDKs' number for "no encryption secret", under the web client's names. */
const SECRET_MISSING = 6000;

/** An error of the SDK: `name` is stable (`OT_…`), `code` is OpenTok's number. */
export class OTError extends Error {
  /** OpenTok's number of the error. */
  readonly code: number;

  constructor(name: string, message: string, code: number) {
    super(message);
    this.name = name;
    this.code = code;
  }
}

export function otError(name: ErrorName, message: string, code: number = CODES[name]): OTError {
  return new OTError(name, message, code);
}

/** Whatever was thrown, as an OTError: browsers' own errors get `name` and keep their text. */
export function asOTError(thrown: unknown, name: ErrorName): OTError {
  if (thrown instanceof OTError) return thrown;
  return otError(name, thrown instanceof Error ? thrown.message : String(thrown));
}

export const E2EE_ERRORS = {
  invalidSecret: () =>
    otError(
      'OT_INVALID_ENCRYPTION_SECRET',
      'The encryption secret must be a string of 8 to 256 characters',
    ),
  unsupportedBrowser: () =>
    otError(
      'OT_UNSUPPORTED_BROWSER',
      'Tried to connect an e2ee session but the browser does not support e2ee',
    ),
  publishWithoutSecret: () =>
    otError(
      'OT_STREAM_CREATE_FAILED',
      'Tried to publish to an e2ee session but encryption secret was not set',
      SECRET_MISSING,
    ),
  subscribeWithoutSecret: () =>
    otError(
      'OT_UNABLE_TO_SUBSCRIBE',
      'Tried to subscribe to an e2ee stream but encryption secret was not set',
      SECRET_MISSING,
    ),
  signalWithoutSecret: () =>
    otError(
      'OT_INVALID_ENCRYPTION_SECRET',
      'Tried to signal in an e2ee session but encryption secret was not set',
      SECRET_MISSING,
    ),
  /** A server must not be able to talk a client with a secret into sending in the clear. */
  notEncrypted: () =>
    otError(
      'OT_CONNECT_FAILED',
      'Encryption was asked for, by a secret or an option, but the session is not end-to-end encrypted',
    ),
  notRouted: () =>
    otError(
      'OT_CONNECT_FAILED',
      'The server says that the encrypted session is relayed; only routed sessions are encrypted',
    ),
  notASession: () =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      'The server let the client into something that is not the session it asked for',
    ),
  sessionChanged: () =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      'The server described the session differently when the connection was resumed; it was ended',
    ),
  workerFailed: () =>
    otError(
      'OT_ENCRYPTION_INTERNAL_ERROR',
      'The encryption worker of this session ended; make another one with OT.initSession',
    ),
  clearSignal: () =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      'A signal in the clear claimed to be from a member of the encrypted session; it was dropped',
    ),
  secretReplaced: () =>
    otError(
      'OT_NOT_CONNECTED',
      'The signal waited for the connection under a secret that was replaced; send it again',
    ),
  misshapenSignal: () =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      'An encrypted signal came in a form that no member sends; it was dropped',
    ),
  strayedSignal: () =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      'A signal came that is for another member, or from nobody in the session; it was dropped',
    ),
  noCaptions: () =>
    otError(
      'OT_NOT_SUPPORTED',
      'An end-to-end encrypted session has no captions: the server cannot hear it',
    ),
  falseCaption: () =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      'The server sent captions in an end-to-end encrypted session; it cannot caption what it cannot decrypt',
    ),
  falseArchive: () =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      'The server spoke of an archive of an end-to-end encrypted session; it cannot record what it cannot decrypt',
    ),
} as const;

const SAME_VERSION = 'use a server and an SDK of the same version';

/** What is said of a server that does not keep to the protocol: the same wherever it is noticed. */
export const PROTOCOL_ERRORS = {
  noMessage: () =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      `The server sent something that is no message of the protocol; ${SAME_VERSION}`,
    ),
  misshapen: (kind: string, path: string) =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      `The server sent "${kind}" with a wrong or missing "${path}"; ${SAME_VERSION}`,
    ),
  wrongAnswer: (request: string, kind: string) =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      `The server answered "${request}" with "${kind.slice(0, 32)}"; ${SAME_VERSION}`,
    ),
  strungAlong: () =>
    otError(
      'OT_CONNECT_FAILED',
      'The server took this client back again and again, and ended each connection at once; connect again later',
    ),
  tooManyPeers: () =>
    otError('OT_UNEXPECTED_SERVER_RESPONSE', 'The server named more peers than a session has'),
  otherProtocol: () =>
    otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      `The server does not speak the protocol of this SDK; check its address, and ${SAME_VERSION}`,
    ),
} as const;

/** What is said of each contradiction between the server and the encryption. */
export const CONTRADICTIONS: Readonly<Record<Contradiction, () => OTError>> = {
  clear: E2EE_ERRORS.notEncrypted,
  notRouted: E2EE_ERRORS.notRouted,
  nonsense: E2EE_ERRORS.notASession,
  changed: E2EE_ERRORS.sessionChanged,
};

/** Reports a promise's end to a Node-style callback too, if there is one. */
export function withCallback<Result>(
  promise: Promise<Result>,
  callback: ((error?: OTError, result?: Result) => void) | undefined,
): void {
  promise.then(
    (result) => callback?.(undefined, result),
    (error: unknown) => callback?.(asOTError(error, 'OT_UNEXPECTED_SERVER_RESPONSE')),
  );
}

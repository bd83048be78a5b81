/** What the page and the e2ee worker say to each other. Tracks have names made by the page. */

export interface TransformOptions {
  readonly role: 'send' | 'receive';
  readonly track: string;
  readonly kind: 'audio' | 'video';
}

/** Each request's type, with what it carries and what comes back. */
export interface Requests {
  /** Derives the keys; frames under them can be opened once this returns. */
  setSecret: [{ secret: string; sessionId: string; immediate: boolean }, { hint: number }];
  /** Chooses the next KID of a sending track, under the newest secret. */
  prepare: [{ track: string }, { kid: Uint8Array }];
  bindSender: [{ track: string; streamId: string }, null];
  /** Sends under the prepared KID from the next frame on. */
  activate: [{ track: string; kid: Uint8Array }, { isActive: boolean }];
  releaseSender: [{ track: string }, null];
  bindReceiver: [{ track: string; streamId: string }, null];
  releaseReceiver: [{ track: string }, null];
  recheck: [{ track: string }, null];
  /** For browsers whose frames do not name their codec. */
  setCodec: [{ track: string; mimeType: string }, null];
  keyFrame: [{ track: string; rids: readonly string[] }, null];
  /** By track, since it was made. */
  counters: [
    object,
    { sent: Record<string, SentCounts>; received: Record<string, ReceivedCounts> },
  ];
  /** Signals are sealed under the newest secret from now on. */
  switchSignals: [object, null];
  sealSignal: [{ connectionId: string; signalType: string; data: string }, { sealed: Uint8Array }];
  openSignal: [{ connectionId: string; sealed: Uint8Array }, OpenedSignal];
  verificationCode: [object, { code: string }];
}

/** Frames that came to the worker: passed on sealed, or not passed on. */
export interface SentCounts {
  readonly sealed: number;
  readonly dropped: number;
}

export interface ReceivedCounts {
  /** All frames that came, also while nobody subscribed to the track. */
  readonly seen: number;
  /** Of the present subscription. */
  readonly opened: number;
  readonly failed: number;
}

export type OpenedSignal =
  { readonly signalType: string; readonly data: string } | { readonly refused: string };

export type RequestType = keyof Requests;

export type Request = {
  [Type in RequestType]: { readonly type: Type; readonly id: number } & Requests[Type][0];
}[RequestType];

/** For browsers that only have createEncodedStreams: the streams are transferred. */
export interface StreamsMessage {
  readonly type: 'streams';
  readonly options: TransformOptions;
  readonly readable: ReadableStream;
  readonly writable: WritableStream;
}

export type ToWorker = Request | StreamsMessage;

/** What became of a track's frames; the counts are totals, for diagnosis. */
export interface TrackResults {
  readonly change: 'failing' | 'ok';
  readonly opened: number;
  readonly failed: number;
}

export type Notice =
  /** The transform runs and has a key: the real track may be attached. */
  | { readonly type: 'running'; readonly track: string }
  | ({ readonly type: 'health'; readonly track: string } & TrackResults)
  /** The context used up its counters; prepare and activate another. */
  | { readonly type: 'exhausted'; readonly track: string }
  | { readonly type: 'unsupportedCodec'; readonly track: string; readonly role: 'send' | 'receive' }
  | { readonly type: 'internal'; readonly track: string; readonly role: 'send' | 'receive' };

export type FromWorker =
  | { readonly type: 'reply'; readonly id: number; readonly result: unknown }
  | { readonly type: 'refusal'; readonly id: number; readonly reason: string }
  | Notice;

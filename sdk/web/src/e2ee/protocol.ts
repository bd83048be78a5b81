/** What the page and the e2ee worker say to each other. Tracks have names made by the page. */

export type Kind = 'audio' | 'video';

export interface TransformOptions {
  readonly role: 'send' | 'receive';
  readonly track: string;
  readonly kind: Kind;
}

/** The publisher's ids: its own, or those of the Stream that the application subscribed to. */
export interface StreamOwner {
  readonly connectionId: string;
  readonly streamId: string;
}

/** A track's key id, to be declared to the server; absent when the track could not switch. */
export type KidsByTrack = Record<string, Uint8Array>;

/** Each request's type, with what it carries and what comes back. */
export interface Requests {
  /**
   * Derives the keys; frames under them can be decrypted once this returns. `immediate`: senders
   * have switched, and the older secrets are gone.
   */
  setSecret: [
    { secret: string; sessionId: string; immediate: boolean },
    /** `isInUse`: senders used this secret already, whatever its hint. */
    { hint: number; isNew: boolean; isInUse: boolean; kids: KidsByTrack },
  ];
  /** Senders use the newest secret from now on: media and signals. */
  switch: [object, { kids: KidsByTrack }];
  /** Chooses the first KID of a sending track. Tracks of one publication share its sender part. */
  prepare: [{ track: string; publication: string }, { kid: Uint8Array }];
  /** Chooses the KID of the next switch; `null` when the track uses the newest secret already. */
  prepareNext: [{ track: string }, { kid: Uint8Array | null }];
  /** Binds the track to its stream and encrypts under the secret that is in use now. */
  startSender: [{ track: string; codec: string | undefined } & StreamOwner, { kid: Uint8Array }];
  /** Takes the next context of the same secret. */
  renew: [{ track: string }, { kid: Uint8Array | null }];
  releaseSender: [{ track: string }, null];
  bindReceiver: [{ track: string; kind: Kind } & StreamOwner, null];
  releaseReceiver: [{ track: string }, null];
  /** For browsers whose frames do not name their codec: what the browser itself negotiated. */
  setCodec: [{ track: string; codec: string | undefined }, null];
  recheck: [{ track: string }, null];
  keyFrame: [{ track: string; rids: readonly string[] }, null];
  /** By track, since it was made. `stalls`: how often the worker did not run for a while. */
  counters: [
    object,
    {
      sent: Record<string, SentCounts>;
      received: Record<string, ReceivedCounts>;
      stalls: number;
    },
  ];
  encryptSignal: [
    { connectionId: string; to: string; signalType: string; data: string },
    { encrypted: Uint8Array },
  ];
  /** `from`: the member that the server names; `to`: the own connection id. */
  decryptSignal: [{ from: string; to: string; encrypted: Uint8Array }, DecryptedSignal];
  verificationCode: [object, { code: string }];
  /** The end of one stay: keys and tracks go, what was received is remembered. */
  leave: [object, null];
}

/** Frames of one sender, since its track was made. */
export interface SentCounts {
  /** All that came, counted before anything is done with them. */
  readonly seen: number;
  /** Of the encrypted frames that were given out. */
  readonly bytes: number;
  readonly encrypted: number;
  readonly dropped: number;
}

export interface ReceivedCounts {
  /** The transform runs. */
  readonly isAttached: boolean;
  /** Bytes of all frames that came, counted on arrival, also while nobody subscribed to the track. */
  readonly bytes: number;
  /** Frames that were given out, each counted before it was. */
  readonly given: number;
  /** Of the present subscription. */
  readonly decrypted: number;
  readonly failed: number;
}

export type DecryptedSignal =
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
  /** `decrypted`: the first frame of a subscription; `ok`: the first one after failures. */
  readonly change: 'decrypted' | 'failing' | 'ok';
  readonly decrypted: number;
  readonly failed: number;
}

export type Notice =
  /** The transform runs and has a key: the real track may be attached. */
  | { readonly type: 'running'; readonly track: string }
  /** The first frame of this stream left, encrypted. */
  | { readonly type: 'encrypted'; readonly track: string }
  | ({ readonly type: 'health'; readonly track: string } & TrackResults)
  /** The context used up its counters; take another. */
  | { readonly type: 'exhausted'; readonly track: string }
  | { readonly type: 'unsupportedCodec'; readonly track: string; readonly role: 'send' | 'receive' }
  | { readonly type: 'internal'; readonly track: string; readonly role: 'send' | 'receive' };

export type FromWorker =
  | { readonly type: 'reply'; readonly id: number; readonly result: unknown }
  | { readonly type: 'refusal'; readonly id: number; readonly reason: string }
  | Notice;

/** The part of the OpenTok.js surface that the components use. */

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- event payloads are the SDK's own types
export type Handler = (event: any) => void;
export type EventHandlers = Readonly<Record<string, Handler>>;
export type Done = (error?: Error) => void;

export interface Emitter {
  on(handlers: EventHandlers): unknown;
  off(handlers: EventHandlers): unknown;
}

export interface Stream {
  readonly id: string;
  readonly streamId: string;
}

export interface Publisher extends Emitter {
  publishAudio(on: boolean): unknown;
  publishVideo(on: boolean): unknown;
  destroy(): unknown;
}

export interface Subscriber extends Emitter {
  subscribeToAudio(on: boolean): unknown;
  subscribeToVideo(on: boolean): unknown;
}

/** "keyed": media and signals are exchanged, and encrypted; "none": the session is clear. */
export type SessionEncryptionState =
  'unknown' | 'none' | 'required' | 'confirmed' | 'keyed' | 'refused';

export interface Session extends Emitter {
  readonly encryptionState: SessionEncryptionState;
  connect(token: string, done: Done): unknown;
  disconnect(): unknown;
  publish(publisher: Publisher, done: Done): unknown;
  unpublish(publisher: Publisher): unknown;
  subscribe(stream: Stream, target: HTMLElement, properties: object, done: Done): Subscriber;
  unsubscribe(subscriber: Subscriber): unknown;
  setEncryptionSecret(secret: string): Promise<void>;
}

export interface OpenTok {
  initSession(apiKey: string, sessionId: string, options?: object): Session;
  initPublisher(target: HTMLElement, properties: object, done: Done): Publisher;
}

/** The SDK that the page loaded by its script. */
export function loadedOpenTok(): OpenTok {
  const { OT } = globalThis as { OT?: OpenTok };
  if (!OT) throw new Error('OT is not defined: load sealroute.js before rendering OTSession');
  return OT;
}

/** A session as applications use it: the surface of OpenTok.js over a Room. */
import type { Connection } from './connection';
import { KeptSecret, secretOf } from './e2ee/kept-secret';
import { isValidSecret } from './e2ee/secret';
import type { SessionEncryption } from './e2ee/session-encryption';
import { SessionWorker } from './e2ee/session-worker';
import { type SessionEncryptionState, SessionTrust } from './e2ee/trust';
import {
  asOTError,
  CONTRADICTIONS,
  E2EE_ERRORS,
  type OTError,
  otError,
  withCallback,
} from './errors';
import { Emitter } from './events';
import type { Callback } from './arguments';
import { definePromised } from './promise-variant';
import type { Publisher, PublisherProperties } from './publisher';
import type { Room } from './room';
import type { ReceivedSignal, RoomListener } from './room-listener';
import { decodableCodecs } from './rtc/codecs';
import { type IceConfig, iceSettings } from './rtc/ice';
import { signalingUrl } from './server-url';
import {
  type Connect,
  publishCall,
  type Publish,
  type PublishArguments,
  publisherOf,
  type Subscribe,
  type SubscribeArguments,
  subscribeCall,
} from './session-calls';
import { CpuWatch } from './quality/cpu';
import type { SessionOptions } from './session-options';
import { E2EE_FORMAT } from './rules';
import { signalFault } from './signal-rules';
import type { Reply, RequestMessage } from './signaling/channel';
import type { Capabilities, Welcome } from './signaling/messages';
import { Stay } from './stay';
import type { SessionEvents } from './event-types';
import type { Stream } from './stream';
import { Subscriber, type SubscriberProperties } from './subscriber';
import type { Target } from './ui/view';
import { VERSION } from './version';

const NOTHING: Capabilities = {
  ...{ publish: 0, subscribe: 0, signal: 0 },
  ...{ forceUnpublish: 0, forceDisconnect: 0, forceMute: 0 },
};

/** One session as this client is in it; made by `OT.initSession`. */
export class Session extends Emitter<SessionEvents> {
  /**
   * Joins the session. Errors: `OT_AUTHENTICATION_ERROR`, `OT_CONNECT_FAILED`,
   * `OT_INVALID_ENCRYPTION_SECRET`, or the server's.
   */
  declare readonly connect: Connect;
  /**
   * Publishes a Publisher, or makes one first from a target and properties. Errors:
   * `OT_PERMISSION_DENIED`, `OT_NOT_CONNECTED`, `OT_STREAM_LIMIT_EXCEEDED`, or the capture's.
   */
  declare readonly publish: Publish;
  /**
   * Receives a stream in a new element. Errors: `OT_STREAM_NOT_FOUND`, `OT_NOT_CONNECTED`,
   * `OT_UNABLE_TO_SUBSCRIBE`.
   */
  declare readonly subscribe: Subscribe;
  /** This client's own connection while it is in the session. */
  connection: Connection | undefined;
  /** What the token allows; 1 = allowed, as in OpenTok.js. Nothing outside of the session. */
  capabilities: Capabilities = NOTHING;
  private readonly cpu = new CpuWatch((cpuPerformanceState) =>
    this.dispatch('cpuPerformanceChanged', { cpuPerformanceState }),
  );
  private stay: Stay | undefined;
  private secret: KeptSecret | undefined;
  private readonly options: Omit<SessionOptions, 'encryptionSecret'>;
  private readonly worker: SessionWorker;
  private readonly trust: SessionTrust;

  /** @internal Use OT.initSession. */
  constructor(
    private readonly apiKey: string,
    readonly sessionId: string,
    { encryptionSecret, ...options }: SessionOptions = {},
  ) {
    super();
    this.options = options;
    this.worker = new SessionWorker(sessionId, options.e2eeWorkerUrl);
    this.secret = encryptionSecret === undefined ? undefined : new KeptSecret(encryptionSecret);
    this.trust = new SessionTrust(sessionId, (change) =>
      this.dispatch('encryptionStateChanged', change),
    );
  }

  /** The same as `sessionId`; applications use both. */
  get id(): string {
    return this.sessionId;
  }

  /** Whether this client is in the session. */
  isConnected(): boolean {
    return this.connection !== undefined;
  }

  /** What the server has confirmed, and whether media and signals can be exchanged. */
  get encryptionState(): SessionEncryptionState {
    return this.trust.state;
  }

  /** Leaves the session; everything published and subscribed ends. Without a session it does nothing. */
  disconnect(): Promise<void> {
    if (this.stay) this.end(this.stay, 'clientDisconnected');
    return Promise.resolve();
  }

  /** Ends the stream of a Publisher; it dispatches `streamDestroyed`. */
  unpublish(publisher: Publisher): void {
    this.room?.unpublish(publisher, 'clientDisconnected');
  }

  /** Ends a subscription and removes its element. */
  unsubscribe(subscriber: Subscriber): void {
    this.room?.unsubscribe(subscriber);
    subscriber.end('unsubscribed');
  }

  /**
   * Sends a signal to everybody, or to the connection `to`; encrypted in an encrypted session. `type`
   * has at most 128 bytes, `data` 8,192. Rejects with `OT_INVALID_PARAMETER` or `OT_NOT_CONNECTED`.
   */
  signal(
    signal: { type?: string; data?: string; to?: Connection; retryAfterReconnect?: boolean },
    callback?: Callback,
  ): Promise<void> {
    const sent = this.sendSignal(signal);
    withCallback(sent, callback);
    return sent;
  }

  /** Moderators: ends another client's connection. Rejects with `OT_PERMISSION_DENIED`. */
  forceDisconnect(connection: Connection, callback?: Callback): Promise<void> {
    return this.moderate(
      'forceDisconnect',
      connection && { t: 'forceDisconnect', connectionId: connection.connectionId },
      callback,
    );
  }

  /** Moderators: ends another client's stream. Rejects with `OT_PERMISSION_DENIED`. */
  forceUnpublish(stream: Stream, callback?: Callback): Promise<void> {
    return this.moderate(
      'forceUnpublish',
      stream && { t: 'forceUnpublish', streamId: stream.streamId },
      callback,
    );
  }

  /** Moderators: mutes the audio of a stream. Rejects with `OT_PERMISSION_DENIED`. */
  forceMuteStream(stream: Stream): Promise<void> {
    return this.moderate(
      'forceMute',
      stream && { t: 'forceMuteStream', streamId: stream.streamId },
    );
  }

  /**
   * Moderators: mutes the audio of all streams but some, and of those published later. Rejects with
   * `OT_PERMISSION_DENIED`.
   */
  forceMuteAll(excludedStreams: readonly Stream[] = []): Promise<void> {
    const excludedStreamIds = excludedStreams.map(({ streamId }) => streamId);
    return this.moderate('forceMute', { t: 'forceMuteAll', active: true, excludedStreamIds });
  }

  /** Moderators: streams that are published from now on are not muted. */
  disableForceMute(): Promise<void> {
    return this.moderate('forceMute', { t: 'forceMuteAll', active: false });
  }

  /** This client's Publisher of a stream, if it has one. */
  getPublisherForStream(stream: Stream): Publisher | undefined {
    return this.room?.publishers.get(stream.streamId);
  }

  /** This client's Subscribers to a stream. */
  getSubscribersForStream(stream: Stream): Subscriber[] {
    return [...(this.room?.subscribers.values() ?? [])].filter(
      (subscriber) => subscriber.stream.streamId === stream.streamId,
    );
  }

  /**
   * Resolves when frames of the others can be decrypted with the secret. `immediate` gives up the
   * old secret at once, to exclude a client that knows it.
   */
  async setEncryptionSecret(secret: string, options: { immediate?: boolean } = {}): Promise<void> {
    if (!isValidSecret(secret)) throw E2EE_ERRORS.invalidSecret();
    if (this.trust.isClear) throw E2EE_ERRORS.notEncrypted();
    this.secret = new KeptSecret(secret);
    this.trust.require();
    const { stay } = this;
    await stay?.setSecret(secret, options.immediate);
  }

  /** Digits that are equal for everybody with the same secret in this session: compare aloud. */
  async getVerificationCode(): Promise<string> {
    if (!this.encryption?.hasSecret) {
      throw otError('OT_NOT_CONNECTED', 'The session has no encryption secret in use');
    }
    return this.encryption.verificationCode();
  }

  /** For peer connections made from now on. */
  setIceConfig(iceConfig: IceConfig): Promise<void> {
    this.options.iceConfig = iceConfig;
    return Promise.resolve();
  }

  // --- connecting ---------------------------------------------------------------------

  private async open(token: string): Promise<void> {
    if (this.stay) throw otError('OT_CONNECT_FAILED', 'The session is connected already');
    if (typeof token !== 'string' || token === '') {
      throw otError('OT_AUTHENTICATION_ERROR', 'A token is needed to connect');
    }
    const stay = this.newStay(token);
    this.stay = stay;
    try {
      this.enter(stay, await stay.greet());
    } catch (error) {
      if (this.stay === stay) this.stay = undefined;
      stay.end();
      this.trust.left();
      throw asOTError(error, 'OT_CONNECT_FAILED');
    }
  }

  private newStay(token: string): Stay {
    const url = signalingUrl(this.options.serverUrl);
    const encryption = this.worker.prepare(secretOf(this.secret));
    this.trust.connecting(this.secret !== undefined || Boolean(this.options.requireEncryption));
    const stay: Stay = new Stay(
      url,
      {
        apiKey: this.apiKey,
        sessionId: this.sessionId,
        token,
        sdk: { name: 'sealroute-web', version: VERSION },
        codecs: decodableCodecs(),
        ...(encryption ? { e2ee: { formats: [E2EE_FORMAT], signals: true } } : {}),
      },
      encryption,
      this.trust,
      {
        onReconnecting: () => this.dispatch('sessionReconnecting', {}),
        onReconnected: () => this.dispatch('sessionReconnected', {}),
        onEnded: (reason, error) => this.end(stay, reason, error),
      },
    );
    return stay;
  }

  private enter(stay: Stay, welcome: Welcome): void {
    // A server that strips the flag must not get clear media from a client with a secret.
    const contradiction = this.trust.onWelcome(welcome);
    if (contradiction) throw CONTRADICTIONS[contradiction]();
    if (this.trust.isEncrypted && !stay.canEncrypt) throw E2EE_ERRORS.unsupportedBrowser();
    if (this.trust.isEncrypted && this.worker.hasFailed) throw E2EE_ERRORS.workerFailed();
    this.capabilities = welcome.capabilities;
    const settings = iceSettings(this.options.iceConfig, welcome.iceServers ?? []);
    const room = stay.enter(welcome, settings, this.roomListener(stay));
    if (!this.trust.isEncrypted) this.worker.end();
    this.connection = room.directory.addConnection(welcome.connection);
    this.dispatch('sessionConnected', {});
    if (this.connection) this.onConnectionCreated(this.connection);
    stay.begin();
  }

  private roomListener(stay: Stay): RoomListener {
    return {
      onConnectionCreated: (connection) => this.onConnectionCreated(connection),
      onConnectionDestroyed: (connection, reason) => {
        if (this.options.connectionEventsSuppressed) return;
        this.dispatch('connectionDestroyed', { connection, reason });
      },
      onStreamCreated: (stream) => this.dispatch('streamCreated', { stream }),
      onStreamDestroyed: (stream, reason) =>
        this.dispatch(
          'streamDestroyed',
          { stream, reason },
          { cancelable: true },
        ).isDefaultPrevented(),
      onStreamChanged: (stream, change) =>
        this.dispatch('streamPropertyChanged', { stream, ...change }),
      onSignal: (signal) => this.onSignal(signal),
      onRelayed: (event, details) => this.dispatch(event, details),
      onMuteForced: (active) => this.dispatch('muteForced', { active }),
      onDisconnected: (reason) => this.end(stay, reason),
      onNetworkDoubt: () => stay.doubt(),
      onQuiet: () => stay.onQuiet(),
    };
  }

  private onConnectionCreated(connection: Connection): void {
    if (this.options.connectionEventsSuppressed) return;
    this.dispatch('connectionCreated', { connection });
  }

  private onSignal({ type, ...details }: ReceivedSignal): void {
    const name = type === '' ? 'signal' : (`signal:${type}` as const);
    this.dispatch('signal', details, { type: name });
    if (name !== 'signal') this.dispatch(name, details);
  }

  // --- requests -----------------------------------------------------------------------

  private async publishNow(publisher: Publisher): Promise<Publisher> {
    const room = this.connectedRoom();
    if (this.capabilities.publish !== 1) {
      throw otError('OT_PERMISSION_DENIED', 'The token does not allow to publish');
    }
    if (!this.trust.mayExchange) throw E2EE_ERRORS.publishWithoutSecret();
    publisher.session ??= this;
    try {
      await room.publish(publisher);
    } catch (error) {
      if (publisher.session === this && !publisher.stream) publisher.session = undefined;
      throw error;
    }
    return publisher;
  }

  protected override handlersChanged(): void {
    this.cpu.run(this.hasHandlers('cpuPerformanceChanged'));
  }

  private async subscribeNow(subscriber: Subscriber): Promise<Subscriber> {
    try {
      const room = this.connectedRoom();
      if (room.directory.stream(subscriber.stream?.streamId) === undefined) {
        throw otError('OT_STREAM_NOT_FOUND', 'The session has no such stream');
      }
      await room.subscribe(subscriber);
    } catch (error) {
      subscriber.end('subscribeFailed');
      throw error;
    }
    return subscriber;
  }

  private async sendSignal({
    type,
    data,
    to,
  }: {
    type?: string;
    data?: string;
    to?: Connection;
  }): Promise<void> {
    this.connectedRoom();
    const fault = signalFault(type, data);
    if (fault) throw fault;
    const content = await this.signalContent(type ?? '', data ?? '', to?.connectionId ?? '');
    await this.send({ t: 'signal', ...(to ? { to: to.connectionId } : {}), ...content });
  }

  private async signalContent(
    type: string,
    data: string,
    to: string,
  ): Promise<{ type: string; data: string } | { encrypted: Uint8Array }> {
    if (this.trust.isClear) return { type, data };
    if (!this.encryption || !this.trust.mayExchange) throw E2EE_ERRORS.signalWithoutSecret();
    return { encrypted: await this.encryption.encryptSignal(to, type, data) };
  }

  private moderate(
    capability: keyof Capabilities,
    message: RequestMessage | undefined,
    callback?: Callback,
  ): Promise<void> {
    const done = (async (): Promise<void> => {
      this.connectedRoom();
      if (!message) throw otError('OT_INVALID_PARAMETER', 'The argument is missing');
      if (this.capabilities[capability] !== 1) {
        throw otError('OT_PERMISSION_DENIED', 'The token does not allow to moderate');
      }
      await this.send(message);
    })();
    withCallback(done, callback);
    return done;
  }

  private send(message: RequestMessage): Promise<Reply> {
    return (
      this.stay?.send(message) ??
      Promise.reject(otError('OT_NOT_CONNECTED', 'The session is not connected'))
    );
  }

  private connectedRoom(): Room {
    if (!this.room) throw otError('OT_NOT_CONNECTED', 'The session is not connected');
    return this.room;
  }

  /** The one way out: everything of the stay ends, and the session may connect again. */
  private end(stay: Stay, reason: string, error?: OTError): void {
    if (this.stay !== stay) return;
    this.stay = undefined;
    const { room } = stay;
    this.trust.left();
    const publishers = [...(room?.publishers.values() ?? [])];
    const subscribers = room?.allSubscribers() ?? [];
    stay.end();
    if (!room) return;
    for (const publisher of publishers) publisher.unbind(reason);
    const details = { reason, ...(error ? { error } : {}) };
    const event = this.dispatch('sessionDisconnected', details, { cancelable: true });
    for (const subscriber of subscribers) subscriber.end(reason, event.isDefaultPrevented());
    // A handler may have begun to connect again; nothing of that has come about yet.
    this.connection = undefined;
    this.capabilities = NOTHING;
  }

  private get room(): Room | undefined {
    return this.stay?.room;
  }

  private get encryption(): SessionEncryption | undefined {
    return this.stay?.encryption;
  }

  static {
    definePromised(this.prototype, {
      connect: {
        call(token: string, callback?: (error?: OTError) => void) {
          withCallback(this.open(token), callback);
          return this;
        },
        promise(token: string) {
          return this.open(token).then(() => this);
        },
      },
      publish: {
        call(...args: PublishArguments) {
          const [publisher, done] = publishCall(args);
          withCallback(this.publishNow(publisher), done);
          return publisher;
        },
        promise(publisherOrTarget?: Publisher | Target, properties?: PublisherProperties) {
          return this.publishNow(publisherOf(publisherOrTarget, properties));
        },
      },
      subscribe: {
        call(...args: SubscribeArguments) {
          const [subscriber, done] = subscribeCall(args);
          withCallback(this.subscribeNow(subscriber), done);
          return subscriber;
        },
        promise(stream: Stream, target?: Target, properties?: SubscriberProperties) {
          return this.subscribeNow(new Subscriber(stream, target, properties));
        },
      },
    });
  }
}

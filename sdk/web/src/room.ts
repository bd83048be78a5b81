/** One stay in a session: owner of the channel, both peer connections and all their parts. */
import type { Clock } from './clock';
import { Directory } from './directory';
import type { SessionEncryption } from './e2ee/session-encryption';
import type { SessionTrust } from './e2ee/trust';
import { Watchdog } from './e2ee/watchdog';
import { E2EE_ERRORS, OTError, otError } from './errors';
import { CLEAR_ONLY, RELAYED, type SessionEvents } from './event-types';
import { exceptions } from './exceptions';
import { interrupted, LossBackoff } from './losses';
import type { Publisher } from './publisher';
import { Publications } from './publications';
import { Downlink, type DownlinkListener } from './rtc/downlink';
import type { PeerSettings } from './rtc/peer-connection';
import { PeerLinks } from './rtc/peer-links';
import type { RemoteSender } from './rtc/track-stats';
import { ReceivedSignals } from './received-signals';
import { Uplink } from './rtc/uplink';
import type { Reply, RequestMessage } from './signaling/channel';
import { endReason } from './signaling/endings';
import type {
  ConnectionDestroyed,
  ServerMessage,
  StreamInfo,
  StreamPropertyChanged,
  Welcome,
} from './signaling/messages';
import type { Admission, RelayedEvent, RoomListener } from './room-listener';
import { senderStatsMessage } from './sender-stats';
import type { Stream } from './stream';
import type { Subscriber } from './subscriber';
import { Subscriptions } from './subscriptions';

type Handlers = {
  [Type in ServerMessage['t']]?: (message: Extract<ServerMessage, { t: Type }>) => void;
};

export class Room {
  readonly directory = new Directory();
  private readonly uplink: Uplink;
  private readonly downlink: Downlink;
  /** Relayed sessions: instead of up- and downlink, a peer connection for each subscriber. */
  private readonly peers: PeerLinks | undefined;
  private readonly publications: Publications;
  private readonly subscriptions: Subscriptions;
  private readonly watchdog: Watchdog | undefined;
  private readonly signals: ReceivedSignals;
  private readonly losses = { uplink: new LossBackoff(), downlink: new LossBackoff() };
  private isClosed = false;

  private readonly welcome: Welcome;
  private readonly trust: SessionTrust;
  private readonly encryption: SessionEncryption | undefined;

  constructor(
    { welcome, trust, encryption }: Admission,
    private readonly send: (message: RequestMessage) => Promise<Reply>,
    settings: Omit<PeerSettings, 'isEncrypted'>,
    private readonly listener: RoomListener,
    private readonly clock: Clock,
  ) {
    this.welcome = welcome;
    this.trust = trust;
    this.encryption = encryption;
    const { isEncrypted } = trust;
    const peerSettings = { ...settings, isEncrypted: isEncrypted };
    const publish = (message: RequestMessage): Promise<Reply> => this.sendPublishing(message);
    this.uplink = new Uplink(peerSettings, publish, encryption, clock, {
      onStall: () => listener.onNetworkDoubt(),
      onQuiet: () => listener.onQuiet(),
      onInterrupted: (isInterrupted) => {
        if (isInterrupted) exceptions.report(interrupted('sent'));
      },
    });
    const downlinkListener: DownlinkListener = {
      ownerOf: (subscriberId) => this.ownerOf(subscriberId),
      onTracks: (subscriberId, tracks) => this.subscribers.get(subscriberId)?.onTracks(tracks),
      onFailure: (error) => exceptions.report(error),
      onQuiet: () => listener.onQuiet(),
      onInterrupted: (isInterrupted) => this.onDownlinkInterrupted(isInterrupted),
    };
    this.downlink = new Downlink(peerSettings, send, encryption, downlinkListener, clock);
    if (welcome.session.mediaMode === 'relayed') {
      this.peers = new PeerLinks(peerSettings, publish, {
        isWanted: (subscriberId) => this.subscribers.has(subscriberId),
        onTracks: (subscriberId, tracks) => this.subscribers.get(subscriberId)?.onTracks(tracks),
        onConnected: (subscriberId) => this.subscriptions.onConnected(subscriberId),
        onLost: (subscriberId) => this.subscriptions.onPeerLost(subscriberId),
        onFailure: (error) => exceptions.report(error),
      });
    }
    this.subscriptions = new Subscriptions({
      clock,
      isEncrypted,
      isAtWork: () => this.downlink.isNegotiating,
      send,
      dropLink: (subscriberId) => this.peers?.drop(subscriberId),
      binding: (subscriberId) => ({
        report: (state, counts) => this.notify({ t: 'e2eeState', subscriberId, state, ...counts }),
        recheck: (tracks) => this.encryption?.recheck(tracks),
      }),
    });
    this.publications = new Publications({
      clock,
      isEncrypted,
      isAtWork: () => this.uplink.isNegotiating,
      directory: this.directory,
      sending: this.peers ?? this.uplink,
      update: (stream, change) => this.updateStream(stream, change),
      sendStats: (streamId, sender) => this.sendSenderStats(streamId, sender),
    });
    this.signals = new ReceivedSignals({
      directory: this.directory,
      trust,
      encryption,
      listener,
      subscribers: () => this.subscribers.values(),
    });
    this.watchdog =
      encryption &&
      new Watchdog(encryption, this.uplink, this.downlink, clock, (error) =>
        exceptions.report(error),
      );
    encryption?.onNotice((notice) => {
      if (notice.type === 'health') {
        const subscriberId = this.downlink.userOf(notice.track);
        this.subscribers.get(subscriberId ?? '')?.onHealth(notice.track, notice, clock.now());
      } else if (notice.type === 'internal' || notice.type === 'unsupportedCodec') {
        exceptions.report(encryptionFault(notice.type, notice.role));
      }
    });
  }

  /** By stream id: those that the server took. */
  get publishers(): ReadonlyMap<string, Publisher> {
    return this.publications.byId;
  }

  /** By subscriber id: those that the server knows. */
  get subscribers(): ReadonlyMap<string, Subscriber> {
    return this.subscriptions.byId;
  }

  allSubscribers(): Subscriber[] {
    return this.subscriptions.all();
  }

  get connectionId(): string {
    return this.welcome.connection.connectionId;
  }

  /** Reports the connections and streams that were there before, and starts the watchdog. */
  begin(): void {
    this.admit(this.welcome);
    if (!this.encryption) return;
    this.encryption.enter(this.connectionId, this.send);
    this.watchdog?.start();
  }

  handle(message: ServerMessage): void {
    // What every object has, such as "constructor", is no message.
    if (this.isClosed) return;
    try {
      if (Object.hasOwn(this.handlers, message.t)) {
        (this.handlers[message.t] as ((message: ServerMessage) => void) | undefined)?.(message);
      }
      if (Object.hasOwn(RELAYED, message.t)) {
        this.relay(message, RELAYED[message.t as keyof typeof RELAYED]);
      }
    } catch (error) {
      // A message of the right name and another shape: the server's fault, and no reason to end.
      exceptions.report(error);
    }
  }

  /** After a resume: makes up for messages that were missed. */
  reconcile(welcome: Welcome): void {
    const { connections, streams } = this.directory.missingFrom(
      welcome.connections,
      welcome.streams,
    );
    for (const { streamId } of streams) this.onStreamGone(streamId, 'networkDisconnected');
    for (const { connectionId } of connections) {
      this.handlers.connectionDestroyed?.({
        t: 'connectionDestroyed',
        connectionId,
        reason: 'networkDisconnected',
      });
    }
    this.admit(welcome);
    this.encryption?.onResumed();
    this.uplink.onResumed();
    this.downlink.onResumed();
  }

  /** The network has changed or seems dead. */
  hurry(): void {
    this.uplink.hurry();
    this.downlink.hurry();
  }

  /** Resolves with the stream once its media can flow. */
  async publish(publisher: Publisher): Promise<Stream> {
    this.requireSecret(E2EE_ERRORS.publishWithoutSecret);
    return this.publications.add(publisher);
  }

  unpublish(publisher: Publisher, reason: string): void {
    this.publications.unpublish(publisher, reason);
  }

  /** Resolves when the subscriber's tracks are connected. */
  async subscribe(subscriber: Subscriber): Promise<void> {
    this.requireSecret(E2EE_ERRORS.subscribeWithoutSecret);
    await this.subscriptions.add(subscriber);
  }

  unsubscribe(subscriber: Subscriber): void {
    this.subscriptions.unsubscribe(subscriber);
  }

  /** The secrets of the session changed here: mismatched subscribers get another chance. */
  onSecretSet(): void {
    for (const subscriber of this.subscribers.values()) subscriber.onHope();
  }

  close(): void {
    this.isClosed = true;
    this.watchdog?.stop();
    const gone = otError('OT_NOT_CONNECTED', 'The session is not connected');
    this.publications.close(gone);
    this.subscriptions.close(gone);
    this.uplink.close();
    this.downlink.reset();
    this.peers?.reset();
    this.encryption?.close();
  }

  private readonly handlers: Handlers = {
    connectionCreated: ({ connection }) => {
      const added = this.directory.addConnection(connection);
      if (added) this.listener.onConnectionCreated(added);
    },
    connectionDestroyed: (message) => this.onConnectionGone(message),
    streamCreated: ({ stream }) => this.onStreamCreated(stream),
    streamDestroyed: ({ streamId, reason }) => this.onStreamGone(streamId, reason),
    streamPropertyChanged: (message) => this.onStreamChanged(message),
    signalReceived: (message) => {
      this.signals.take(message).catch((error: unknown) => exceptions.report(error));
    },
    muteForced: ({ active, streamId }) => {
      if (!streamId) this.listener.onMuteForced(active);
      else if (active) this.publishers.get(streamId)?.onMuteForced();
    },
    notEncrypted: ({ streamId }) => {
      this.publications.onNotEncrypted(streamId);
      exceptions.report(encryptionFault('internal', 'send'));
    },
    hintAnnounced: ({ connectionId, hint }) => this.onHint(connectionId, hint),
    downlinkOffer: (message) => this.downlink.onOffer(message),
    subscriberConnected: ({ subscriberId }) => this.subscriptions.onConnected(subscriberId),
    captionReceived: ({ streamId, caption, isFinal }) => {
      if (this.trust.isEncrypted) throw E2EE_ERRORS.falseCaption();
      for (const subscriber of this.subscribers.values()) {
        if (subscriber.stream.streamId === streamId) subscriber.onCaption(caption, isFinal);
      }
    },
    streamStateChanged: ({ subscriberId, state }) =>
      this.subscribers.get(subscriberId)?.onStreamState(state),
    subscribedLayersChanged: ({ streamId, ...layers }) =>
      this.publishers.get(streamId)?.onSubscribedLayers(layers),
    peerSubscribed: (message) => this.peers?.onSubscribed(message),
    peerUnsubscribed: ({ subscriberId }) => this.peers?.drop(subscriberId),
    peerDescriptionReceived: (message) => this.peers?.onDescription(message),
    peerCandidateReceived: (message) => this.peers?.onCandidate(message),
    transportLost: ({ direction }) => this.onTransportLost(direction),
    disconnected: ({ reason }) => this.listener.onDisconnected(endReason(reason)),
    error: ({ name, message, number }) => exceptions.report(new OTError(name, message, number)),
  };

  /** Tells the event that repeats a message; nothing of a stream that is not known. */
  private relay(message: ServerMessage, row: (typeof RELAYED)[keyof typeof RELAYED]): void {
    if (this.trust.isEncrypted && CLEAR_ONLY.has(message.t)) throw E2EE_ERRORS.falseArchive();
    const said: Readonly<Record<string, unknown>> = { ...message };
    const details: Record<string, unknown> = {};
    for (const name of row.members) {
      details[name] =
        name === 'stream' ? this.directory.stream(said.streamId as string) : said[name];
      if (name === 'stream' && !details[name]) return;
    }
    this.listener.onRelayed(row.event, details as unknown as SessionEvents[RelayedEvent]);
  }

  private admit(welcome: Welcome): void {
    for (const connection of welcome.connections) {
      this.handlers.connectionCreated?.({ t: 'connectionCreated', connection });
    }
    for (const stream of welcome.streams) this.onStreamCreated(stream);
    for (const [connectionId, hint] of Object.entries(welcome.hints ?? {})) {
      this.onHint(connectionId, hint);
    }
  }

  private onConnectionGone({ connectionId, reason }: ConnectionDestroyed): void {
    this.encryption?.onConnectionLeft(connectionId);
    const connection = this.directory.removeConnection(connectionId);
    if (!connection) return;
    this.signals.onSenderGone(connection);
    this.listener.onConnectionDestroyed(connection, reason);
  }

  private onStreamCreated(info: StreamInfo): void {
    const stream = this.directory.addStream(info);
    if (!stream) return;
    if (this.trust.isEncrypted) stream.hasCaptions = false;
    if (info.connectionId !== this.connectionId) {
      this.listener.onStreamCreated(stream);
      return;
    }
    this.publications.onLive(stream);
  }

  private onStreamGone(streamId: string, reason: string): void {
    if (this.publications.onStreamGone(streamId, reason)) return;
    const stream = this.directory.removeStream(streamId);
    if (!stream || stream.connection.connectionId === this.connectionId) return;
    const keepsElements = this.listener.onStreamDestroyed(stream, reason);
    this.subscriptions.onStreamGone(stream, keepsElements);
  }

  private onStreamChanged({ streamId, ...change }: StreamPropertyChanged): void {
    const stream = this.directory.stream(streamId);
    if (this.trust.isEncrypted) delete change.hasCaptions;
    if (stream) this.applyChange(stream, change);
  }

  private applyChange(stream: Stream, change: Parameters<Stream['apply']>[0]): void {
    for (const applied of stream.apply(change)) {
      this.listener.onStreamChanged(stream, applied);
      if (applied.changedProperty !== 'hasVideo') continue;
      for (const subscriber of this.subscribers.values()) {
        if (subscriber.stream === stream) subscriber.onStreamChanged(stream.hasVideo);
      }
    }
  }

  private sendSenderStats(streamId: string, sender: RemoteSender): void {
    if (!this.trust.mayExchange) return;
    senderStatsMessage({ streamId, sender }, this.encryption)
      .then((message) => this.send(message))
      // The next ones are on their way: the loss of these is no error.
      .catch(() => undefined);
  }

  private onHint(connectionId: string, hint: number): void {
    // From no connection of the session: a change of the secret would wait for it.
    if (connectionId === this.connectionId || !this.directory.connection(connectionId)) return;
    if (!this.encryption?.onAnnounced(connectionId, hint)) return;
    for (const subscriber of this.subscribers.values()) {
      if (subscriber.stream.connection.connectionId === connectionId) subscriber.onHope();
    }
  }

  /** What went over the transport is gone on the server: it is done again on a new one. */
  private onTransportLost(direction: 'uplink' | 'downlink'): void {
    const delayMs = this.losses[direction].onLoss(this.clock.now());
    if (direction === 'uplink') {
      this.uplink.reset();
      this.publications.onTransportLost(delayMs);
    } else {
      this.downlink.reset();
      this.subscriptions.onTransportLost(delayMs);
    }
  }

  private onDownlinkInterrupted(isInterrupted: boolean): void {
    if (isInterrupted) exceptions.report(interrupted('received'));
    for (const subscriber of this.subscribers.values()) {
      if (isInterrupted) subscriber.onDisconnected();
      else subscriber.onConnected();
    }
  }

  private updateStream(
    stream: Stream,
    change: Parameters<Parameters<Publisher['bind']>[0]['update']>[0],
  ): void {
    this.notify({ t: 'updateStream', streamId: stream.streamId, ...change });
    this.applyChange(stream, change);
  }

  private notify(message: RequestMessage): void {
    this.send(message).catch((error: unknown) => {
      if (!this.isClosed) exceptions.report(error);
    });
  }

  /** A stream that the server calls as it called another one is not published. */
  private async sendPublishing(message: RequestMessage): Promise<Reply> {
    const reply = await this.send(message);
    if (reply.t !== 'published' || this.directory.claim(reply.streamId, this.connectionId)) {
      return reply;
    }
    throw otError(
      'OT_UNEXPECTED_SERVER_RESPONSE',
      'The server gave a published stream the id of another stream',
    );
  }

  private requireSecret(missing: () => OTError): void {
    if (!this.trust.mayExchange) throw missing();
  }

  /** The ids of the Stream that the application subscribed to, whatever the server says later. */
  private ownerOf(subscriberId: string): { connectionId: string; streamId: string } | undefined {
    const stream = this.subscribers.get(subscriberId)?.stream;
    return stream && { streamId: stream.streamId, connectionId: stream.connection.connectionId };
  }
}

function encryptionFault(type: 'internal' | 'unsupportedCodec', role: 'send' | 'receive'): OTError {
  const direction = role === 'send' ? 'ENCRYPTION' : 'DECRYPTION';
  return type === 'internal'
    ? otError(`OT_${direction}_INTERNAL_ERROR`, 'Frames could not be encrypted or decrypted')
    : otError(`OT_${direction}_UNSUPPORTED_CODEC`, 'The codec cannot be encrypted');
}

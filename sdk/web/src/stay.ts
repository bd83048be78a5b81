/**
 * One stay in a session, from its greeting to its end: owner of the channel, the encryption and the room.
 * A session that connects again has another stay, and nothing of the one touches the other.
 */
import { systemClock } from './clock';
import type { SessionEncryption } from './e2ee/session-encryption';
import type { PreparedEncryption } from './e2ee/session-worker';
import type { SessionTrust } from './e2ee/trust';
import { asOTError, E2EE_ERRORS, type OTError, otError } from './errors';
import { exceptions } from './exceptions';
import { watchNetwork } from './network';
import { Room } from './room';
import type { RoomListener } from './room-listener';
import type { PeerSettings } from './rtc/peer-connection';
import { type Reply, type RequestMessage, SignalingChannel } from './signaling/channel';
import type { Socket } from './signaling/socket';
import type { Ending } from './signaling/endings';
import type { Hello, Welcome } from './signaling/messages';

interface StayListener {
  onReconnecting(): void;
  onReconnected(): void;
  /** After the room was entered; before, `greet` rejects. */
  onEnded(reason: string, error?: OTError): void;
}

export class Stay {
  readonly channel: SignalingChannel;
  room: Room | undefined;
  encryption: SessionEncryption | undefined;
  /** What happens before the room is entered, in its order: nothing of it may be lost. */
  private early: (() => void)[] | undefined = [];
  private isOver = false;
  private callOff: (reason: Error) => void = () => undefined;
  private readonly stopWatching: () => void;

  constructor(
    url: string,
    hello: Omit<Hello, 't' | 'id' | 'resume'>,
    private readonly prepared: PreparedEncryption | undefined,
    private readonly trust: SessionTrust,
    private readonly listener: StayListener,
  ) {
    this.channel = new SignalingChannel(
      url,
      hello,
      {
        onMessage: (message) => this.inRoom(() => this.room?.handle(message)),
        onFault: (error) => this.inRoom(() => exceptions.report(error)),
        onLost: () => this.inRoom(() => this.listener.onReconnecting()),
        onResumed: (welcome, wasSilent) => this.inRoom(() => this.onResumed(welcome, wasSilent)),
        onClosed: (ending) => this.onClosed(ending),
      },
      {
        clock: systemClock,
        random: Math.random,
        openSocket: (address, subprotocol) => new WebSocket(address, subprotocol) as Socket,
      },
    );
    prepared?.session.onFailure((error) => this.inRoom(() => this.onWorkerFailed(error)));
    // Who closes the page leaves at once, and not after the grace time of a lost network.
    const leave = ({ persisted }: PageTransitionEvent): void => {
      if (!persisted) this.channel.close();
    };
    globalThis.addEventListener?.('pagehide', leave);
    const stopWatchingNetwork = watchNetwork({
      onBack: () => this.onNetworkBack(),
      onChange: () => this.onNetworkChanged(),
    });
    this.stopWatching = (): void => {
      globalThis.removeEventListener?.('pagehide', leave);
      stopWatchingNetwork();
    };
  }

  /** The keys are derived while the server is greeted. */
  async greet(): Promise<Welcome> {
    const calledOff = new Promise<never>((_, reject) => (this.callOff = reject));
    calledOff.catch(() => undefined);
    const [welcome] = await Promise.race([
      Promise.all([this.channel.connect(), this.prepared?.ready]),
      calledOff,
    ]);
    return welcome;
  }

  /** Makes the room from `welcome`; the session reports it before it `begin`s. */
  enter(
    welcome: Welcome,
    settings: Omit<PeerSettings, 'isEncrypted'>,
    listener: RoomListener,
  ): Room {
    const { trust } = this;
    if (trust.isEncrypted) this.encryption = this.prepared?.session;
    else this.prepared?.session.close();
    if (this.encryption?.hasSecret) trust.onKeyed();
    this.room = new Room(
      { welcome, trust, encryption: this.encryption },
      (message) => this.send(message),
      settings,
      listener,
      systemClock,
    );
    return this.room;
  }

  /** Reports the connections that were there, then the events since the welcome. */
  begin(): void {
    this.room?.begin();
    const early = this.early ?? [];
    this.early = undefined;
    for (const step of early) this.inRoom(step);
  }

  send(message: RequestMessage): Promise<Reply> {
    return this.channel.request(message);
  }

  /** The network has changed or seems dead. */
  doubt(): void {
    this.channel.check();
    this.room?.hurry();
  }

  private onNetworkChanged(): void {
    this.channel.onNetworkChanged();
    this.room?.hurry();
  }

  private onNetworkBack(): void {
    this.channel.renew();
    this.room?.hurry();
  }

  /** Media stopped: nobody sends any, or the server is out of reach. */
  onQuiet(): void {
    this.channel.check();
  }

  get canEncrypt(): boolean {
    return this.prepared !== undefined;
  }

  /** Also while the greeting is under way: what is set last counts. */
  async setSecret(secret: string, immediate: boolean | undefined): Promise<void> {
    const encryption = this.room ? this.encryption : this.prepared?.session;
    await encryption?.setSecret(secret, immediate).catch((error: unknown) => {
      // The next stay has the secret; that this one could not take it any more is no fault.
      if (!this.isOver) throw error;
    });
    if (immediate) {
      this.channel.withdraw(
        (message) => message.t === 'signal' && message.encrypted instanceof Uint8Array,
        E2EE_ERRORS.secretReplaced(),
      );
    }
    if (this.isOver) return;
    this.trust.onKeyed();
    this.room?.onSecretSet();
  }

  /** Ends everything of the stay, politely where that is possible. Idempotent. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.stopWatching();
    this.channel.close();
    this.room?.close();
    this.prepared?.session.close();
    this.callOff(otError('OT_NOT_CONNECTED', 'The session was disconnected while it connected'));
  }

  private inRoom(step: () => void): void {
    if (this.isOver) return;
    if (this.early) this.early.push(step);
    else step();
  }

  /** A resume makes another welcome of the same session, or it is none. */
  private onResumed(welcome: Welcome, wasSilent: boolean): void {
    if (this.trust.onResumed(welcome)) {
      const error = E2EE_ERRORS.sessionChanged();
      exceptions.report(error);
      this.listener.onEnded('networkDisconnected', error);
      return;
    }
    this.listener.onReconnected();
    this.room?.reconcile(welcome);
    // Media may have gone the way that the socket went.
    if (wasSilent) this.room?.hurry();
  }

  /** Applications join again by themselves after a lost network; who was expelled must not. */
  private onClosed(ending: Ending = { reason: 'networkDisconnected' }): void {
    this.callOff(asOTError(new Error('The server cannot be reached'), 'OT_CONNECT_FAILED'));
    if (this.early !== undefined || this.isOver) return;
    this.listener.onEnded(ending.reason, ending.error);
  }

  /** Nothing can be opened or encrypted any more, and what was received is forgotten: the end. */
  private onWorkerFailed(error: OTError): void {
    if (!this.encryption) return;
    exceptions.report(error);
    this.listener.onEnded('encryptionFailed', error);
  }
}

/** One call: a session and what we publish into it. It comes back by itself from a lost server. */
import type { Kind } from './capture';
import { LOUD, levelOf } from './levels';
import { idsOf } from './lobby';
import { Others } from './others';
import type { OwnMedia } from './own-media';
import { type Page, WIDGET } from './page';
import { type Admission, enterRoom, named } from './rooms';
import type { Connection, Publisher, Session } from './sdk';
import { type ArchiveChange, TILE } from './state';

/** A server that is back is found within a second or two; more clients than one wait for it. */
const FIRST_RETRY_MS = 300;
const MAX_RETRY_MS = 2_000;
/** Reasons of a refusal that another attempt does not change. */
const FINAL = [
  'ROOM_UNKNOWN',
  'ROOM_ANOTHER',
  'NOT_ENCRYPTED',
  'OT_UNSUPPORTED_BROWSER',
  'OT_INVALID_ENCRYPTION_SECRET',
];
/** A camera that is off for longer is stopped, and its light with it; to start one takes a moment. */
const CAMERA_REST_MS = 1_500;
const CHAT = 'chat';
const HAND = 'hand';

/** What is called the end of a session. */
function nameOfEnd({ reason, error }: { reason: string; error?: { name: string } }): string {
  if (reason !== 'forceDisconnected' || !error) return reason;
  return error.name === 'OT_RATE_LIMIT_EXCEEDED' ? 'MESSAGE_FLOOD' : error.name;
}

/** `attempt`: from 0. */
function retryDelay(attempt: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** attempt, MAX_RETRY_MS) * (0.5 + Math.random() / 2);
}

export class Call {
  private readonly session: Session;
  private publisher: Publisher | undefined;
  private screen: Publisher | undefined;
  private readonly others: Others;
  private restTimer: ReturnType<typeof setTimeout> | undefined;
  private hasLeft = false;
  /** What was lost, when it was. */
  private readonly wasOn: Partial<Record<Kind, boolean>> = {};

  constructor(
    private readonly page: Page,
    private readonly media: OwnMedia,
    private readonly choices: { admission: Admission; name: string; secret: string },
  ) {
    const { apiKey, sessionId } = choices.admission;
    this.session = OT.initSession(apiKey, sessionId, { encryptionSecret: choices.secret });
    this.others = new Others(this.session, page);
    this.session.on({
      sessionReconnecting: () => page.dispatch({ type: 'resuming' }),
      sessionReconnected: () => page.dispatch({ type: 'resumed' }),
      sessionDisconnected: (event) => this.end(nameOfEnd(event)),
      encryptionStateChanged: ({ newValue }) =>
        page.dispatch({ type: 'keyed', isKeyed: newValue === 'keyed' }),
      connectionCreated: ({ connection }) => this.greet(connection),
      archiveStarted: ({ id, connection }) => this.showArchive(id, connection, 'begun'),
      archiveStopped: ({ id, connection, reason }) =>
        this.showArchive(id, connection, reason === 'recorderLeft' ? 'left' : 'over'),
    });
    this.session.on(`signal:${CHAT}`, ({ data, from, encrypted }) => {
      if (!encrypted || !from || this.isOwn(from)) return;
      const { connectionId } = from;
      page.dispatch({ type: 'message', from: connectionId, text: data, now: Date.now() });
    });
    this.session.on(`signal:${HAND}`, ({ data, from, encrypted }) => {
      if (!encrypted || !from || this.isOwn(from)) return;
      page.dispatch({ type: 'hand', id: from.connectionId, isRaised: data === '1' });
    });
  }

  async join(): Promise<void> {
    await this.connect(this.choices.admission.token);
    await this.publish();
    this.page.dispatch({ type: 'joined' });
  }

  /** Switches camera or microphone; what was not there at first is looked for again. */
  async switch(kind: Kind, isOn: boolean): Promise<void> {
    if (kind === 'video') clearTimeout(this.restTimer);
    if (isOn && !this.media.tracks[kind]) return this.open(kind, this.media.deviceId(kind) || true);
    this.page.dispatch({ type: 'device', kind, isOn });
    if (kind === 'audio') this.publisher?.publishAudio(isOn);
    else this.publisher?.publishVideo(isOn);
    if (kind === 'video' && !isOn) this.letCameraRest();
  }

  /** Sends another device, from now on or once it is switched on. */
  async choose(kind: Kind, deviceId: string): Promise<void> {
    if (this.media.isResting(kind)) this.media.restAs(kind, deviceId);
    else await this.open(kind, deviceId);
  }

  /** Sends another device, or the first one; a fault leaves the other kind as it is. */
  private async open(kind: Kind, choice: string | true): Promise<void> {
    const wasOff = this.media.tracks[kind] !== undefined && !this.isOn(kind);
    const fault = await this.media.openOne(kind, choice);
    if (this.hasLeft) return this.media.close(kind);
    const track = this.media.tracks[kind];
    const isOn = track !== undefined && !wasOff;
    this.page.dispatch({ type: 'device', kind, isOn, fault });
    if (track) await this.sendTrack(kind, track, isOn);
  }

  private letCameraRest(): void {
    this.restTimer = setTimeout(
      () => void this.media.rest('video', () => this.hasLeft || this.isOn('video')),
      CAMERA_REST_MS,
    );
  }

  /** A device was unplugged: another one takes its place, or others are told so. */
  async lost(kind: Kind): Promise<void> {
    this.wasOn[kind] = this.isOn(kind);
    if (await this.recover(kind)) return;
    if (kind === 'audio') this.publisher?.publishAudio(false);
    else this.publisher?.publishVideo(false);
    this.page.dispatch({ type: 'device', kind, isOn: false, fault: 'missing' });
  }

  /** Something was plugged in or out. */
  async plugged(): Promise<void> {
    for (const kind of this.media.lost) {
      // A substitute may have been switched on or off since.
      if (this.media.tracks[kind]) this.wasOn[kind] = this.isOn(kind);
      await this.recover(kind);
    }
  }

  /** Whether another device is there now, or the one that was lost. */
  private async recover(kind: Kind): Promise<boolean> {
    const swap = await this.media.recover(kind, await idsOf(kind));
    const track = this.media.tracks[kind];
    if (!swap || !track) return false;
    if (this.hasLeft) {
      await this.media.close(kind);
      return true;
    }
    const isOn = this.wasOn[kind] ?? false;
    this.page.dispatch({ type: 'device', kind, isOn, swap });
    await this.sendTrack(kind, track, isOn);
    return true;
  }

  async shareScreen(): Promise<void> {
    const box = this.page.box(TILE.screen);
    const screen = await OT.initPublisher.promise(box, {
      ...WIDGET,
      name: this.choices.name,
      videoSource: 'screen',
      audioSource: null,
      fitMode: 'contain',
      mirror: false,
    });
    this.screen = screen;
    this.keep(screen);
    screen.on('mediaStopped', () => this.stopScreen());
    this.page.dispatch({ type: 'sharing', isSharing: true });
    await this.send(screen);
  }

  stopScreen(): void {
    const { screen } = this;
    if (!screen) return;
    this.screen = undefined;
    this.session.unpublish(screen);
    screen.destroy();
    this.page.dispatch({ type: 'sharing', isSharing: false });
  }

  async raiseHand(isRaised: boolean): Promise<void> {
    await this.session.signal({ type: HAND, data: isRaised ? '1' : '0' });
    this.page.dispatch({ type: 'hand', id: null, isRaised });
  }

  /** Encrypted for everybody; nothing keeps it. */
  async write(text: string): Promise<void> {
    await this.session.signal({ type: CHAT, data: text });
    this.page.dispatch({ type: 'message', from: null, text, now: Date.now() });
  }

  changeSecret(secret: string): Promise<void> {
    return this.session.setEncryptionSecret(secret);
  }

  verificationCode(): Promise<string> {
    return this.session.getVerificationCode();
  }

  async leave(): Promise<void> {
    this.hasLeft = true;
    clearTimeout(this.restTimer);
    this.stopScreen();
    this.publisher?.destroy();
    await this.session.disconnect();
    this.others.clear();
  }

  private isOwn({ connectionId }: { connectionId: string }): boolean {
    return connectionId === this.session.connection?.connectionId;
  }

  private isOn(kind: Kind): boolean {
    const { own } = this.page.state;
    return kind === 'audio' ? own.hasAudio : own.hasVideo;
  }

  /** Whether what is published has audio or video at all. */
  private has(kind: Kind): boolean {
    if (!this.publisher) return false;
    if (kind === 'audio') return (this.publisher.getAudioSource() as unknown) !== null;
    return this.publisher.getVideoSource().track !== null;
  }

  private async sendTrack(kind: Kind, track: MediaStreamTrack, isOn: boolean): Promise<void> {
    const { publisher } = this;
    if (!publisher || !this.has(kind)) return this.publishAgain();
    if (kind === 'audio') {
      await publisher.setAudioSource(track);
      publisher.publishAudio(isOn);
    } else {
      await publisher.setVideoSource(track);
      publisher.publishVideo(isOn);
    }
  }

  private async send(publisher: Publisher | undefined): Promise<void> {
    if (publisher) await this.session.publish.promise(publisher);
  }

  private async publish(): Promise<void> {
    const { audio, video } = this.media.tracks;
    const { own } = this.page.state;
    if (!audio && !video) return;
    const publisher = await OT.initPublisher.promise(this.page.box(TILE.camera), {
      ...WIDGET,
      name: this.choices.name,
      ...{ audioSource: audio ?? null, videoSource: video ?? null },
      ...{ publishAudio: own.hasAudio, publishVideo: own.hasVideo },
      // A track of the page counts as no camera.
      scalableVideo: true,
    });
    this.publisher = publisher;
    this.keep(publisher);
    this.watch(publisher);
    await this.send(publisher);
  }

  /** With a camera or microphone that it did not have: a stream begins with all that it has. */
  private async publishAgain(): Promise<void> {
    const before = this.publisher;
    this.publisher = undefined;
    if (before) {
      this.session.unpublish(before);
      before.destroy();
    }
    await this.publish();
  }

  private watch(publisher: Publisher): void {
    const { page } = this;
    publisher.on({
      audioLevelUpdated: ({ audioLevel }) => {
        if (audioLevel >= LOUD) page.dispatch({ type: 'loud', key: TILE.camera, now: Date.now() });
      },
      encryptionStateChanged: ({ newValue }) => this.others.onEncryption(TILE.camera, newValue),
      networkConditionChanged: ({ statsContainer }) => {
        const { networkCondition } = statsContainer.stats.transportStats;
        const change = { level: levelOf(networkCondition, undefined) };
        page.dispatch({ type: 'media', key: TILE.camera, change });
      },
      muteForced: () =>
        page.dispatch({ type: 'device', kind: 'audio', isOn: false, isForced: true }),
    });
  }

  /** Camera and screen stay as they are while the server is away. */
  private keep(publisher: Publisher): void {
    publisher.on('streamDestroyed', (event) => {
      if (event.reason === 'networkDisconnected') event.preventDefault();
    });
  }

  /** In an encrypted session the member that records says so, and no server can. */
  private showArchive(id: string, from: Connection | undefined, change: ArchiveChange): void {
    if (!from) return;
    this.page.dispatch({ type: 'archive', id, recorder: from.connectionId, change });
  }

  /** Those who come later see a raised hand, too. */
  private greet(connection: Connection): void {
    if (this.isOwn(connection) || !this.page.state.own.hasHand) return;
    this.session.signal({ type: HAND, data: '1', to: connection }).catch(() => undefined);
  }

  /** A server that contradicts the encryption is no lost network: its people are told. */
  private async connect(token: string): Promise<void> {
    try {
      await this.session.connect.promise(token);
    } catch (error) {
      throw this.isContradicted ? named('NOT_ENCRYPTED') : error;
    }
  }

  private get isContradicted(): boolean {
    return this.session.encryptionState === 'refused';
  }

  private end(reason: string): void {
    this.others.clear();
    if (this.hasLeft || reason === 'clientDisconnected') return;
    if (this.isContradicted || reason !== 'networkDisconnected') {
      this.page.ended(this.isContradicted ? 'NOT_ENCRYPTED' : reason);
      return;
    }
    this.page.dispatch({ type: 'rejoining' });
    void this.rejoin(0);
  }

  private async rejoin(attempt: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, retryDelay(attempt)));
    if (this.hasLeft) return;
    try {
      const admission = await enterRoom(this.session.sessionId, this.choices.name);
      if (this.hasLeft) return;
      await this.connect(admission.token);
      await Promise.all([this.send(this.publisher), this.send(this.screen)]);
      this.page.dispatch({ type: 'resumed' });
      if (this.page.state.own.hasHand) await this.session.signal({ type: HAND, data: '1' });
    } catch (error) {
      // A connection that came about and is lost again tells so itself.
      if (this.hasLeft || this.session.connection) return;
      const { name } = error instanceof Error ? error : new Error();
      if (FINAL.includes(name)) this.page.ended(name);
      else void this.rejoin(attempt + 1);
    }
  }
}

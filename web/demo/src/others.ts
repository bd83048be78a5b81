/** The others in the call: what the session says of them, and their streams as they are received. */
import { LOUD, levelOf } from './levels';
import { type Page, WIDGET } from './page';
import type { Connection, Session, Stream, Subscriber, SubscriberProperties } from './sdk';
import { type Encryption, TILE } from './state';
import { isRecorder, nameIn } from './texts';

const RETRY_MS = 2_000;

/** What the SDK says of a stream's encryption, and nothing else. */
const ENCRYPTION: Readonly<Record<string, Encryption>> = {
  ...{ none: 'waiting', pending: 'waiting', encrypted: 'encrypted', failing: 'mismatch' },
};

export class Others {
  private readonly subscribers = new Map<string, Subscriber>();

  constructor(
    private readonly session: Session,
    private readonly page: Page,
  ) {
    const isOwn = ({ connectionId }: Connection): boolean =>
      connectionId === session.connection?.connectionId;
    session.on({
      connectionCreated: ({ connection }) => {
        if (isOwn(connection)) return;
        const { connectionId: id, data } = connection;
        page.dispatch({ type: 'came', id, name: nameIn(data), isRecorder: isRecorder(data) });
      },
      connectionDestroyed: ({ connection }) => {
        if (isOwn(connection)) return;
        page.dispatch({ type: 'went', id: connection.connectionId });
      },
      streamCreated: ({ stream }) => this.show(stream),
      streamDestroyed: ({ stream }) => this.forget(stream.streamId),
      streamPropertyChanged: ({ stream: { streamId: id, hasAudio, hasVideo } }) =>
        page.dispatch({ type: 'streamChanged', id, change: { hasAudio, hasVideo } }),
    });
  }

  onEncryption(key: string, state: string): void {
    this.page.dispatch({
      type: 'media',
      key,
      change: { encryption: ENCRYPTION[state] ?? 'waiting' },
    });
  }

  /** The session is gone, and everybody of it. */
  clear(): void {
    this.subscribers.clear();
    this.page.dispatch({ type: 'emptied' });
  }

  private show(stream: Stream): void {
    const { streamId: id, name, hasAudio, hasVideo, videoType, connection } = stream;
    this.page.dispatch({
      type: 'streamCame',
      id,
      stream: {
        ...{ name, hasAudio, hasVideo },
        owner: connection.connectionId,
        isScreen: videoType === 'screen',
      },
    });
    // Above the limit of the state there is no tile, and nothing is played that is not shown.
    if (this.page.state.streams.has(id)) this.subscribe(stream);
  }

  private subscribe(stream: Stream): void {
    const { streamId: id } = stream;
    if (!this.page.state.streams.has(id) || this.session.connection === undefined) return;
    const { page } = this;
    const box = page.box(TILE.stream(id));
    const options = { ...WIDGET, fitMode: stream.videoType === 'screen' ? 'contain' : 'cover' };
    const subscriber = this.session.subscribe(
      stream,
      box,
      options as SubscriberProperties,
      (error) => {
        if (this.subscribers.get(id) !== subscriber) return;
        page.dispatch({
          type: 'streamChanged',
          id,
          change: { hasFailed: Boolean(error) },
        });
        if (error) setTimeout(() => this.subscribe(stream), RETRY_MS);
      },
    );
    this.subscribers.set(id, subscriber);
    this.watch(id, subscriber);
  }

  private watch(id: string, subscriber: Subscriber): void {
    const { page } = this;
    const key = TILE.stream(id);
    let condition: string | undefined;
    let audioScore: number | undefined;
    const rate = (): void => {
      page.dispatch({ type: 'media', key, change: { level: levelOf(condition, audioScore) } });
    };
    const slow = (reason: string, isSlow: boolean): void => {
      if (reason === 'quality') page.dispatch({ type: 'streamChanged', id, change: { isSlow } });
    };
    subscriber.on({
      encryptionStateChanged: ({ newValue }) => this.onEncryption(key, newValue),
      audioLevelUpdated: ({ audioLevel }) => {
        if (audioLevel >= LOUD) page.dispatch({ type: 'loud', key, now: Date.now() });
      },
      audioBlocked: () => page.blocked(),
      videoDisabled: ({ reason }) => slow(reason, true),
      videoEnabled: ({ reason }) => slow(reason, false),
      networkConditionChanged: ({ stats }) => {
        condition = stats.mediaLink.transport.networkCondition;
        rate();
      },
      qualityScoreChanged: ({ qualityScore }) => {
        audioScore = qualityScore.audioQualityScore;
        rate();
      },
    });
  }

  private forget(id: string): void {
    this.subscribers.delete(id);
    this.page.dispatch({ type: 'streamWent', id });
  }
}

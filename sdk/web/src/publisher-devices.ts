/** Which microphone and camera a Publisher uses, before it is published and while it is. */
import { type Kind, Substitutes } from './media/substitutes';
import type { VideoType } from './published-video';
import type { PublisherProperties } from './publisher-surface';
import { JobQueue } from './rtc/queue';
import { VideoSettings } from './video-settings';

/** The devices of a Publisher. */
export abstract class PublisherDevices extends VideoSettings {
  protected abstract override readonly properties: PublisherProperties;
  protected abstract readonly wantsAudio: boolean;
  protected abstract readonly wantsVideo: boolean;
  protected readonly substitutes = new Substitutes({
    track: (kind) => this.media[kind],
    use: (kind, deviceId) => this.use(kind, deviceId),
  });
  /** One change after the other: the last one that was asked for is the one that stays. */
  private readonly changes = { audio: new JobQueue(), video: new JobQueue() };

  /** The captured track; without audio `null`, which the type leaves out, as that of OpenTok.js. */
  getAudioSource(): MediaStreamTrack {
    return (this.media.audio ?? null) as MediaStreamTrack;
  }

  /**
   * Sends another microphone (its device id) or a track. Rejects with `OT_USER_MEDIA_ACCESS_DENIED`,
   * `OT_NO_DEVICES_FOUND` or `OT_INVALID_PARAMETER`; the microphone before goes on then.
   */
  async setAudioSource(source: string | MediaStreamTrack): Promise<undefined> {
    await this.choose('audio', source);
  }

  /** The captured track, its device id and its kind; all `null` without video. */
  getVideoSource(): {
    deviceId: string | null;
    type: VideoType | null;
    track: MediaStreamTrack | null;
  } {
    const track = this.media.video ?? null;
    return {
      deviceId: track?.getSettings().deviceId ?? null,
      type: track ? this.video.type : null,
      track,
    };
  }

  /** Sends another camera (its device id) or a track. Rejects as `setAudioSource` does. */
  async setVideoSource(source: string | MediaStreamTrack): Promise<undefined> {
    await this.choose('video', source);
  }

  /** Sends the next camera of this device. Rejects with `OT_NO_DEVICES_FOUND` if there is no other. */
  async cycleVideo(): Promise<{ deviceId: string }> {
    const deviceId = await this.media.nextCamera();
    await this.setVideoSource(deviceId);
    return { deviceId };
  }

  protected abstract sendAudio(output: MediaStreamTrack): Promise<void>;
  protected abstract applyVideo(): Promise<void>;
  protected abstract show(): void;

  /** What was captured first is what is come back to. */
  protected watchDevices(): void {
    for (const kind of ['audio', 'video'] as const) this.comeBackToThis(kind);
  }

  protected onDeviceEnded(track: MediaStreamTrack): void {
    const event = this.dispatch('mediaStopped', { track }, { cancelable: true });
    if (!event.isDefaultPrevented()) this.substitutes.lost(track.kind as Kind);
  }

  private async choose(kind: Kind, source: string | MediaStreamTrack): Promise<void> {
    this.substitutes.hold(kind);
    try {
      await this.use(kind, source);
    } catch (error) {
      this.substitutes.release(kind);
      throw error;
    }
    this.comeBackToThis(kind);
  }

  private comeBackToThis(kind: Kind): void {
    const isManaged = kind === 'video' || !this.properties.disableAudioInputDeviceManagement;
    this.substitutes.choose(kind, isManaged ? this.media.replaceable(kind) : undefined);
  }

  private use(kind: Kind, source: string | MediaStreamTrack): Promise<void> {
    return this.changes[kind].run(() => this.capture(kind, source));
  }

  private async capture(kind: Kind, source: string | MediaStreamTrack): Promise<void> {
    const output = await this.media.replace(kind, source);
    const track = this.media[kind];
    if (kind === 'audio') {
      if (track) track.enabled = this.wantsAudio;
      await this.sendAudio(output);
    } else {
      if (track) track.enabled = this.wantsVideo;
      output.contentHint = this.contentHint;
      await this.applyVideo();
      this.show();
    }
    const device = { deviceId: track?.getSettings().deviceId ?? '', label: track?.label ?? '' };
    this.dispatch(kind === 'audio' ? 'audioInputDeviceChanged' : 'videoInputDeviceChanged', {
      device,
    });
  }
}

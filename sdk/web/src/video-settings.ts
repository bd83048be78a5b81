/** What applications set of a Publisher's video, before it is published and while it is. */
import { otError } from './errors';
import type { PublishedVideo, ScalabilityMode } from './published-video';
import {
  PublisherSurface,
  type VideoBitratePreset,
  type VideoBitratePresetInput,
  type VideoContentHint,
} from './publisher-surface';
import type { Size } from './stream';

/** The settings of a Publisher's video. */
export abstract class VideoSettings extends PublisherSurface {
  protected contentHint: VideoContentHint = '';
  protected abstract readonly video: PublishedVideo;

  /** What the video shows, as it was set last; an empty string leaves it to the browser. */
  getVideoContentHint(): VideoContentHint {
    return this.contentHint;
  }

  /** Whether the browser prefers sharpness (`text`, `detail`) or frame rate (`motion`). */
  setVideoContentHint(hint: VideoContentHint): Promise<void> {
    this.contentHint = hint;
    const output = this.media.output('video');
    if (output) output.contentHint = hint;
    return Promise.resolve();
  }

  /** bit/s of all encodings together: what was set, or the SDK's choice for the resolution. */
  getMaxVideoBitrate(): number {
    return this.video.wantedBps;
  }

  /** 5,000 to 10,000,000 bit/s of all encodings together. Rejects with `OT_INVALID_PARAMETER`. */
  async setMaxVideoBitrate(bps: number): Promise<void> {
    await this.video.setMaxBitrate(bps);
  }

  /** The preset in use; `custom` once a bit rate was set. */
  getVideoBitratePreset(): VideoBitratePreset {
    return this.video.preset;
  }

  /**
   * `bw_saver` sends half of the default bit rate, `extra_bw_saver` a quarter. Rejects with
   * `OT_INVALID_PARAMETER`.
   */
  async setVideoBitratePreset(preset: VideoBitratePresetInput): Promise<void> {
    await this.video.setPreset(preset);
  }

  /**
   * Spatial and temporal layers of the one encoding, such as `L3T3`, for codecs and browsers that
   * have them (VP9 and AV1; of VP8 and H.264 `L1T…`). Throws `OT_INVALID_PARAMETER`, and
   * `OT_NOT_SUPPORTED` for a video that is sent in several encodings.
   */
  setTargetScalabilityMode(mode: ScalabilityMode): void {
    this.video.setMode(mode);
  }

  /** What was set last; `undefined`: the SDK chooses. */
  getTargetScalabilityMode(): ScalabilityMode | undefined {
    return this.video.mode;
  }

  /**
   * Frames per second that the camera captures, if it can. Rejects with `OT_INVALID_PARAMETER`
   * without video.
   */
  async setPreferredFrameRate(frameRate: number): Promise<void> {
    await this.constrain({ frameRate: { ideal: frameRate } });
  }

  /**
   * Width and height in pixels that the camera captures, if it can. Rejects as
   * `setPreferredFrameRate` does.
   */
  async setPreferredResolution({ width, height }: Size): Promise<void> {
    await this.constrain({ width: { ideal: width }, height: { ideal: height } });
  }

  private async constrain(constraints: MediaTrackConstraints): Promise<void> {
    const { video } = this.media;
    if (!video) throw otError('OT_INVALID_PARAMETER', 'The publisher has no video');
    await video.applyConstraints({ ...video.getConstraints(), ...constraints });
  }
}

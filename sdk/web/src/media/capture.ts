/** From publisher properties to constraints, tracks and named errors. */
import { asOTError, type ErrorName, type OTError, otError } from '../errors';
import type { Size } from '../stream';
import { mediaDevices } from './devices';

export type SourceOption = string | MediaStreamTrack | boolean | null | undefined;

/** What a Publisher captures. */
export interface CaptureProperties {
  /** Device id or track; `null` or false: no audio; `undefined` or true: the default microphone. */
  audioSource?: SourceOption;
  /**
   * Device id, track, `screen`, `window` or `application`; `null` or false: no video; `undefined` or
   * true: the default camera.
   */
  videoSource?: SourceOption;
  /** Width and height in pixels, as in `1280x720`; the default is `640x480`. */
  resolution?: string;
  /** The largest capture, in pixels; without it the browser may exceed `resolution`. */
  maxResolution?: { width: number; height: number };
  /** Frames per second; the default is 30. */
  frameRate?: number;
  /** Which camera of a phone. */
  facingMode?: 'user' | 'environment' | 'left' | 'right';
  /** Switches the next three off together, for music; the default is `enableStereo`. */
  disableAudioProcessing?: boolean;
  /** Of the microphone; the default is true, without `disableAudioProcessing`. */
  echoCancellation?: boolean;
  /** Of the microphone; the default is true, without `disableAudioProcessing`. */
  noiseSuppression?: boolean;
  /** Of the microphone; the default is true, without `disableAudioProcessing`. */
  autoGainControl?: boolean;
  /** Sends two audio channels; the default is false. */
  enableStereo?: boolean;
  /** Instead of all other members: handed to `getUserMedia` as they are. */
  constraints?: MediaStreamConstraints | LegacyMediaStreamConstraints;
}

/** Constraints as Chromium once took them; browsers of today refuse or ignore them. */
export interface LegacyMediaTrackConstraints {
  /** What the device has to do. */
  mandatory?: Record<string, string | number | boolean>;
  /** What it should do. */
  optional?: Record<string, string | number | boolean>[];
}

/** As `MediaStreamConstraints`, also with constraints of the old form. */
export interface LegacyMediaStreamConstraints {
  /** Of the microphone. */
  audio?: boolean | MediaTrackConstraints | LegacyMediaTrackConstraints;
  /** Of the camera. */
  video?: boolean | MediaTrackConstraints | LegacyMediaTrackConstraints;
}

interface CapturedTracks {
  readonly audio: MediaStreamTrack | undefined;
  readonly video: MediaStreamTrack | undefined;
}

const DEFAULT_SIZE: Size = { width: 640, height: 480 };
const DEFAULT_FRAME_RATE = 30;
const SCREEN_SOURCES = ['screen', 'window', 'application', 'browser'];

export function isScreen(source: SourceOption): boolean {
  return typeof source === 'string' && SCREEN_SOURCES.includes(source);
}

/** Asks for what the properties name; tracks given by the application are taken as they are. */
export async function capture(properties: CaptureProperties): Promise<CapturedTracks> {
  const screen = isScreen(properties.videoSource) ? await captureScreen(properties) : undefined;
  const here = {
    audio: asTrack(properties.audioSource) ?? screen?.getAudioTracks()[0],
    video: asTrack(properties.videoSource) ?? screen?.getVideoTracks()[0],
  };
  try {
    return await complete(here, constraintsFor(properties));
  } catch (error) {
    screen?.getTracks().forEach((track) => track.stop());
    throw error;
  }
}

/** Captures the kinds that are not there yet. */
async function complete(
  here: CapturedTracks,
  constraints: MediaStreamConstraints,
): Promise<CapturedTracks> {
  const audio = missing(here.audio, constraints.audio);
  const video = missing(here.video, constraints.video);
  if (!audio && !video && (here.audio ?? here.video)) return here;
  // Neither asked for nor there: the browser's own error says so.
  const stream = await userMedia({ audio, video });
  return {
    audio: here.audio ?? stream.getAudioTracks()[0],
    video: here.video ?? stream.getVideoTracks()[0],
  };
}

function missing(
  track: MediaStreamTrack | undefined,
  constraint: boolean | MediaTrackConstraints | undefined,
): boolean | MediaTrackConstraints {
  return track ? false : (constraint ?? false);
}

function asTrack(source: SourceOption): MediaStreamTrack | undefined {
  return source instanceof MediaStreamTrack ? source : undefined;
}

export async function userMedia(constraints: MediaStreamConstraints): Promise<MediaStream> {
  try {
    return await mediaDevices().getUserMedia(constraints);
  } catch (error) {
    throw captureError(error);
  }
}

async function captureScreen(properties: CaptureProperties): Promise<MediaStream> {
  const devices = mediaDevices();
  if (!('getDisplayMedia' in devices)) {
    throw otError('OT_SCREEN_SHARING_NOT_SUPPORTED', 'This browser cannot share the screen');
  }
  try {
    return await devices.getDisplayMedia({
      video: { frameRate: properties.frameRate ?? 15 },
      audio: properties.audioSource === true && screenAudio(properties),
    });
  } catch (error) {
    throw captureError(error);
  }
}

/** Two channels survive only without the processing that is made for voices. */
function screenAudio(properties: CaptureProperties): boolean | MediaTrackConstraints {
  return properties.enableStereo ? audioConstraints(properties) : true;
}

/** Pure. `true` in a section means any device. */
export function constraintsFor(properties: CaptureProperties): MediaStreamConstraints {
  if (properties.constraints) return { ...(properties.constraints as MediaStreamConstraints) };
  return {
    audio: wantsSource(properties.audioSource) && audioConstraints(properties),
    video:
      wantsSource(properties.videoSource) &&
      !isScreen(properties.videoSource) &&
      videoConstraints(properties),
  };
}

function wantsSource(source: SourceOption): boolean {
  return source !== false && source !== null;
}

function audioConstraints(properties: CaptureProperties): MediaTrackConstraints {
  const processing = !(properties.disableAudioProcessing ?? properties.enableStereo ?? false);
  return {
    ...deviceConstraint(properties.audioSource),
    echoCancellation: properties.echoCancellation ?? processing,
    noiseSuppression: properties.noiseSuppression ?? processing,
    autoGainControl: properties.autoGainControl ?? processing,
    ...(properties.enableStereo ? { channelCount: 2 } : {}),
  };
}

function videoConstraints(properties: CaptureProperties): MediaTrackConstraints {
  const size = parseResolution(properties.resolution) ?? DEFAULT_SIZE;
  const { maxResolution } = properties;
  return {
    ...deviceConstraint(properties.videoSource),
    width: { ideal: size.width, ...(maxResolution ? { max: maxResolution.width } : {}) },
    height: { ideal: size.height, ...(maxResolution ? { max: maxResolution.height } : {}) },
    frameRate: { ideal: properties.frameRate ?? DEFAULT_FRAME_RATE },
    ...(properties.facingMode ? { facingMode: { ideal: properties.facingMode } } : {}),
  };
}

function deviceConstraint(source: SourceOption): MediaTrackConstraints {
  return typeof source === 'string' ? { deviceId: { exact: source } } : {};
}

/** "1280x720" → a size; throws OT_INVALID_PARAMETER for anything else. */
export function parseResolution(resolution: string | undefined): Size | undefined {
  if (resolution === undefined) return undefined;
  const match = /^(\d{2,5})x(\d{2,5})$/.exec(resolution);
  if (!match) throw otError('OT_INVALID_PARAMETER', 'A resolution reads like 1280x720');
  return { width: Number(match[1]), height: Number(match[2]) };
}

/** The browser's reasons under the names of OpenTok.js, each with a sentence for people. */
const REASONS: Readonly<Record<string, readonly [ErrorName, string]>> = {
  NotAllowedError: ['OT_USER_MEDIA_ACCESS_DENIED', 'Access to camera or microphone was denied'],
  SecurityError: ['OT_USER_MEDIA_ACCESS_DENIED', 'Access to camera or microphone was denied'],
  NotFoundError: ['OT_NO_DEVICES_FOUND', 'No camera or microphone was found'],
  NotReadableError: ['OT_HARDWARE_UNAVAILABLE', 'The camera or microphone is in use or broken'],
  AbortError: ['OT_HARDWARE_UNAVAILABLE', 'The camera or microphone could not be started'],
  OverconstrainedError: ['OT_NO_VALID_CONSTRAINTS', 'No device can do what was asked for'],
  TypeError: ['OT_NO_VALID_CONSTRAINTS', 'Neither a camera nor a microphone was asked for'],
};

export function captureError(error: unknown): OTError {
  const reason = error instanceof Error ? REASONS[error.name] : undefined;
  return reason ? otError(...reason) : asOTError(error, 'OT_UNABLE_TO_CAPTURE_MEDIA');
}

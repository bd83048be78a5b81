/** The functions of the global `OT`. */
import { hasEndToEndEncryptionSupport } from './e2ee/support';
import type {
  ScreenSharingCapabilityResponse,
  SupportedCodecs,
  VideoCodecLabel,
} from './api-types';
import { type OTError, otError, withCallback } from './errors';
import { type Exceptions, exceptions } from './exceptions';
import { type CaptureProperties, constraintsFor, userMedia } from './media/capture';
import * as devices from './media/devices';
import { canProcess } from './media/processing';
import { type WithPromise, withPromise } from './promise-variant';
import { Publisher, type PublisherProperties } from './publisher';
import { nameOf } from './rtc/codecs';
import { setServerUrl } from './server-url';
import { Session } from './session';
import type { SessionOptions } from './session-options';
import { unblockAll } from './ui/playback';
import type { Target } from './ui/view';
import { notBuilt, rejectsNotBuilt } from './unsupported';

type PublisherCallback = (error?: OTError, publisher?: Publisher) => void;

/** Never throws for a bad secret: that error comes from `connect`. */
export function initSession(
  apiKey: string | number,
  sessionId: string,
  options: SessionOptions = {},
): Session {
  return new Session(String(apiKey), sessionId, { ...options });
}

/** Makes a Publisher and its element. Errors: `OT_USER_MEDIA_ACCESS_DENIED`, `OT_INVALID_PARAMETER`. */
export const initPublisher = withPromise(
  (
    targetOrCallback?: Target | PublisherCallback,
    propertiesOrCallback?: PublisherProperties | PublisherCallback,
    callback?: PublisherCallback,
  ): Publisher => {
    const given = [callback, propertiesOrCallback, targetOrCallback];
    const done = given.find((argument) => typeof argument === 'function');
    const publisher = new Publisher(
      typeof targetOrCallback === 'function' ? undefined : targetOrCallback,
      typeof propertiesOrCallback === 'object' ? propertiesOrCallback : undefined,
    );
    withCallback(
      publisher.ready.then(() => publisher),
      done,
    );
    return publisher;
  },
  async (target?: Target, properties?: PublisherProperties): Promise<Publisher> => {
    const publisher = new Publisher(target, properties);
    await publisher.ready;
    return publisher;
  },
);

/** 1 when the browser can take part in sessions, 0 when not. */
export function checkSystemRequirements(): 0 | 1 {
  const isSupported =
    'RTCPeerConnection' in globalThis &&
    'WebSocket' in globalThis &&
    'RTCRtpTransceiver' in globalThis;
  return isSupported ? 1 : 0;
}

/** Browsers update themselves; there is no page to send people to. */
export function upgradeSystemRequirements(): void {
  throw notBuilt('upgradeSystemRequirements');
}

/** Whether this browser can capture a screen. */
export function checkScreenSharingCapability(
  callback?: (capability: ScreenSharingCapabilityResponse) => void,
): Promise<ScreenSharingCapabilityResponse> {
  const mediaDevices = globalThis.navigator.mediaDevices as MediaDevices | undefined;
  const supported = mediaDevices !== undefined && 'getDisplayMedia' in mediaDevices;
  const capability: ScreenSharingCapabilityResponse = {
    supported,
    supportedSources: { application: supported, screen: supported, window: supported },
  };
  callback?.(capability);
  return Promise.resolve(capability);
}

/** Cameras and microphones of this machine. */
export function getDevices(
  callback?: (error?: OTError, devices?: devices.Device[]) => void,
): Promise<devices.Device[]> {
  const found = devices.inputDevices();
  withCallback(found, callback);
  return found;
}

/** A MediaStream with the constraints of the properties; errors have the names of OpenTok.js. */
export async function getUserMedia(properties: CaptureProperties = {}): Promise<MediaStream> {
  return userMedia(constraintsFor(properties));
}

/** Codecs that this browser can send and receive. */
export function getSupportedCodecs(): Promise<SupportedCodecs> {
  return Promise.resolve({
    videoEncoders: codecNames(RTCRtpSender.getCapabilities('video')),
    videoDecoders: codecNames(RTCRtpReceiver.getCapabilities('video')),
  });
}

function codecNames(capabilities: RTCRtpCapabilities | null): VideoCodecLabel[] {
  const known: VideoCodecLabel[] = ['VP8', 'VP9', 'H264', 'AV1'];
  const names = (capabilities?.codecs ?? []).map((codec) => nameOf(codec).toUpperCase());
  return known.filter((name) => names.includes(name));
}

/**
 * Whether this browser has insertable streams of tracks, on which media processors are built.
 * Processors on a canvas or on Web Audio, as the filters that come with the SDK, work without.
 */
export const hasMediaProcessorSupport: WithPromise<
  (mediaType?: 'audio' | 'video' | 'both') => boolean,
  (mediaType?: 'audio' | 'video' | 'both') => Promise<boolean>
> = withPromise(
  () => canProcess(),
  () => Promise.resolve(canProcess()),
);

/** Starts audio that the browser blocks. Call it from a click handler. Errors: `OT_MEDIA_ERR_ABORTED`. */
export async function unblockAudio(): Promise<undefined> {
  try {
    await unblockAll();
  } catch {
    throw otError(
      'OT_MEDIA_ERR_ABORTED',
      'The browser still blocks audio; call this from a click handler',
    );
  }
}

let logLevel = 0;

/** Nothing is written above level 0, the default. */
export function setLogLevel(level: number): void {
  logLevel = level;
}

/** Writes to the console above log level 0. */
export function log(message: string): void {
  // eslint-disable-next-line no-console -- this is what the application asked for
  if (logLevel > 0) console.log(message);
}

/** Speakers that the browser offers. */
export const getAudioOutputDevices = devices.outputDevices;
/** The speaker in use. */
export const getActiveAudioOutputDevice = devices.activeOutputDevice;
/** Plays all audio on one speaker, now and later. Errors: `OT_NOT_SUPPORTED`, `OT_INVALID_PARAMETER`. */
export const setAudioOutputDevice = devices.setOutputDevice;
/** The server's URL for sessions that are connected from now on. */
export const setProxyUrl = setServerUrl;
export { setFilterUrl } from './server-url';
/** Rejects: browsers capture screens without an extension. */
export const registerScreenSharingExtension = rejectsNotBuilt('registerScreenSharingExtension');

/** Rejects: this server collects no reports from clients. */
export function reportIssue(
  callback?: (error?: OTError, reportId?: string) => void,
): Promise<string> {
  const failure = Promise.reject<string>(
    otError('OT_REPORT_ISSUE_FAILED', 'This server collects no reports from clients'),
  );
  withCallback(failure, callback);
  return failure;
}

/** `exception`: a fault that no call of the application waits for. `audioOutputDeviceChanged`: the
 * speaker that was set is gone, or back. */
export const on: Exceptions['on'] = exceptions.on.bind(exceptions);
/** As `on`, for the next event only. */
export const once: Exceptions['once'] = exceptions.once.bind(exceptions);
/** Removes handlers. */
export const off: Exceptions['off'] = exceptions.off.bind(exceptions);

export { hasEndToEndEncryptionSupport };
export { OTError, OTError as Error } from './errors';
export { EXCEPTION_CODES as ExceptionCodes } from './errors';
export type * from './api-types';
export { Connection } from './connection';
export { generateEncryptionSecret } from './e2ee/generate-secret';
export { Publisher } from './publisher';
export { Session } from './session';
export { Stream } from './stream';
export { Subscriber } from './subscriber';
export { VERSION as version } from './version';

/** What `checkSystemRequirements` gives when the browser can take part. */
export const HAS_REQUIREMENTS = 1;
/** What `checkSystemRequirements` gives when it cannot. */
export const NOT_HAS_REQUIREMENTS = 0;

/** Log levels, in rising order. */
export const NONE = 0;
/** Errors only. */
export const ERROR = 1;
/** Errors and warnings. */
export const WARN = 2;
/** Also what happens. */
export const INFO = 3;
/** The same as `INFO`, as in OpenTok.js. */
export const LOG = 4;
/** All messages. */
export const DEBUG = 5;

/** The names of types under which applications know what the SDK takes and gives. */
import type { Event } from './events';
import type { CaptureProperties } from './media/capture';
import type { VideoCodecName } from './rtc/codecs';
import type { Size } from './stream';

/** Result of `checkScreenSharingCapability`. */
export interface ScreenSharingCapabilityResponse {
  /** Whether this browser can capture a screen. */
  supported: boolean;
  /** What of it can be captured. */
  supportedSources: { application?: boolean; screen?: boolean; window?: boolean };
  /** Absent: no browser needs an extension any more. */
  extensionRequired?: string;
  /** Absent: no browser needs an extension any more. */
  extensionRegistered?: boolean;
  /** Absent: no browser needs an extension any more. */
  extensionInstalled?: boolean;
}

/** Codecs as `getSupportedCodecs` calls them. */
export type VideoCodecLabel = 'VP8' | 'VP9' | 'H264' | 'AV1';

/** Names of codecs that this browser encodes and decodes. */
export interface SupportedCodecs {
  /** For `preferredVideoCodecs`. */
  videoEncoders: VideoCodecLabel[];
  /** What can be received. */
  videoDecoders: VideoCodecLabel[];
}

/** The device of the event `audioInputDeviceChanged`. */
export interface AudioInputDevice {
  /** For `audioSource`. */
  deviceId: string | null | undefined;
  /** Name for people. */
  label: string | null;
}

/** What `OT.getUserMedia` takes. */
export type GetUserMediaProperties = CaptureProperties;
/** What `preferredVideoCodecs` takes. */
export type PreferredVideoCodecs = 'automatic' | [VideoCodecName, ...VideoCodecName[]];

/** The event `exception` of `OT`. */
export type ExceptionEvent = Event<'exception', object> & {
  /** OpenTok's number of the error. */
  code: number;
  /** For people. */
  message: string;
  /** Name of the error, as `OT_NOT_SUPPORTED`. */
  title: string;
};

/** The event `videoDimensionsChanged`. */
export type VideoDimensionsChangedEvent<Target> = Event<'videoDimensionsChanged', Target> & {
  /** Before. */
  oldValue: Size;
  /** Now. */
  newValue: Size;
};

export type { Event, Emitter as OTEventEmitter, Emitter as SessionOTEventEmitter } from './events';
export type { PublisherEvents, SessionEvents, SubscriberEvents } from './event-types';
export type { LegacyMediaStreamConstraints, LegacyMediaTrackConstraints } from './media/capture';
export type { Device, OutputDevice as AudioOutputDevice, OutputDevice } from './media/devices';
export type {
  AdvancedNoiseSuppressionFilter,
  AudioFilter,
  BackgroundBlurFilter,
  BackgroundReplacementFilter,
  VideoFilter,
} from './media/filters';
export type { MediaProcessorConnector } from './media/processing';
export type { ScalabilityMode } from './published-video';
export type {
  PublisherProperties,
  PublisherStyle,
  VideoBitratePreset,
  VideoBitratePresetInput,
  VideoContentHint,
} from './publisher-surface';
export type { CpuPerformanceState } from './quality/cpu';
export type { VideoCodecName as VideoCodec } from './rtc/codecs';
export type { IceConfig } from './rtc/ice';
export type * from './rtc/stats-shapes';
export type { SessionOptions } from './session-options';
export type { PropertyChange, Size as Dimensions } from './stream';
export type { CaptionsLanguageCode, SubscriberProperties, SubscriberStyle } from './subscriber';
export type { WidgetProperties, WidgetStyle } from './ui/view';

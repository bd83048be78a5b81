/** The shapes of statistics that applications get, as OpenTok.js has them. */

/** Totals of one received track since its start. */
export interface IncomingTrackStats {
  /** Payload and padding. */
  bytesReceived: number;
  /** Packets that came. */
  packetsReceived: number;
  /** Packets that did not come. */
  packetsLost: number;
}

/** Totals of one sent track since its start. */
export interface OutgoingTrackStats {
  /** Payload and padding. */
  bytesSent: number;
  /** Packets that were sent. */
  packetsSent: number;
  /** Packets that the server missed, as it reports them. */
  packetsLost: number;
}

/** How good a transport is; `unknown` before there is anything to judge by. */
export type NetworkCondition = 'unknown' | 'critical' | 'warning' | 'fair' | 'good' | 'excellent';
/** What makes a transport less than good. */
export type NetworkConditionReason = 'none' | 'unknown' | 'bandwidth' | 'packetLoss';
/** Whose network it is. */
export type NetworkDegradationSource = 'none' | 'bothOrUnclear' | 'local' | 'remote';
/** Why a video is not as good as it could be, or what of it has changed. */
export type VideoQualityReason =
  'none' | 'bandwidth' | 'cpu' | 'other' | 'resolutionChange' | 'codecChange' | 'videoInterruption';

/** How good the way to or from the server is. */
export interface TransportStats {
  /** bit/s that the way carries; of what is received, the bit/s that come. 0: not known. */
  connectionEstimatedBandwidth: number;
  /** The grade. */
  networkCondition: NetworkCondition;
  /** What decides the grade. */
  networkConditionReason: NetworkConditionReason;
}

/** What a publisher with `publishSenderStats` reports to its subscribers. */
export interface SenderStats {
  /** bit/s that its encoders may use at most. */
  connectionMaxAllocatedBitrate: number;
  /** bit/s that its way to the server carries. */
  connectionEstimatedBandwidth: number;
}

/** Video received. */
export interface SubscriberVideoStats extends IncomingTrackStats {
  /** Such as `VP8`; an empty string before the first frame. */
  codec: string;
  /** Pixels. */
  width: number;
  /** Pixels. */
  height: number;
  /** bit/s of the frames, since the last call. */
  bitrate: number;
  /** bit/s with headers and retransmissions. */
  totalBitrate: number;
  /** Frames per second that came. */
  frameRate: number;
  /** Frames per second that were decoded. */
  decodedFrameRate: number;
  /** Frames that were decoded since the start. */
  framesDecoded: number;
  /** Times that the video stood still for long, as by a pause of the publisher. */
  pauseCount?: number;
  /** Seconds of all pauses. */
  totalPausesDuration?: number;
  /** Times that the video stood still for want of frames. */
  freezeCount?: number;
  /** Seconds of all freezes. */
  totalFreezesDuration?: number;
}

/** The two ways of a stream: publisher to server, server to here. */
export interface SubscriberMediaLink {
  /** From the server to here. */
  transport: TransportStats;
  /** From the publisher to the server, as far as the publisher reports it (`publishSenderStats`). */
  remotePublisherTransport: TransportStats;
  /** Which of them is worse. */
  networkDegradationSource: NetworkDegradationSource;
}

/** Result of `Subscriber.getStats`. */
export interface SubscriberStats {
  /** Audio received. */
  audio: IncomingTrackStats;
  /** Video received. */
  video: SubscriberVideoStats;
  /** The ways that the media takes. */
  mediaLink: SubscriberMediaLink;
  /** The publisher's report; absent without `publishSenderStats` of the publisher. */
  senderStats?: SenderStats;
  /** Unix milliseconds. */
  timestamp: number;
}

/** One encoding of a video. */
export interface VideoLayerStats {
  /** Such as `VP8`. */
  codec: string;
  /** Pixels. */
  width: number;
  /** Pixels. */
  height: number;
  /** Frames per second. */
  encodedFrameRate: number;
  /** bit/s of the frames, since the last call. */
  bitrate: number;
  /** bit/s with headers and retransmissions. */
  totalBitrate: number;
  /** As in WebRTC's SVC. */
  scalabilityMode?: string;
  /** What keeps the encoder from more. */
  qualityLimitationReason?: VideoQualityReason;
}

/** Video sent. */
export interface PublisherVideoStats extends OutgoingTrackStats {
  /** Frames per second of the largest encoding. */
  frameRate: number;
  /** Frames that were sent since the start, of all encodings. */
  framesSent: number;
  /** Pixels of the largest encoding. */
  width: number;
  /** Pixels of the largest encoding. */
  height: number;
  /** The encodings that are sent, smallest first. */
  layers?: VideoLayerStats[];
}

/** The way from a publisher to the server. */
export interface PublisherMediaLink {
  /** From here to the server. */
  transport: TransportStats;
}

/** Statistics of one connection in `Publisher.getStats`. */
export interface PublisherStats {
  /** Audio sent. */
  audio: OutgoingTrackStats;
  /** Video sent. */
  video: PublisherVideoStats;
  /** The way that the media takes. */
  mediaLink: PublisherMediaLink;
  /** Unix milliseconds. */
  timestamp: number;
  /** The same as `mediaLink.transport`. */
  transportStats: TransportStats;
}

/** One row of `Publisher.getStats`: routed sessions have one. */
export interface PublisherStatContainer {
  /** Always absent: the media goes to the server. */
  subscriberId?: string;
  /** Always absent: the media goes to the server. */
  connectionId?: string;
  /** What was sent. */
  stats: PublisherStats;
}

/** Result of `Publisher.getStats`. */
export type PublisherStatsArr = PublisherStatContainer[];

/** One row of `Publisher.getRtcStatsReport`. */
export interface PublisherRtcStatsReportContainer {
  /** Always absent: the media goes to the server. */
  subscriberId?: string;
  /** Always absent: the media goes to the server. */
  connectionId?: string;
  /** The browser's own statistics of one sent track. */
  rtcStatsReport: RTCStatsReport;
}

/** Result of `Publisher.getRtcStatsReport`. */
export type PublisherRtcStatsReportArr = PublisherRtcStatsReportContainer[];

/** From 1 (bad) to 5 (excellent); what is not received has none. */
export interface QualityScore {
  /** Of the audio. */
  audioQualityScore?: number;
  /** Of the video. */
  videoQualityScore?: number;
}

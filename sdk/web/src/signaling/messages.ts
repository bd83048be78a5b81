export interface Hello {
  readonly t: 'hello';
  readonly apiKey: string;
  readonly sessionId: string;
  readonly token: string;
  readonly sdk: SdkInfo;
  readonly e2ee?: E2eeSupport | null;
  readonly codecs?: readonly ('av1' | 'h264' | 'opus' | 'vp8' | 'vp9')[];
  readonly resume?: string | null;
  readonly received?: number | null;
  readonly id: number;
}

export interface SdkInfo {
  readonly name: string;
  readonly version: string;
}

export interface E2eeSupport {
  readonly formats: readonly string[];
  readonly signals?: boolean;
}

export interface Publish {
  readonly t: 'publish';
  readonly tracks: readonly TrackOffer[];
  readonly offer?: string;
  readonly name?: string;
  readonly videoType?: 'camera' | 'custom' | 'screen' | null;
  readonly hasAudio?: boolean;
  readonly hasVideo?: boolean;
  readonly videoDimensions?: Dimensions | null;
  readonly frameRate?: number | null;
  readonly e2eeFormat?: string | null;
  readonly id: number;
}

export interface TrackOffer {
  readonly mid: string;
  readonly kind: 'audio' | 'video';
  readonly kids?: readonly Uint8Array[];
}

export interface Dimensions {
  readonly width: number;
  readonly height: number;
}

export interface Unpublish {
  readonly t: 'unpublish';
  readonly streamId: string;
  readonly id: number;
}

export interface UpdateStream {
  readonly t: 'updateStream';
  readonly streamId: string;
  readonly hasAudio?: boolean | null;
  readonly hasVideo?: boolean | null;
  readonly videoDimensions?: Dimensions | null;
  readonly id: number;
}

export interface DeclareKids {
  readonly t: 'declareKids';
  readonly streamId: string;
  readonly mid: string;
  readonly kids: readonly Uint8Array[];
  readonly id: number;
}

export interface Subscribe {
  readonly t: 'subscribe';
  readonly streamId: string;
  readonly audio?: boolean;
  readonly video?: boolean;
  readonly preferredResolution?: Dimensions | null;
  readonly preferredFrameRate?: number | null;
  readonly id: number;
}

export interface DownlinkAnswer {
  readonly t: 'downlinkAnswer';
  readonly offerId: number;
  readonly sdp: string;
  readonly id: number;
}

export interface RestartIce {
  readonly t: 'restartIce';
  readonly direction: 'downlink' | 'uplink';
  readonly offer?: string;
  readonly id: number;
}

export interface UpdateSubscriber {
  readonly t: 'updateSubscriber';
  readonly subscriberId: string;
  readonly audio?: boolean;
  readonly video?: boolean;
  readonly preferredResolution?: Dimensions | null;
  readonly preferredFrameRate?: number | null;
  readonly id: number;
}

export interface Unsubscribe {
  readonly t: 'unsubscribe';
  readonly subscriberId: string;
  readonly id: number;
}

export interface PeerDescription {
  readonly t: 'peerDescription';
  readonly subscriberId: string;
  readonly type: 'answer' | 'offer';
  readonly sdp: string;
  readonly id: number;
}

export interface PeerCandidate {
  readonly t: 'peerCandidate';
  readonly subscriberId: string;
  readonly candidate: string;
  readonly mid: string;
  readonly id: number;
}

export interface Signal {
  readonly t: 'signal';
  readonly to?: string | null;
  readonly type?: string | null;
  readonly data?: string | null;
  readonly encrypted?: Uint8Array | null;
  readonly id: number;
}

export interface ForceDisconnect {
  readonly t: 'forceDisconnect';
  readonly connectionId: string;
  readonly id: number;
}

export interface ForceUnpublish {
  readonly t: 'forceUnpublish';
  readonly streamId: string;
  readonly id: number;
}

export interface ForceMuteStream {
  readonly t: 'forceMuteStream';
  readonly streamId: string;
  readonly id: number;
}

export interface ForceMuteAll {
  readonly t: 'forceMuteAll';
  readonly active: boolean;
  readonly excludedStreamIds?: readonly string[];
  readonly id: number;
}

export interface E2eeReady {
  readonly t: 'e2eeReady';
  readonly hint: number;
  readonly id: number;
}

export interface E2eeState {
  readonly t: 'e2eeState';
  readonly subscriberId: string;
  readonly state: 'mismatch' | 'ok';
  readonly decrypted?: number;
  readonly failed?: number;
  readonly id: number;
}

export interface Ping {
  readonly t: 'ping';
  readonly received?: number | null;
  readonly id: number;
}

export interface Bye {
  readonly t: 'bye';
  readonly id: number;
}

export interface Ok {
  readonly t: 'ok';
  readonly re: number;
}

export interface Error {
  readonly t: 'error';
  readonly code: string;
  readonly name: string;
  readonly number: number;
  readonly message: string;
  readonly re?: number | null;
}

export interface Welcome {
  readonly t: 'welcome';
  readonly re: number;
  readonly connection: ConnectionInfo;
  readonly session: SessionInfo;
  readonly capabilities: Capabilities;
  readonly connections: readonly ConnectionInfo[];
  readonly streams: readonly StreamInfo[];
  readonly resume: string;
  readonly resumed: boolean;
  readonly keepAliveMs: number;
  readonly graceMs: number;
  readonly iceServers?: readonly IceServer[];
  readonly hints?: { readonly [key: string]: number };
  readonly muteForced?: boolean;
  readonly lastRequest?: number | null;
}

export interface ConnectionInfo {
  readonly connectionId: string;
  readonly creationTime: number;
  readonly data?: string;
}

export interface SessionInfo {
  readonly sessionId: string;
  readonly e2ee: boolean;
  readonly mediaMode: 'relayed' | 'routed';
}

export interface Capabilities {
  readonly publish: number;
  readonly subscribe: number;
  readonly signal: number;
  readonly forceUnpublish: number;
  readonly forceDisconnect: number;
  readonly forceMute: number;
}

export interface StreamInfo {
  readonly streamId: string;
  readonly connectionId: string;
  readonly creationTime: number;
  readonly name?: string;
  readonly hasAudio?: boolean;
  readonly hasVideo?: boolean;
  readonly videoType?: 'camera' | 'custom' | 'screen' | null;
  readonly videoDimensions?: Dimensions | null;
  readonly frameRate?: number | null;
  readonly codecs?: { readonly [Key in 'audio' | 'video']?: 'av1' | 'h264' | 'opus' | 'vp8' | 'vp9' };
}

export interface IceServer {
  readonly urls: readonly string[];
  readonly username?: string | null;
  readonly credential?: string | null;
}

export interface Published {
  readonly t: 'published';
  readonly re: number;
  readonly streamId: string;
  readonly answer: string;
  readonly tracks: readonly TrackInfo[];
}

export interface TrackInfo {
  readonly mid: string;
  readonly kind: 'audio' | 'video';
  readonly codec: 'av1' | 'h264' | 'opus' | 'vp8' | 'vp9';
}

export interface Subscribed {
  readonly t: 'subscribed';
  readonly re: number;
  readonly subscriberId: string;
  readonly streamId: string;
}

export interface DownlinkOffer {
  readonly t: 'downlinkOffer';
  readonly offerId: number;
  readonly sdp: string;
  readonly tracks: readonly DownlinkTrack[];
}

export interface DownlinkTrack {
  readonly mid: string;
  readonly kind: 'audio' | 'video';
  readonly codec: 'av1' | 'h264' | 'opus' | 'vp8' | 'vp9';
  readonly subscriberId: string;
  readonly streamId: string;
}

export interface IceRestarted {
  readonly t: 'iceRestarted';
  readonly re: number;
  readonly answer: string;
}

export interface ActiveSpeaker {
  readonly t: 'activeSpeaker';
  readonly streamId: string;
}

export interface SubscriberConnected {
  readonly t: 'subscriberConnected';
  readonly subscriberId: string;
}

export interface PeerSubscribed {
  readonly t: 'peerSubscribed';
  readonly subscriberId: string;
  readonly streamId: string;
  readonly connectionId: string;
  readonly audio: boolean;
  readonly video: boolean;
}

export interface PeerUnsubscribed {
  readonly t: 'peerUnsubscribed';
  readonly subscriberId: string;
}

export interface PeerDescriptionReceived {
  readonly t: 'peerDescriptionReceived';
  readonly subscriberId: string;
  readonly type: 'answer' | 'offer';
  readonly sdp: string;
}

export interface PeerCandidateReceived {
  readonly t: 'peerCandidateReceived';
  readonly subscriberId: string;
  readonly candidate: string;
  readonly mid: string;
}

export interface ConnectionCreated {
  readonly t: 'connectionCreated';
  readonly connection: ConnectionInfo;
}

export interface ConnectionDestroyed {
  readonly t: 'connectionDestroyed';
  readonly connectionId: string;
  readonly reason: 'clientDisconnected' | 'forceDisconnected' | 'networkDisconnected';
}

export interface StreamCreated {
  readonly t: 'streamCreated';
  readonly stream: StreamInfo;
}

export interface StreamDestroyed {
  readonly t: 'streamDestroyed';
  readonly streamId: string;
  readonly reason: 'clientDisconnected' | 'forceDisconnected' | 'forceUnpublished' | 'mediaStopped' | 'networkDisconnected';
}

export interface StreamPropertyChanged {
  readonly t: 'streamPropertyChanged';
  readonly streamId: string;
  readonly hasAudio?: boolean | null;
  readonly hasVideo?: boolean | null;
  readonly videoDimensions?: Dimensions | null;
}

export interface ArchiveStarted {
  readonly t: 'archiveStarted';
  readonly id: string;
  readonly name: string;
  readonly recorder?: string | null;
}

export interface ArchiveStopped {
  readonly t: 'archiveStopped';
  readonly id: string;
  readonly name: string;
}

export interface SignalReceived {
  readonly t: 'signalReceived';
  readonly from?: string | null;
  readonly type?: string | null;
  readonly data?: string | null;
  readonly encrypted?: Uint8Array | null;
}

export interface MuteForced {
  readonly t: 'muteForced';
  readonly active: boolean;
  readonly streamId?: string | null;
}

export interface NotEncrypted {
  readonly t: 'notEncrypted';
  readonly streamId: string;
  readonly mid: string;
  readonly packets: number;
}

export interface StreamStateChanged {
  readonly t: 'streamStateChanged';
  readonly subscriberId: string;
  readonly state: 'limited' | 'ok' | 'paused';
}

export interface SubscribedLayersChanged {
  readonly t: 'subscribedLayersChanged';
  readonly streamId: string;
  readonly mid: string;
  readonly subscribed: boolean;
  readonly rids: readonly string[];
}

export interface HintAnnounced {
  readonly t: 'hintAnnounced';
  readonly connectionId: string;
  readonly hint: number;
}

export interface TransportLost {
  readonly t: 'transportLost';
  readonly direction: 'downlink' | 'uplink';
}

export interface Disconnected {
  readonly t: 'disconnected';
  readonly reason: 'clientDisconnected' | 'forceDisconnected' | 'networkDisconnected' | 'serverShutdown';
}

export interface Pong {
  readonly t: 'pong';
  readonly re: number;
}

export type ClientMessage =
  | Hello
  | Publish
  | Unpublish
  | UpdateStream
  | DeclareKids
  | Subscribe
  | DownlinkAnswer
  | RestartIce
  | UpdateSubscriber
  | Unsubscribe
  | PeerDescription
  | PeerCandidate
  | Signal
  | ForceDisconnect
  | ForceUnpublish
  | ForceMuteStream
  | ForceMuteAll
  | E2eeReady
  | E2eeState
  | Ping
  | Bye;

export type ServerMessage =
  | Ok
  | Error
  | Welcome
  | Published
  | Subscribed
  | DownlinkOffer
  | IceRestarted
  | ActiveSpeaker
  | SubscriberConnected
  | PeerSubscribed
  | PeerUnsubscribed
  | PeerDescriptionReceived
  | PeerCandidateReceived
  | ConnectionCreated
  | ConnectionDestroyed
  | StreamCreated
  | StreamDestroyed
  | StreamPropertyChanged
  | ArchiveStarted
  | ArchiveStopped
  | SignalReceived
  | MuteForced
  | NotEncrypted
  | StreamStateChanged
  | SubscribedLayersChanged
  | HintAnnounced
  | TransportLost
  | Disconnected
  | Pong;

// An application for OpenTok.js, with every public name of its types: it compiles against ours by
// nothing but another path. It is never run.
import * as OT from '@vonage/client-sdk-video';

const show = (text: unknown): void => {
  document.title = String(text);
};
const report = (error?: OT.OTError): void => {
  if (error) show(`${error.name}: ${error.message}`);
};

// --- what is used without a session -----------------------------------------------------------

const large: OT.Dimensions = { width: 1280, height: 720 };
const blur: OT.BackgroundBlurFilter = { type: 'backgroundBlur', blurStrength: 'high' };
const beach: OT.BackgroundReplacementFilter = {
  type: 'backgroundReplacement',
  backgroundImgUrl: 'beach.jpg',
};
const quiet: OT.AdvancedNoiseSuppressionFilter = { type: 'advancedNoiseSuppression' };
const filters: { video: OT.VideoFilter[]; audio: OT.AudioFilter } = {
  video: [blur, beach],
  audio: quiet,
};
const codecs: OT.PreferredVideoCodecs = ['vp9', 'vp8'];
const codec: OT.VideoCodec = codecs[0];
const hint: OT.VideoContentHint = 'motion';
const saving: OT.VideoBitratePresetInput = 'bw_saver';
const layers: OT.ScalabilityMode = 'L3T3';
const language: OT.CaptionsLanguageCode = 'en-US';
const old: OT.LegacyMediaTrackConstraints = { mandatory: { maxWidth: 640 } };
const constraints: OT.LegacyMediaStreamConstraints = { audio: true, video: old };

const ice: OT.IceConfig = {
  includeServers: 'custom',
  transportPolicy: 'relay',
  customServers: [{ urls: 'turn:turn.example', username: 'ada', credential: 'secret' }],
};

const widget: OT.WidgetProperties = {
  fitMode: 'contain',
  insertDefaultUI: true,
  insertMode: 'append',
  showControls: false,
  width: '100%',
  height: 480,
};
const style: OT.WidgetStyle = {
  audioLevelDisplayMode: 'auto',
  backgroundImageURI: 'off.png',
  buttonDisplayMode: 'off',
  nameDisplayMode: 'on',
  videoDisabledDisplayMode: 'auto',
};
const publisherStyle: OT.PublisherStyle = { ...style, archiveStatusDisplayMode: 'off' };
const subscriberStyle: OT.SubscriberStyle = { ...style, audioBlockedDisplayMode: 'on' };

const capture: OT.GetUserMediaProperties = {
  audioSource: true,
  disableAudioProcessing: false,
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  facingMode: 'user',
  frameRate: 30,
  maxResolution: large,
  resolution: '1280x720',
  videoSource: undefined,
};
const sending: OT.PublisherProperties = {
  ...widget,
  ...capture,
  audioBitrate: 40_000,
  audioFallback: { publisher: true, subscriber: false },
  initials: 'AL',
  mirror: true,
  name: 'Ada',
  publishAudio: true,
  publishVideo: true,
  publishCaptions: false,
  publishSenderStats: true,
  scalableScreenshare: true,
  scalableVideo: true,
  style: publisherStyle,
  videoContentHint: hint,
  enableDtx: true,
  enableStereo: false,
  videoFilter: blur,
  audioFilter: quiet,
  disableAudioInputDeviceManagement: true,
  preferredVideoCodecs: 'automatic',
  constraints,
};
const receiving: OT.SubscriberProperties = {
  ...widget,
  audioVolume: 50,
  preferredFrameRate: 15,
  preferredResolution: 'auto',
  style: subscriberStyle,
  subscribeToAudio: true,
  subscribeToCaptions: false,
  subscribeToVideo: true,
  testNetwork: true,
  captionsTranslationLanguage: language,
};

export async function useMachine(): Promise<void> {
  OT.setLogLevel(4);
  OT.log(codec);
  OT.setProxyUrl('https://video.example');
  if (OT.checkSystemRequirements() === 0) OT.upgradeSystemRequirements();
  const screen: OT.ScreenSharingCapabilityResponse = await OT.checkScreenSharingCapability();
  OT.checkScreenSharingCapability((response: OT.ScreenSharingCapabilityResponse) => {
    if (!response.supported || response.extensionRegistered === false) show(screen.supported);
    show(response.supportedSources.screen ?? response.extensionRequired);
    if (response.extensionInstalled) OT.registerScreenSharingExtension('chrome', 'id', 2);
  });
  OT.getDevices((error: OT.OTError | undefined, devices?: OT.Device[]) => {
    report(error);
    const cameras = devices?.filter(({ kind }) => kind === 'videoInput') ?? [];
    for (const { deviceId, label } of cameras) show(`${label} ${deviceId}`);
  }).catch(report);
  const speakers: OT.AudioOutputDevice[] = await OT.getAudioOutputDevices();
  const speaker: OT.AudioOutputDevice = await OT.getActiveAudioOutputDevice();
  await OT.setAudioOutputDevice(speakers[0]?.deviceId ?? speaker.deviceId ?? 'default');
  const { videoEncoders, videoDecoders } = await OT.getSupportedCodecs();
  show(videoEncoders.includes('VP9') && videoDecoders.includes('H264'));
  show(OT.hasMediaProcessorSupport('video') && (await OT.hasMediaProcessorSupport.promise('both')));
  show(OT.hasEndToEndEncryptionSupport());
  const media: MediaStream = await OT.getUserMedia(capture);
  const unblocked: undefined = await OT.unblockAudio();
  show(`${media.id} ${String(unblocked)}`);
  const onException = ({ code, message, title, target }: OT.ExceptionEvent): void =>
    show(`${code} ${message} ${title} ${String(target)}`);
  OT.on('exception', onException);
  OT.once('exception', onException, {});
  OT.off('exception', onException);
  show(await OT.reportIssue((error?: OT.OTError, id?: string) => show(error?.name ?? id)));
}

// --- a session --------------------------------------------------------------------------------

const session: OT.Session = OT.initSession('key', 'session', {
  connectionEventsSuppressed: true,
  iceConfig: ice,
  ipWhitelist: true,
  encryptionSecret: 'a secret of the application',
  singlePeerConnection: true,
  sessionMigration: true,
});

type StreamEvent = OT.Event<'streamCreated', OT.Session> & { stream: OT.Stream };
const onStream = (event: StreamEvent): void => {
  const { stream } = event;
  const connection: OT.Connection = stream.connection;
  const size: OT.Dimensions = stream.videoDimensions;
  const frames: number = stream.frameRate;
  show(`${stream.streamId} ${stream.name} ${stream.initials} ${stream.creationTime}`);
  show(`${connection.connectionId} ${connection.data} ${connection.creationTime}`);
  show(`${size.width} ${frames} ${stream.videoType ?? ''} ${event.target.sessionId} ${event.type}`);
  show(stream.hasAudio && stream.hasVideo && !stream.hasCaptions);
  watch(session.subscribe(stream, 'others', receiving, report));
};

session.on('streamCreated', onStream);
session.once('sessionConnected', ({ target }) => show(target.connection?.connectionId));
session.on('streamDestroyed', (event) => {
  if (event.cancelable && !event.isDefaultPrevented()) event.preventDefault();
  show(`${event.reason} ${event.stream.streamId}`);
});
session.on('streamPropertyChanged', (event) => {
  show(event.stream.streamId);
  if (event.changedProperty === 'videoDimensions')
    show(event.newValue.width - event.oldValue.width);
  else if (event.changedProperty === 'hasAudio') show(event.newValue && !event.oldValue);
  else if (event.changedProperty === 'hasVideo') show(event.newValue);
  else if (event.changedProperty === 'hasCaptions') show(event.oldValue);
});
session.on('signal', ({ type, data, from }) =>
  show(`${type ?? ''} ${data ?? ''} ${from?.data ?? ''}`),
);
session.on('signal:chat', ({ data }) => show(data));
session.on('archiveStarted', ({ id, name }) => show(`${id} ${name}`));
session.on('archiveStopped', ({ id, name }) => show(`${id} ${name}`));
session.on('connectionCreated', ({ connection }) => show(connection.connectionId));
session.on('connectionDestroyed', ({ connection, reason }) => show([connection.data, reason]));
session.on('cpuPerformanceChanged', ({ cpuPerformanceState }) => {
  const state: OT.CpuPerformanceState = cpuPerformanceState;
  show(state);
});
session.on('sessionDisconnected', ({ reason }) => show(reason));
session.on('sessionReconnecting sessionReconnected muteForced', ({ type }) => show(type));
session.on({ muteForced: () => show('muted') }, {});
session.off('signal:chat');
session.off('streamCreated', onStream);
session.off({ muteForced: show });
session.off();

export async function useSession(): Promise<void> {
  session.connect('token', report);
  const connected: OT.Session = await session.connect.promise('token');
  const { publish, subscribe, forceMute, forceDisconnect, forceUnpublish } = connected.capabilities;
  show(publish + subscribe + forceMute + forceDisconnect + forceUnpublish);
  const publisher: OT.Publisher = session.publish('me', sending, report);
  session.publish(publisher, report);
  await session.publish.promise(publisher);
  await session.publish.promise('me', sending);
  const { stream, connection } = { stream: publisher.stream, connection: session.connection };
  if (!stream || !connection) return;
  const subscriber: OT.Subscriber = await session.subscribe.promise(stream, 'me', receiving);
  show(session.getPublisherForStream(stream)?.id);
  for (const one of session.getSubscribersForStream(stream)) show(one.id);
  await session.setEncryptionSecret('another secret');
  await session.setIceConfig(ice);
  await session.signal(
    { type: 'chat', data: 'hello', to: connection, retryAfterReconnect: true },
    report,
  );
  await session.forceMuteStream(stream);
  await session.forceMuteAll([stream]);
  await session.disableForceMute();
  await session.forceDisconnect(connection, report);
  await session.forceUnpublish(stream, report);
  session.unsubscribe(subscriber);
  session.unpublish(publisher);
  await session.disconnect();
}

// --- what is sent -----------------------------------------------------------------------------

/** Nothing is changed on the way. */
const connector = {
  setTrack: (track: MediaStreamTrack): Promise<MediaStreamTrack> => Promise.resolve(track),
  destroy: (): Promise<void> => Promise.resolve(),
};

const publisher = OT.initPublisher('me', sending, report);
publisher.on('accessAllowed accessDenied accessDialogOpened accessDialogClosed', ({ type }) =>
  show(type),
);
publisher.on('accessAllowed', ({ target }) => show(target.accessAllowed));
publisher.on('audioInputDeviceChanged', ({ device }) => {
  const now: OT.AudioInputDevice = device;
  show(`${now.label ?? ''} ${now.deviceId ?? ''}`);
});
publisher.on('audioLevelUpdated', ({ audioLevel }) => show(audioLevel.toFixed(1)));
publisher.on('destroyed', ({ type }) => show(type));
publisher.on('mediaStopped', ({ track }) => show(track?.kind));
publisher.on('mediaStreamAvailable', ({ mediaStream }) => show(mediaStream.id));
publisher.on('streamCreated', ({ stream }) => show(stream.streamId));
publisher.on('streamDestroyed', ({ stream, reason }) => show(`${stream.streamId} ${reason}`));
publisher.on('videoDimensionsChanged', (event: OT.VideoDimensionsChangedEvent<OT.Publisher>) =>
  show(event.newValue.width - event.oldValue.width + (event.target.videoWidth() ?? 0)),
);
publisher.on('videoElementCreated', ({ element }) => document.body.append(element));
publisher.on('videoEnabled', ({ reason }) => show(reason));
publisher.on('videoDisabled', ({ reason }) => show(reason));
publisher.on('videoDisableWarning', ({ type }) => show(type));
publisher.on('videoDisableWarningLifted', ({ type }) => show(type));
publisher.on('videoQualityChanged', ({ reason, statsContainer }) => {
  const why: OT.VideoQualityReason = reason;
  showSent(why, statsContainer);
});
publisher.on('networkConditionChanged', ({ reason, statsContainer }) =>
  showSent(reason, statsContainer),
);
publisher.on('muteForced', ({ type }) => show(type));

function showSent(reason: string, container: OT.PublisherStatContainer): void {
  const { stats, subscriberId, connectionId } = container;
  const { audio, video, mediaLink, timestamp, transportStats }: OT.PublisherStats = stats;
  const sentAudio: OT.OutgoingTrackStats = audio;
  const image: OT.PublisherVideoStats = video;
  const link: OT.PublisherMediaLink = mediaLink;
  const transport: OT.TransportStats = link.transport;
  show(`${reason} ${subscriberId ?? connectionId ?? ''} ${timestamp}`);
  show(sentAudio.bytesSent + sentAudio.packetsSent + sentAudio.packetsLost + image.frameRate);
  for (const layer of image.layers ?? []) showLayer(layer);
  const condition: OT.NetworkCondition = transport.networkCondition;
  const why: OT.NetworkConditionReason = transportStats.networkConditionReason;
  show(`${condition} ${why} ${transport.connectionEstimatedBandwidth}`);
}

function showLayer(layer: OT.VideoLayerStats): void {
  const { codec: name, width, height, encodedFrameRate, bitrate, totalBitrate } = layer;
  show(`${name} ${width}x${height} ${encodedFrameRate} ${bitrate} ${totalBitrate}`);
  show(`${layer.scalabilityMode ?? ''} ${layer.qualityLimitationReason ?? ''}`);
}

export async function usePublisher(): Promise<void> {
  const ready: OT.Publisher = await OT.initPublisher.promise(document.body, sending);
  const inSession: OT.Session | undefined = ready.session;
  show(`${String(ready.accessAllowed)} ${ready.id ?? ''} ${ready.element?.id ?? ''}`);
  show(`${inSession?.sessionId ?? ''} ${ready.getImgData()?.length ?? 0}`);
  publisher.publishAudio(false).publishVideo(false, report);
  await publisher.publishAudio.promise(true);
  await publisher.publishVideo.promise(true);
  await publisher.publishCaptions(false);
  const stats: OT.PublisherStatsArr = await publisher.getStats((error, all) => show(error ?? all));
  for (const container of stats) showSent('asked', container);
  const reports: OT.PublisherRtcStatsReportArr = await publisher.getRtcStatsReport();
  const first: OT.PublisherRtcStatsReportContainer | undefined = reports[0];
  first?.rtcStatsReport.forEach((row: unknown) => show(row));
  for (const filter of filters.video) await publisher.applyVideoFilter(filter);
  const inUse: OT.VideoFilter | null = publisher.getVideoFilter();
  await publisher.clearVideoFilter();
  await publisher.applyAudioFilter(filters.audio);
  const heard: OT.AudioFilter | null = publisher.getAudioFilter();
  await publisher.clearAudioFilter();
  show(`${inUse?.type ?? ''} ${heard?.type ?? ''}`);
  await publisher.setVideoMediaProcessorConnector(connector);
  await publisher.setAudioMediaProcessorConnector(null);
  const { deviceId } = await publisher.cycleVideo();
  const changed: undefined = await publisher.setAudioSource(publisher.getAudioSource());
  await publisher.setVideoSource(deviceId);
  const { type, track } = publisher.getVideoSource();
  show(`${type ?? ''} ${track?.label ?? ''} ${String(changed)}`);
  await publisher.setVideoContentHint(publisher.getVideoContentHint());
  publisher.setTargetScalabilityMode(layers);
  const mode: OT.ScalabilityMode | undefined = publisher.getTargetScalabilityMode();
  await publisher.setPreferredFrameRate(15);
  await publisher.setPreferredResolution(large);
  await publisher.setMaxVideoBitrate(publisher.getMaxVideoBitrate() / 2);
  await publisher.setVideoBitratePreset(saving);
  const preset: OT.VideoBitratePreset = publisher.getVideoBitratePreset();
  show(`${mode ?? ''} ${preset} ${publisher.videoHeight() ?? 0}`);
  publisher.setStyle('archiveStatusDisplayMode', 'off');
  publisher.setStyle({ nameDisplayMode: publisher.getStyle().nameDisplayMode });
  publisher.destroy();
  await publisher.destroy.promise();
}

// --- what is received -------------------------------------------------------------------------

function watch(subscriber: OT.Subscriber): void {
  subscriber.on('audioBlocked audioUnblocked connected disconnected', ({ type }) => show(type));
  subscriber.on('audioLevelUpdated', ({ audioLevel }) => show(audioLevel.toFixed(1)));
  subscriber.on('captionReceived', ({ streamId, caption, isFinal }) =>
    show([streamId, caption, isFinal]),
  );
  subscriber.on('destroyed', ({ reason }) => show(reason));
  subscriber.on('encryptionSecretMismatch', ({ target }) => show(target.id));
  subscriber.on('encryptionSecretMatch', ({ target }) => show(target.id));
  subscriber.on('mediaStreamAvailable', ({ mediaStream }) => show(mediaStream.id));
  subscriber.on('qualityScoreChanged', ({ qualityScore }) => {
    const { audioQualityScore, videoQualityScore }: OT.QualityScore = qualityScore;
    show((audioQualityScore ?? 0) + (videoQualityScore ?? 0));
  });
  subscriber.on('videoDimensionsChanged', ({ newValue }) => show(newValue.height));
  subscriber.on('videoDisabled', ({ reason }) => show(reason));
  subscriber.on('videoEnabled', ({ reason }) => show(reason));
  subscriber.on('videoDisableWarning', ({ target }) => show(target.id));
  subscriber.on('videoDisableWarningLifted', ({ target }) => show(target.id));
  subscriber.on('videoElementCreated', ({ element }) => document.body.append(element));
  subscriber.on('videoQualityChanged', ({ reason, stats }) => showReceived(reason, stats));
  subscriber.on('networkConditionChanged', ({ reason, stats }) => showReceived(reason, stats));
  useSubscriber(subscriber).catch(report);
}

function showReceived(reason: string, stats: OT.SubscriberStats): void {
  const { audio, video, mediaLink, senderStats, timestamp } = stats;
  const sentAudio: OT.IncomingTrackStats = audio;
  const image: OT.SubscriberVideoStats = video;
  const link: OT.SubscriberMediaLink = mediaLink;
  const source: OT.NetworkDegradationSource = link.networkDegradationSource;
  const sender: OT.SenderStats | undefined = senderStats;
  show(
    `${reason} ${timestamp} ${sentAudio.bytesReceived + sentAudio.packetsReceived + sentAudio.packetsLost}`,
  );
  show(
    `${image.codec} ${image.width}x${image.height} ${image.frameRate} ${image.decodedFrameRate}`,
  );
  show(image.bitrate + image.totalBitrate + (image.pauseCount ?? 0) + (image.freezeCount ?? 0));
  show((image.totalPausesDuration ?? 0) + (image.totalFreezesDuration ?? 0));
  show(`${source} ${link.transport.networkCondition}`);
  show(link.remotePublisherTransport.networkCondition);
  show(sender?.connectionMaxAllocatedBitrate ?? sender?.connectionEstimatedBandwidth);
}

async function useSubscriber(subscriber: OT.Subscriber): Promise<void> {
  show(
    `${subscriber.stream?.streamId ?? ''} ${subscriber.id ?? ''} ${subscriber.element?.id ?? ''}`,
  );
  showReceived('asked', await subscriber.getStats((error, stats) => show(error ?? stats)));
  const rows: Map<string, { type: string }> = await subscriber.getRtcStatsReport();
  rows.forEach(({ type }) => show(type));
  subscriber.subscribeToAudio(false).subscribeToVideo(false).restrictFrameRate(true);
  await subscriber.subscribeToAudio.promise(true, 'asked');
  await subscriber.subscribeToVideo.promise(true, 'asked');
  await subscriber.restrictFrameRate.promise(false);
  subscriber.setAudioVolume(subscriber.getAudioVolume());
  await subscriber.setAudioVolume.promise(50);
  await subscriber.setPreferredFrameRate(15);
  await subscriber.setPreferredResolution(large);
  await subscriber.setAudioMediaProcessorConnector(connector);
  await subscriber.setVideoMediaProcessorConnector(null);
  if (!subscriber.isSubscribedToCaptions()) await subscriber.subscribeToCaptions(true);
  await subscriber.setCaptionsTranslationLanguage(language);
  subscriber.setStyle('audioBlockedDisplayMode', 'off');
  subscriber.setStyle({ buttonDisplayMode: subscriber.getStyle().buttonDisplayMode });
  show(subscriber.isAudioBlocked() || subscriber.getImgData());
  show((subscriber.videoWidth() ?? 0) * (subscriber.videoHeight() ?? 0));
  const spoken: OT.CaptionsLanguageCode | null = subscriber.getCaptionsTranslationLanguage();
  show(spoken);
}

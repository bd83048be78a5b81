// Generated from signaling/protocol by `make docs`; edit that.
import type { ServerMessage } from './messages';
import { any, bytes, flag, id, list, map, number, opt, part, text, whole, word } from './shape';
import type { Part } from './shape';

const ConnectionInfo = part({
  connectionId: id(),
  creationTime: whole(0),
  data: opt(text()),
});

const SessionInfo = part({
  sessionId: id(),
  e2ee: opt(any()),
  mediaMode: opt(any()),
});

const Capabilities = part({
  publish: whole(0),
  subscribe: whole(0),
  signal: whole(0),
  forceUnpublish: whole(0),
  forceDisconnect: whole(0),
  forceMute: whole(0),
});

const Dimensions = part({
  width: whole(0, 16384),
  height: whole(0, 16384),
});

const StreamInfo = part({
  streamId: id(),
  connectionId: id(),
  creationTime: whole(0),
  name: opt(text()),
  hasAudio: opt(flag()),
  hasVideo: opt(flag()),
  videoType: opt(word('camera', 'custom', 'screen').orNull()),
  videoDimensions: opt(Dimensions.orNull()),
  frameRate: opt(number().orNull()),
  codecs: opt(map(word('audio', 'video'), word('av1', 'h264', 'opus', 'vp8', 'vp9'))),
  hasCaptions: opt(flag()),
  initials: opt(text()),
});

const IceServer = part({
  urls: list(text()),
  username: opt(text().orNull()),
  credential: opt(text().orNull()),
});

const TrackInfo = part({
  mid: id(),
  kind: word('audio', 'video'),
  codec: word('av1', 'h264', 'opus', 'vp8', 'vp9'),
});

const DownlinkTrack = part({
  mid: id(),
  kind: word('audio', 'video'),
  codec: word('av1', 'h264', 'opus', 'vp8', 'vp9'),
  subscriberId: id(),
  streamId: id(),
});

export const SERVER_SHAPES: { [T in ServerMessage['t']]: Part } = {
  ok: part({
    re: whole(0, 2147483647),
  }),
  error: part({
    code: text(undefined, 64),
    name: text(undefined, 64),
    number: whole(0),
    message: text(undefined, 1000),
    re: opt(whole(0, 2147483647).orNull()),
  }),
  welcome: part({
    re: whole(0, 2147483647),
    connection: ConnectionInfo,
    session: SessionInfo,
    capabilities: Capabilities,
    connections: list(ConnectionInfo),
    streams: list(StreamInfo),
    resume: text(),
    resumed: flag(),
    keepAliveMs: whole(0),
    graceMs: whole(0),
    iceServers: opt(list(IceServer)),
    hints: opt(map(id(), whole(0, 65535))),
    muteForced: opt(flag()),
    lastRequest: opt(whole(0, 2147483647).orNull()),
  }),
  published: part({
    re: whole(0, 2147483647),
    streamId: id(),
    answer: text(),
    tracks: list(TrackInfo),
  }),
  subscribed: part({
    re: whole(0, 2147483647),
    subscriberId: id(),
    streamId: id(),
  }),
  downlinkOffer: part({
    offerId: whole(0),
    sdp: text(),
    tracks: list(DownlinkTrack),
  }),
  iceRestarted: part({
    re: whole(0, 2147483647),
    answer: text(),
  }),
  activeSpeaker: part({
    streamId: id(),
  }),
  subscriberConnected: part({
    subscriberId: id(),
  }),
  peerSubscribed: part({
    subscriberId: id(),
    streamId: id(),
    connectionId: id(),
    audio: flag(),
    video: flag(),
  }),
  peerUnsubscribed: part({
    subscriberId: id(),
  }),
  peerDescriptionReceived: part({
    subscriberId: id(),
    type: word('answer', 'offer'),
    sdp: text(),
  }),
  peerCandidateReceived: part({
    subscriberId: id(),
    candidate: text(),
    mid: id(),
  }),
  connectionCreated: part({
    connection: ConnectionInfo,
  }),
  connectionDestroyed: part({
    connectionId: id(),
    reason: word('clientDisconnected', 'forceDisconnected', 'networkDisconnected'),
  }),
  streamCreated: part({
    stream: StreamInfo,
  }),
  streamDestroyed: part({
    streamId: id(),
    reason: word('clientDisconnected', 'forceDisconnected', 'forceUnpublished', 'mediaStopped', 'networkDisconnected'),
  }),
  streamPropertyChanged: part({
    streamId: id(),
    hasAudio: opt(flag().orNull()),
    hasVideo: opt(flag().orNull()),
    videoDimensions: opt(Dimensions.orNull()),
    hasCaptions: opt(flag().orNull()),
  }),
  archiveStarted: part({
    id: text(undefined, 64),
    name: text(),
  }),
  archiveStopped: part({
    id: text(undefined, 64),
    name: text(),
  }),
  captionReceived: part({
    streamId: id(),
    caption: text(undefined, 1000),
    isFinal: flag(),
  }),
  signalReceived: part({
    from: opt(id().orNull()),
    type: opt(text().orNull()),
    data: opt(text().orNull()),
    encrypted: opt(bytes().orNull()),
  }),
  muteForced: part({
    active: flag(),
    streamId: opt(id().orNull()),
  }),
  notEncrypted: part({
    streamId: id(),
    mid: id(),
    packets: whole(0),
  }),
  streamStateChanged: part({
    subscriberId: id(),
    state: word('limited', 'ok', 'paused'),
  }),
  subscribedLayersChanged: part({
    streamId: id(),
    mid: id(),
    subscribed: flag(),
    rids: list(text()),
  }),
  hintAnnounced: part({
    connectionId: id(),
    hint: whole(0, 65535),
  }),
  transportLost: part({
    direction: word('downlink', 'uplink'),
  }),
  disconnected: part({
    reason: word('clientDisconnected', 'forceDisconnected', 'networkDisconnected', 'serverShutdown'),
  }),
  pong: part({
    re: whole(0, 2147483647),
  }),
};

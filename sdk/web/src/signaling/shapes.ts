// Generated from signaling/protocol by `make docs`; edit that.
import type { ServerMessage } from './messages';
import { any, bytes, flag, list, map, number, opt, part, text, whole, word } from './shape';
import type { Part } from './shape';

const Dimensions = part({
  width: whole(0, 16384),
  height: whole(0, 16384),
});

const ConnectionInfo = part({
  connectionId: text(),
  creationTime: whole(),
  data: opt(text()),
});

const SessionInfo = part({
  sessionId: text(),
  e2ee: opt(any()),
  mediaMode: opt(any()),
});

const Capabilities = part({
  publish: whole(),
  subscribe: whole(),
  signal: whole(),
  forceUnpublish: whole(),
  forceDisconnect: whole(),
  forceMute: whole(),
});

const StreamInfo = part({
  streamId: text(),
  connectionId: text(),
  creationTime: whole(),
  name: opt(text()),
  hasAudio: opt(flag()),
  hasVideo: opt(flag()),
  videoType: opt(word('camera', 'custom', 'screen').orNull()),
  videoDimensions: opt(Dimensions.orNull()),
  frameRate: opt(number().orNull()),
  codecs: opt(map(word('audio', 'video'), word('av1', 'h264', 'opus', 'vp8', 'vp9'))),
});

const IceServer = part({
  urls: list(text()),
  username: opt(text().orNull()),
  credential: opt(text().orNull()),
});

const TrackInfo = part({
  mid: text(),
  kind: word('audio', 'video'),
  codec: word('av1', 'h264', 'opus', 'vp8', 'vp9'),
});

const DownlinkTrack = part({
  mid: text(),
  kind: word('audio', 'video'),
  codec: word('av1', 'h264', 'opus', 'vp8', 'vp9'),
  subscriberId: text(),
  streamId: text(),
});

export const SERVER_SHAPES: { [T in ServerMessage['t']]: Part } = {
  ok: part({
    re: whole(0, 2147483647),
  }),
  error: part({
    code: text(undefined, 64),
    name: text(undefined, 64),
    number: whole(),
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
    keepAliveMs: whole(),
    graceMs: whole(),
    iceServers: opt(list(IceServer)),
    hints: opt(map(text(), whole(0, 65535))),
    muteForced: opt(flag()),
    lastRequest: opt(whole(0, 2147483647).orNull()),
  }),
  published: part({
    re: whole(0, 2147483647),
    streamId: text(),
    answer: text(),
    tracks: list(TrackInfo),
  }),
  subscribed: part({
    re: whole(0, 2147483647),
    subscriberId: text(),
    streamId: text(),
  }),
  downlinkOffer: part({
    offerId: whole(),
    sdp: text(),
    tracks: list(DownlinkTrack),
  }),
  iceRestarted: part({
    re: whole(0, 2147483647),
    answer: text(),
  }),
  activeSpeaker: part({
    streamId: text(),
  }),
  subscriberConnected: part({
    subscriberId: text(),
  }),
  peerSubscribed: part({
    subscriberId: text(),
    streamId: text(),
    connectionId: text(),
    audio: flag(),
    video: flag(),
  }),
  peerUnsubscribed: part({
    subscriberId: text(),
  }),
  peerDescriptionReceived: part({
    subscriberId: text(),
    type: word('answer', 'offer'),
    sdp: text(),
  }),
  peerCandidateReceived: part({
    subscriberId: text(),
    candidate: text(),
    mid: text(),
  }),
  connectionCreated: part({
    connection: ConnectionInfo,
  }),
  connectionDestroyed: part({
    connectionId: text(),
    reason: word('clientDisconnected', 'forceDisconnected', 'networkDisconnected'),
  }),
  streamCreated: part({
    stream: StreamInfo,
  }),
  streamDestroyed: part({
    streamId: text(),
    reason: word('clientDisconnected', 'forceDisconnected', 'forceUnpublished', 'mediaStopped', 'networkDisconnected'),
  }),
  streamPropertyChanged: part({
    streamId: text(),
    hasAudio: opt(flag().orNull()),
    hasVideo: opt(flag().orNull()),
    videoDimensions: opt(Dimensions.orNull()),
  }),
  signalReceived: part({
    from: opt(text().orNull()),
    type: opt(text().orNull()),
    data: opt(text().orNull()),
    encrypted: opt(bytes().orNull()),
  }),
  muteForced: part({
    active: flag(),
    streamId: opt(text().orNull()),
  }),
  notEncrypted: part({
    streamId: text(),
    mid: text(),
    packets: whole(),
  }),
  streamStateChanged: part({
    subscriberId: text(),
    state: word('limited', 'ok', 'paused'),
  }),
  subscribedLayersChanged: part({
    streamId: text(),
    mid: text(),
    subscribed: flag(),
    rids: list(text()),
  }),
  hintAnnounced: part({
    connectionId: text(),
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

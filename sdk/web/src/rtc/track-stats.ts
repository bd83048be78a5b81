/** From WebRTC's statistics to the shapes of OpenTok.js. Pure. */
import {
  degradationSource,
  transportStats,
  unknownTransport,
  withStreamState,
} from '../quality/network';
import { Rates } from '../quality/rates';
import { numberIn, type Row, type Rows, select, sum } from './stats';
import type {
  IncomingTrackStats,
  OutgoingTrackStats,
  PublisherStats,
  SenderStats,
  SubscriberStats,
  SubscriberVideoStats,
  TransportStats,
  VideoLayerStats,
  VideoQualityReason,
} from './stats-shapes';

/** What no row says. */
interface Reception {
  /** Differences since the reading before; their owner takes the rows first. */
  readonly rates?: Rates;
  readonly streamState?: 'ok' | 'limited' | 'paused';
  /** The last report of the publisher. */
  readonly remote?: RemoteSender | undefined;
}

/** What a publisher reports of itself. */
export interface RemoteSender {
  readonly senderStats: SenderStats;
  readonly transport: TransportStats;
}

export function subscriberStats(
  rows: Rows,
  nowMs: number,
  { rates = new Rates(), streamState = 'ok', remote }: Reception = {},
): SubscriberStats {
  const audio = select(rows, 'inbound-rtp', 'audio');
  const video = select(rows, 'inbound-rtp', 'video');
  const transport = withStreamState(receivingTransport(rows, rates), streamState);
  const remotePublisherTransport = remote?.transport ?? unknownTransport();
  return {
    timestamp: [...video, ...audio][0]?.timestamp ?? nowMs,
    audio: received(audio),
    video: receivedVideo(rows, video, rates),
    mediaLink: {
      transport,
      remotePublisherTransport,
      networkDegradationSource: degradationSource(transport, remotePublisherTransport),
    },
    ...(remote ? { senderStats: { ...remote.senderStats } } : {}),
  };
}

function received(rows: Rows): IncomingTrackStats {
  return {
    bytesReceived: sum(rows, 'bytesReceived'),
    packetsReceived: sum(rows, 'packetsReceived'),
    packetsLost: sum(rows, 'packetsLost'),
  };
}

function receivedVideo(rows: Rows, video: Rows, rates: Rates): SubscriberVideoStats {
  const [first] = video;
  const bitrate = bitsPerSecond(rates, video, 'bytesReceived');
  return {
    ...received(video),
    codec: codecOf(rows, first),
    width: numberIn(first, 'frameWidth'),
    height: numberIn(first, 'frameHeight'),
    bitrate,
    totalBitrate: bitrate + bitsPerSecond(rates, video, 'headerBytesReceived'),
    frameRate: Math.round(rates.perSecond(video, 'framesReceived')) || perSecondOf(first),
    decodedFrameRate: perSecondOf(first),
    framesDecoded: sum(video, 'framesDecoded'),
    pauseCount: sum(video, 'pauseCount'),
    totalPausesDuration: sum(video, 'totalPausesDuration'),
    freezeCount: sum(video, 'freezeCount'),
    totalFreezesDuration: sum(video, 'totalFreezesDuration'),
  };
}

function receivingTransport(rows: Rows, rates: Rates): TransportStats {
  const inbound = rows.filter(({ type }) => type === 'inbound-rtp');
  const lost = rates.sum(inbound, 'packetsLost');
  const all = lost + rates.sum(inbound, 'packetsReceived');
  return transportStats({
    estimateBps:
      numberIn(activePair(rows), 'availableIncomingBitrate') ||
      bitsPerSecond(rates, inbound, 'bytesReceived'),
    wantedBps: 0,
    loss: all > 0 ? lost / all : undefined,
  });
}

interface Sending {
  /** Differences since the reading before; their owner takes the rows first. */
  readonly rates?: Rates;
  /** bit/s that the encoders may use together; 0: not known. */
  readonly wantedBps?: number;
}

export function publisherStats(
  rows: Rows,
  nowMs: number,
  { rates = new Rates(), wantedBps = 0 }: Sending = {},
): PublisherStats {
  const video = select(rows, 'outbound-rtp', 'video');
  const bySize = [...video].sort((a, b) => numberIn(a, 'frameWidth') - numberIn(b, 'frameWidth'));
  const largest = bySize.at(-1);
  const transport = sendingTransport(rows, rates, wantedBps);
  return {
    timestamp: video[0]?.timestamp ?? nowMs,
    audio: sent(rows, 'audio'),
    video: {
      ...sent(rows, 'video'),
      frameRate: perSecondOf(largest),
      framesSent: sum(video, 'framesSent'),
      width: numberIn(largest, 'frameWidth'),
      height: numberIn(largest, 'frameHeight'),
      layers: bySize.map((row) => layerOf(rows, row, rates)),
    },
    mediaLink: { transport },
    transportStats: transport,
  };
}

function sent(rows: Rows, kind: string): OutgoingTrackStats {
  const outbound = select(rows, 'outbound-rtp', kind);
  return {
    bytesSent: sum(outbound, 'bytesSent'),
    packetsSent: sum(outbound, 'packetsSent'),
    packetsLost: sum(select(rows, 'remote-inbound-rtp', kind), 'packetsLost'),
  };
}

function layerOf(rows: Rows, row: Row, rates: Rates): VideoLayerStats {
  const scalabilityMode = row['scalabilityMode'];
  const limitation = row['qualityLimitationReason'];
  const total = bitsPerSecond(rates, [row], 'bytesSent');
  return {
    codec: codecOf(rows, row),
    width: numberIn(row, 'frameWidth'),
    height: numberIn(row, 'frameHeight'),
    encodedFrameRate: perSecondOf(row),
    bitrate: Math.max(0, total - bitsPerSecond(rates, [row], 'retransmittedBytesSent')),
    totalBitrate: total + bitsPerSecond(rates, [row], 'headerBytesSent'),
    ...(typeof scalabilityMode === 'string' ? { scalabilityMode } : {}),
    ...(typeof limitation === 'string'
      ? { qualityLimitationReason: limitation as VideoQualityReason }
      : {}),
  };
}

function sendingTransport(rows: Rows, rates: Rates, wantedBps: number): TransportStats {
  return transportStats({
    estimateBps: numberIn(activePair(rows), 'availableOutgoingBitrate'),
    wantedBps,
    loss: lossOfSent(rows, rates),
  });
}

/** Share of what was sent since the reading before; `undefined`: nothing was. */
export function lossOfSent(rows: Rows, rates: Rates): number | undefined {
  const sentPackets = rates.sum(
    rows.filter(({ type }) => type === 'outbound-rtp'),
    'packetsSent',
  );
  if (sentPackets === 0) return undefined;
  const reported = rows.filter(({ type }) => type === 'remote-inbound-rtp');
  return Math.min(1, rates.sum(reported, 'packetsLost') / sentPackets);
}

/** The pair that media takes; several when tracks were asked one by one, all the same. */
function activePair(rows: Rows): Row | undefined {
  const pairs = rows.filter(({ type }) => type === 'candidate-pair');
  const chosen = rows.find(({ type }) => type === 'transport')?.['selectedCandidatePairId'];
  return pairs.find(({ id }) => id === chosen) ?? pairs.find((row) => row['nominated'] === true);
}

/** Round trip of the way that media takes; 0: not known. */
export function roundTripMs(rows: Rows): number {
  return 1_000 * numberIn(activePair(rows), 'currentRoundTripTime');
}

function bitsPerSecond(rates: Rates, rows: Rows, member: string): number {
  return Math.round(8 * rates.perSecond(rows, member));
}

function perSecondOf(row: Row | undefined): number {
  return numberIn(row, 'framesPerSecond');
}

function codecOf(rows: Rows, row: Row | undefined): string {
  const codec = rows.find(({ id }) => id === row?.['codecId'])?.['mimeType'];
  return typeof codec === 'string' ? (codec.split('/')[1] ?? '') : '';
}

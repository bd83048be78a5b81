/** From WebRTC's statistics to the shapes of OpenTok.js. Pure. */

export interface MediaStats {
  bytesReceived: number;
  packetsReceived: number;
  packetsLost: number;
}

export interface SubscriberStats {
  /** Unix milliseconds. */
  timestamp: number;
  audio: MediaStats;
  video: MediaStats & {
    frameRate: number;
    decodedFrameRate: number;
    width: number;
    height: number;
    framesDecoded: number;
    freezeCount: number;
    codec: string | undefined;
  };
}

export interface SentStats {
  bytesSent: number;
  packetsSent: number;
  packetsLost: number;
}

export interface PublisherStats {
  /** Unix milliseconds. */
  timestamp: number;
  audio: SentStats;
  video: SentStats & { frameRate: number; framesSent: number; width: number; height: number };
}

interface Row {
  readonly id: string;
  readonly type: string;
  readonly kind?: string;
  readonly timestamp: number;
  readonly [member: string]: unknown;
}

export type Rows = readonly Row[];

export function rowsOf(reports: readonly (RTCStatsReport | undefined)[]): Rows {
  const rows: Row[] = [];
  for (const report of reports) report?.forEach((row: Row) => rows.push(row));
  return rows;
}

function sum(rows: Rows, member: string): number {
  return rows.reduce((total, row) => total + numberIn(row, member), 0);
}

function numberIn(row: Row | undefined, member: string): number {
  const value = row?.[member];
  return typeof value === 'number' ? value : 0;
}

function select(rows: Rows, type: string, kind: string): Rows {
  return rows.filter((row) => row.type === type && row.kind === kind);
}

export function subscriberStats(rows: Rows, nowMs: number): SubscriberStats {
  const [audio, video] = [
    select(rows, 'inbound-rtp', 'audio'),
    select(rows, 'inbound-rtp', 'video'),
  ];
  const [first] = video;
  const codec = rows.find((row) => row.id === first?.['codecId'])?.['mimeType'];
  return {
    timestamp: first?.timestamp ?? audio[0]?.timestamp ?? nowMs,
    audio: received(audio),
    video: {
      ...received(video),
      frameRate: numberIn(first, 'framesPerSecond'),
      decodedFrameRate: numberIn(first, 'framesPerSecond'),
      width: numberIn(first, 'frameWidth'),
      height: numberIn(first, 'frameHeight'),
      framesDecoded: sum(video, 'framesDecoded'),
      freezeCount: sum(video, 'freezeCount'),
      codec: typeof codec === 'string' ? codec.split('/')[1] : undefined,
    },
  };
}

function received(rows: Rows): MediaStats {
  return {
    bytesReceived: sum(rows, 'bytesReceived'),
    packetsReceived: sum(rows, 'packetsReceived'),
    packetsLost: sum(rows, 'packetsLost'),
  };
}

export function publisherStats(rows: Rows, nowMs: number): PublisherStats {
  const video = select(rows, 'outbound-rtp', 'video');
  const largest = [...video].sort(
    (a, b) => numberIn(b, 'frameWidth') - numberIn(a, 'frameWidth'),
  )[0];
  return {
    timestamp: video[0]?.timestamp ?? nowMs,
    audio: sent(rows, 'audio'),
    video: {
      ...sent(rows, 'video'),
      frameRate: numberIn(largest, 'framesPerSecond'),
      framesSent: sum(video, 'framesSent'),
      width: numberIn(largest, 'frameWidth'),
      height: numberIn(largest, 'frameHeight'),
    },
  };
}

function sent(rows: Rows, kind: string): SentStats {
  const outbound = select(rows, 'outbound-rtp', kind);
  return {
    bytesSent: sum(outbound, 'bytesSent'),
    packetsSent: sum(outbound, 'packetsSent'),
    packetsLost: sum(select(rows, 'remote-inbound-rtp', kind), 'packetsLost'),
  };
}

/** Frames that left a sender: for audio one packet is one frame. */
export function framesSent(rows: Rows, kind: 'audio' | 'video'): number {
  const outbound = select(rows, 'outbound-rtp', kind);
  return kind === 'video'
    ? sum(outbound, 'framesSent')
    : sum(outbound, 'packetsSent') - sum(outbound, 'retransmittedPacketsSent');
}

/** Bytes of the frames that left an audio sender: packets of padding alone have none. */
export function audioBytesSent(rows: Rows): number {
  const outbound = select(rows, 'outbound-rtp', 'audio');
  return sum(outbound, 'bytesSent') - sum(outbound, 'retransmittedBytesSent');
}

/** Frames that a receiver took in: for audio one packet is one frame. */
export function framesReceived(rows: Rows, kind: 'audio' | 'video'): number {
  const inbound = select(rows, 'inbound-rtp', kind);
  return kind === 'video' ? sum(inbound, 'framesReceived') : sum(inbound, 'packetsReceived');
}

/** RTP that belongs to no track: Chromium decodes it, and mixes it into what is heard. */
export function isStray(row: Row): boolean {
  return row.type === 'inbound-rtp' && row['trackIdentifier'] === '';
}

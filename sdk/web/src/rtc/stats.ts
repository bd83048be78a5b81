/** From WebRTC's statistics to the shapes of OpenTok.js. Pure. */

/** Totals of one received track since its start. */
export interface MediaStats {
  bytesReceived: number;
  packetsReceived: number;
  packetsLost: number;
}

/** Result of `Subscriber.getStats`. */
export interface SubscriberStats {
  /** Unix milliseconds. */
  timestamp: number;
  /** Audio received. */
  audio: MediaStats;
  /** Video received; sizes in pixels, rates in frames per second. */
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

/** Totals of one sent track since its start. */
export interface SentStats {
  bytesSent: number;
  packetsSent: number;
  packetsLost: number;
}

/** Result of one connection in `Publisher.getStats`. */
export interface PublisherStats {
  /** Unix milliseconds. */
  timestamp: number;
  /** Audio sent. */
  audio: SentStats;
  /** Video sent; sizes in pixels, rate in frames per second. */
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

type Amounts = Map<unknown, number>;

/** What left a sender, by SSRC: frames of video; bytes of audio, without padding. */
export function amountsSent(rows: Rows, kind: 'audio' | 'video'): Amounts {
  return amounts(rows, 'outbound-rtp', kind, (row) =>
    kind === 'video'
      ? numberIn(row, 'framesSent')
      : numberIn(row, 'bytesSent') - numberIn(row, 'retransmittedBytesSent'),
  );
}

/** What a receiver took in, by SSRC: decoded frames of video; bytes of audio, without padding. */
export function amountsReceived(rows: Rows, kind: 'audio' | 'video'): Amounts {
  const member = kind === 'video' ? 'framesDecoded' : 'bytesReceived';
  return amounts(rows, 'inbound-rtp', kind, (row) => numberIn(row, member));
}

function amounts(rows: Rows, type: string, kind: string, read: (row: Row) => number): Amounts {
  return new Map(select(rows, type, kind).map((row) => [row['ssrc'] ?? row.id, read(row)]));
}

/** RTP that belongs to no track: Chromium decodes it, and mixes it into the audio that plays. */
export function isStray(row: Row): boolean {
  return row.type === 'inbound-rtp' && row['trackIdentifier'] === '';
}

interface Line {
  readonly mid: string | null;
}

/**
 * The rows of each m-line, out of the rows of its whole connection. A browser that does not say in
 * them which m-line is meant is asked for each sender or receiver.
 */
export async function rowsByLine<Of extends Line>(
  rows: Rows,
  type: 'inbound-rtp' | 'outbound-rtp',
  lines: readonly Of[],
  sideOf: (line: Of) => Pick<RTCRtpSender | RTCRtpReceiver, 'getStats'>,
): Promise<{ line: Of; rows: Rows }[]> {
  const rtp = rows.filter((row) => row.type === type);
  if (rtp.every((row) => typeof row['mid'] === 'string')) {
    return lines.map((line) => ({ line, rows: rtp.filter((row) => row['mid'] === line.mid) }));
  }
  return Promise.all(
    lines.map(async (line) => ({ line, rows: rowsOf([await sideOf(line).getStats()]) })),
  );
}

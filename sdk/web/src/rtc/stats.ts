/** WebRTC's statistics as rows, and what is read out of them. Pure. */

export interface Row {
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

export function sum(rows: Rows, member: string): number {
  return rows.reduce((total, row) => total + numberIn(row, member), 0);
}

export function numberIn(row: Row | undefined, member: string): number {
  const value = row?.[member];
  return typeof value === 'number' ? value : 0;
}

export function select(rows: Rows, type: string, kind: string): Rows {
  return rows.filter((row) => row.type === type && row.kind === kind);
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

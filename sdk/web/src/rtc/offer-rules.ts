/**
 * What a downlink offer of an encrypted session must be like (e2ee/2, sections 7 and 10), and a
 * peer's of a relayed one. The server writes it, so nothing in it is believed: an offer that says more than "this media comes
 * over these lines" is refused whole, before any of it is applied. Pure.
 */
import { MAX_M_LINES } from '../rules';
import type { DownlinkTrack } from '../signaling/messages';

/** Lines that no offer of a server needs, and that make browsers do other things than receive. */
const FORBIDDEN = /^a=(?:rid|simulcast|sctp-port|sctpmap|crypto|ssrc-group:SIM)\b/;

const CODEC = /^a=rtpmap:\d+ ([^/\s]+)/;

const MODE = /^a=(?:sendrecv|sendonly|recvonly|inactive)\b/;

/** Whether media of the codec can be played; names as in `a=rtpmap`, in lower case. */
export type CanDecode = (kind: string, name: string) => boolean;

interface Line {
  readonly mid: string;
  readonly kind: string;
  readonly isRejected: boolean;
  readonly isSending: boolean;
  /** Those that are named. */
  readonly codecs: readonly string[];
}

/** The m-lines of one peer connection. They keep their place, mid and kind for its whole life. */
export class OfferRules {
  private lines: readonly Line[] = [];

  constructor(private readonly canDecode: CanDecode) {}

  /** Why the offer is refused; `undefined`: it may be applied. */
  refusal(
    sdp: string,
    tracks: readonly DownlinkTrack[],
    streamOf: (subscriberId: string) => string | undefined,
  ): string | undefined {
    const lines = linesOf(sdp);
    return typeof lines === 'string' ? lines : this.faultIn(lines, tracks, streamOf);
  }

  /** Of an offer that another client makes in a relayed session: it sends one stream. */
  peerRefusal(sdp: string): string | undefined {
    const lines = linesOf(sdp);
    if (typeof lines === 'string') return lines;
    const fault = this.faultIn(lines, [], () => undefined);
    if (fault !== undefined) return fault;
    const kinds = new Set(lines.map(({ kind }) => kind));
    return kinds.size === lines.length ? undefined : 'it has two m-lines of a kind';
  }

  /** An offer that is not refused, and is about to be applied. */
  remember(sdp: string): void {
    const lines = linesOf(sdp);
    if (typeof lines !== 'string') this.lines = lines;
  }

  private faultIn(
    lines: readonly Line[],
    tracks: readonly DownlinkTrack[],
    streamOf: (subscriberId: string) => string | undefined,
  ): string | undefined {
    if (new Set(lines.map(({ mid }) => mid)).size !== lines.length) return 'a mid comes twice';
    if (this.lines.some((line, index) => !isSame(line, lines[index]))) {
      return 'an m-line became another one';
    }
    // It would stay black, and the browser would not say why.
    if (lines.some((line) => !this.isPlayable(line))) {
      return 'an m-line has no codec that can be decoded';
    }
    if (areRepeated(tracks)) return 'a subscriber or an m-line has two tracks';
    for (const track of tracks) {
      const line = lines.find(({ mid }) => mid === track.mid);
      const fault = faultInTrack(track, line, streamOf(track.subscriberId));
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  private isPlayable({ kind, codecs, isRejected, isSending }: Line): boolean {
    if (isRejected || !isSending || codecs.length === 0) return true;
    return codecs.some((name) => this.canDecode(kind, name));
  }
}

function faultInTrack(
  { kind, streamId }: DownlinkTrack,
  line: Line | undefined,
  wantedStream: string | undefined,
): string | undefined {
  if (line?.kind !== kind || line.isRejected) return 'a track is on no m-line of its kind';
  // It would stay black without an error.
  if (!line.isSending) return 'a track is on an m-line that does not send';
  if ((wantedStream ?? streamId) !== streamId) {
    return 'a subscriber is offered a stream that it did not ask for';
  }
  return undefined;
}

function areRepeated(tracks: readonly DownlinkTrack[]): boolean {
  const places = new Set(tracks.map(({ mid }) => mid));
  const users = new Set(tracks.map(({ kind, subscriberId }) => `${kind} ${subscriberId}`));
  return places.size !== tracks.length || users.size !== tracks.length;
}

/** A rejected line does not come back: its receiver would be another one under the same mid. */
function isSame(before: Line, now: Line | undefined): boolean {
  if (now?.mid !== before.mid || now.kind !== before.kind) return false;
  return now.isRejected || !before.isRejected;
}

/** The m-lines as the browser reads them, or what is wrong with them. */
function linesOf(sdp: string): readonly Line[] | string {
  if (/\r(?!\n)/.test(sdp)) return 'its lines end in different ways';
  const sections: string[][] = [];
  for (const line of sdp.split(/\r?\n/)) {
    if (FORBIDDEN.test(line)) return `it has the line ${line.split(/[ :]/, 1)[0] ?? ''}`;
    if (line.startsWith('m=')) sections.push([]);
    sections.at(-1)?.push(line);
  }
  if (sections.length > MAX_M_LINES) return `it has more than ${MAX_M_LINES} m-lines`;
  const lines: Line[] = [];
  for (const section of sections) {
    const line = lineOf(section);
    if (typeof line === 'string') return line;
    lines.push(line);
  }
  return lines;
}

function lineOf(section: readonly string[]): Line | string {
  const [, kind, port] = /^m=(audio|video) (\d+) /.exec(section[0] ?? '') ?? [];
  if (kind === undefined) return 'an m-line is neither audio nor video';
  const [mid, ...otherMids] = section.filter((line) => line.startsWith('a=mid:'));
  if (mid === undefined || otherMids.length > 0) return 'an m-line has not exactly one mid';
  const [mode, ...otherModes] = section.filter((line) => MODE.test(line));
  const onlySends = otherModes.length === 0 && (mode === 'a=sendonly' || mode === 'a=inactive');
  if (!onlySends) return 'an m-line does more than send';
  const isRejected = port === '0' && !section.includes('a=bundle-only');
  const isSending = mode === 'a=sendonly';
  const codecs = section.flatMap((line) => CODEC.exec(line)?.[1]?.toLowerCase() ?? []);
  return { mid: mid.slice('a=mid:'.length).trim(), kind, isRejected, isSending, codecs };
}

/** Which codecs are negotiated, and in which order. */

type Kind = 'audio' | 'video';
/** What `preferredVideoCodecs` names. */
export type VideoCodecName = 'vp8' | 'vp9' | 'h264' | 'av1';

interface Codec {
  readonly mimeType: string;
  readonly sdpFmtpLine?: string;
}

const VIDEO_ORDER: readonly VideoCodecName[] = ['vp8', 'vp9', 'h264', 'av1'];

/**
 * Opus, or the video codecs in the preferred order, with RTX. RED, FEC, comfort noise,
 * telephone-event and G.7xx are left out: they cannot be encrypted (e2ee/2 section 4).
 */
export function codecPreferences<Entry extends Codec>(
  kind: Kind,
  available: readonly Entry[],
  preferred: readonly VideoCodecName[] = [],
): Entry[] {
  if (kind === 'audio') return available.filter((codec) => nameOf(codec) === 'opus');
  const order = [...preferred, ...VIDEO_ORDER.filter((name) => !preferred.includes(name))];
  const media = order.flatMap((name) =>
    available.filter((codec) => nameOf(codec) === name && isUsable(codec)),
  );
  return media.length === 0
    ? []
    : [...media, ...available.filter((codec) => nameOf(codec) === 'rtx')];
}

/** H.264 without packetization-mode 1 cannot carry an encrypted frame larger than a packet. */
function isUsable(codec: Codec): boolean {
  return nameOf(codec) !== 'h264' || /packetization-mode=1/.test(codec.sdpFmtpLine ?? '');
}

export function nameOf(codec: Codec): string {
  return codec.mimeType.split('/')[1]?.toLowerCase() ?? '';
}

const CLIENT_CODECS = ['opus', 'vp8', 'vp9', 'h264', 'av1'] as const;
type ClientCodec = (typeof CLIENT_CODECS)[number];

/** What this browser can decode, for the greeting. */
export function decodableCodecs(): ClientCodec[] {
  const names = (['audio', 'video'] as const).flatMap((kind) =>
    (RTCRtpReceiver.getCapabilities(kind)?.codecs ?? []).map(nameOf),
  );
  return CLIENT_CODECS.filter((name) => names.includes(name));
}

/** They carry no media of their own. */
const REPAIRS = ['rtx', 'red', 'ulpfec', 'flexfec-03'];

/** Whether this browser plays media of the codec, encrypted or not. */
export function canDecode(kind: string, name: string): boolean {
  const { codecs } = RTCRtpReceiver.getCapabilities(kind) ?? { codecs: [] };
  return !REPAIRS.includes(name) && codecs.some((codec) => nameOf(codec) === name);
}

export function applyPreferences(
  transceiver: RTCRtpTransceiver,
  kind: Kind,
  preferred: readonly VideoCodecName[] = [],
): void {
  const capabilities = RTCRtpSender.getCapabilities(kind) ?? RTCRtpReceiver.getCapabilities(kind);
  const codecs = codecPreferences(kind, capabilities?.codecs ?? [], preferred);
  if (codecs.length > 0) transceiver.setCodecPreferences(codecs);
}

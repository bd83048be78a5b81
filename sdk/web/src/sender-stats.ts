/** What publishers report of their way to the server, from client to client, as signals of a reserved type. */
import type { SessionEncryption } from './e2ee/session-encryption';
import type { RequestMessage } from './signaling/channel';
import type { NetworkCondition, NetworkConditionReason } from './rtc/stats-shapes';
import type { RemoteSender } from './rtc/track-stats';
import { SENDER_STATS_SIGNAL } from './rules';

const CONDITIONS: Readonly<Record<NetworkCondition, true>> = {
  ...{ unknown: true, critical: true, warning: true },
  ...{ fair: true, good: true, excellent: true },
};
const REASONS: Readonly<Record<NetworkConditionReason, true>> = {
  ...{ none: true, unknown: true, bandwidth: true, packetLoss: true },
};

interface StreamSender {
  readonly streamId: string;
  readonly sender: RemoteSender;
}

/** The signal's data: short names, for it goes to everybody every two seconds. */
export function encodeSenderStats({ streamId, sender }: StreamSender): string {
  const { senderStats, transport } = sender;
  return JSON.stringify({
    s: streamId,
    m: senderStats.connectionMaxAllocatedBitrate,
    b: senderStats.connectionEstimatedBandwidth,
    c: transport.networkCondition,
    r: transport.networkConditionReason,
  });
}

/** `undefined`: another member sent something else under that type; nothing of it is believed. */
export function decodeSenderStats(data: string): StreamSender | undefined {
  const members = parsed(data);
  const { s: streamId, m, b, c, r } = members;
  if (typeof streamId !== 'string' || !isRate(m) || !isRate(b)) return undefined;
  if (!isNameOf(c, CONDITIONS) || !isNameOf(r, REASONS)) return undefined;
  return {
    streamId,
    sender: {
      senderStats: { connectionMaxAllocatedBitrate: m, connectionEstimatedBandwidth: b },
      transport: {
        connectionEstimatedBandwidth: b,
        networkCondition: c,
        networkConditionReason: r,
      },
    },
  };
}

function parsed(data: string): Readonly<Record<string, unknown>> {
  try {
    return { ...(JSON.parse(data) as object | null) };
  } catch {
    return {};
  }
}

function isRate(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isNameOf<Name extends string>(
  value: unknown,
  names: Readonly<Record<Name, true>>,
): value is Name {
  return typeof value === 'string' && Object.hasOwn(names, value);
}

/** The message that carries it, encrypted where signals are. */
export async function senderStatsMessage(
  reported: StreamSender,
  encryption: SessionEncryption | undefined,
): Promise<RequestMessage> {
  const data = encodeSenderStats(reported);
  if (!encryption) return { t: 'signal', type: SENDER_STATS_SIGNAL, data };
  return { t: 'signal', encrypted: await encryption.encryptSignal('', SENDER_STATS_SIGNAL, data) };
}

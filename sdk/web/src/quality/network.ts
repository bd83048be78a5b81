/** How good a way to or from the server is, from what browsers measure on it. Pure. */
import type {
  NetworkCondition,
  NetworkConditionReason,
  NetworkDegradationSource,
  TransportStats,
} from '../rtc/stats-shapes';

export interface TransportReading {
  /** bit/s that the way carries; 0: not known. */
  readonly estimateBps: number;
  /** bit/s that the encoders would use; 0: not known. */
  readonly wantedBps: number;
  /** Share of the packets since the last reading, 0 to 1; `undefined`: none were due. */
  readonly loss: number | undefined;
}

/** Best first. */
const GRADES: readonly NetworkCondition[] = ['excellent', 'good', 'fair', 'warning', 'critical'];

/**
 * From each share of lost packets on, the grade is one worse. Opus and retransmission hide 2 %;
 * from 5 % on video freezes now and then, from 10 % on words are lost, at 20 % sentences.
 */
const LOSSES = [0.02, 0.05, 0.1, 0.2];

/** Below each share of the wanted bit rate, the grade is one worse: layers are left out. */
const SHARES = [0.9, 0.6, 0.3, 0.1];

export function transportStats({ estimateBps, wantedBps, loss }: TransportReading): TransportStats {
  const connectionEstimatedBandwidth = Math.round(estimateBps);
  const hasBandwidth = estimateBps > 0 && wantedBps > 0;
  if (loss === undefined && !hasBandwidth) {
    return { ...unknownTransport(), connectionEstimatedBandwidth };
  }
  const share = estimateBps / wantedBps;
  const byLoss = LOSSES.filter((limit) => (loss ?? 0) >= limit).length;
  const byBandwidth = hasBandwidth ? SHARES.filter((limit) => share < limit).length : 0;
  return {
    connectionEstimatedBandwidth,
    networkCondition: GRADES[Math.max(byLoss, byBandwidth)] ?? 'critical',
    networkConditionReason: reasonOf(byLoss, byBandwidth),
  };
}

export function unknownTransport(): TransportStats {
  return {
    connectionEstimatedBandwidth: 0,
    networkCondition: 'unknown',
    networkConditionReason: 'unknown',
  };
}

function reasonOf(byLoss: number, byBandwidth: number): NetworkConditionReason {
  if (byLoss === 0 && byBandwidth === 0) return 'none';
  return byLoss >= byBandwidth ? 'packetLoss' : 'bandwidth';
}

/** What the server says of the way to this subscriber: it alone knows what it leaves out. */
const STATES: Readonly<Record<'limited' | 'paused', NetworkCondition>> = {
  limited: 'warning',
  paused: 'critical',
};

/** The worse of what is measured and what the server says. */
export function withStreamState(
  transport: TransportStats,
  state: 'ok' | 'limited' | 'paused',
): TransportStats {
  // That nothing is left out says nothing of what is lost.
  if (state === 'ok') return transport;
  const reported = STATES[state];
  if (GRADES.indexOf(reported) <= GRADES.indexOf(transport.networkCondition)) return transport;
  return { ...transport, networkCondition: reported, networkConditionReason: 'bandwidth' };
}

/** Which of the two ways is to blame; a way that nobody knows of may be. */
export function degradationSource(
  local: TransportStats,
  remote: TransportStats,
): NetworkDegradationSource {
  const isBad = ({ networkCondition }: TransportStats): boolean =>
    GRADES.indexOf(networkCondition) >= GRADES.indexOf('fair');
  if (!isBad(local)) return isBad(remote) ? 'remote' : 'none';
  return isBad(remote) || remote.networkCondition === 'unknown' ? 'bothOrUnclear' : 'local';
}

/** Which STUN and TURN servers peer connections use. Pure. */
import type { IceServer } from '../signaling/messages';
import type { PeerSettings } from './peer-connection';

/** STUN and TURN servers, and which candidates are used. */
export interface IceConfig {
  /** `custom` leaves out the servers that Sealroute offers; the default is `all`. */
  includeServers?: 'all' | 'custom';
  /** `relay` uses TURN only; the default is `all`. */
  transportPolicy?: 'all' | 'relay';
  /** Servers of the application, as in `RTCConfiguration.iceServers`. */
  customServers?: { urls: string | string[]; username?: string; credential?: string }[];
}

/** `offered`: the server's own, left out when the application wants only its custom ones. */
export function iceSettings(
  config: IceConfig | undefined,
  offered: readonly IceServer[],
): Omit<PeerSettings, 'isEncrypted'> {
  const ours = config?.includeServers === 'custom' ? [] : offered;
  return {
    iceServers: [
      ...ours.map(({ urls, username, credential }) => ({
        urls: [...urls],
        ...(username ? { username } : {}),
        ...(credential ? { credential } : {}),
      })),
      ...(config?.customServers ?? []),
    ],
    iceTransportPolicy: config?.transportPolicy ?? 'all',
  };
}

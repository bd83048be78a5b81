/** Which STUN and TURN servers peer connections use. Pure. */
import type { IceServer } from '../signaling/messages';
import type { PeerSettings } from './peer-connection';

export interface IceConfig {
  includeServers?: 'all' | 'custom';
  transportPolicy?: 'all' | 'relay';
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

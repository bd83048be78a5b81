/** How peer connections of this SDK are made. */
import { otError } from '../errors';

export interface PeerSettings {
  readonly iceServers: readonly RTCIceServer[];
  readonly iceTransportPolicy: RTCIceTransportPolicy;
  /** Encrypted sessions: Chromium lets no frame pass before its transform is there (e2ee/2 section 10). */
  readonly isEncrypted: boolean;
}

interface InsertableConfiguration extends RTCConfiguration {
  encodedInsertableStreams?: boolean;
}

export function makePeerConnection(settings: PeerSettings): RTCPeerConnection {
  const configuration: InsertableConfiguration = {
    iceServers: [...settings.iceServers],
    iceTransportPolicy: settings.iceTransportPolicy,
    bundlePolicy: 'max-bundle',
    rtcpMuxPolicy: 'require',
    ...(settings.isEncrypted ? { encodedInsertableStreams: true } : {}),
  };
  try {
    return new RTCPeerConnection(configuration);
  } catch (error) {
    throw otError(
      'OT_CREATE_PEER_CONNECTION_FAILED',
      error instanceof Error ? error.message : 'The peer connection could not be made',
    );
  }
}

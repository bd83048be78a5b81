'use client';

export { OTSession, type OTSessionProps } from './OTSession.js';
export { OTPublisher, type OTPublisherProps, type OTPublisherProperties } from './OTPublisher.js';
export {
  OTSubscriber,
  type OTSubscriberProps,
  type OTSubscriberProperties,
} from './OTSubscriber.js';
export { OTStreams, type OTStreamsProps } from './OTStreams.js';
export { useSession, type SessionState } from './context.js';
export type { SessionEncryptionState } from './ot.js';

export { OTSession, type OTSessionProps } from './OTSession';
export { OTPublisher, type OTPublisherProps, type OTPublisherProperties } from './OTPublisher';
export { OTSubscriber, type OTSubscriberProps, type OTSubscriberProperties } from './OTSubscriber';
export { OTStreams, type OTStreamsProps } from './OTStreams';
export { useSession, type SessionState } from './context';
export type { SessionEncryptionState } from './ot';

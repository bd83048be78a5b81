/** The ES module: the same functions that the script's global `OT` has. */
export * from './ot';
export { OTError } from './errors';
export type { OTEvent } from './events';
export type { Device, OutputDevice } from './media/devices';
export type { PublisherEvents, SessionEvents, SubscriberEvents } from './event-types';
export type { PublisherProperties } from './publisher';
export type { PublisherStats, SubscriberStats } from './rtc/stats';
export type { IceConfig } from './rtc/ice';
export type { SessionOptions } from './session-options';
export type { SubscriberProperties } from './subscriber';

import * as OT from './ot';
export default OT;

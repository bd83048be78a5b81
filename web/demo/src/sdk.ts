/** Types of the SDK, whose script makes the global `OT`. */
export type {
  Connection,
  Publisher,
  Session,
  Stream,
  Subscriber,
  SubscriberProperties,
} from '../../../sdk/web/dist/types/index.js';

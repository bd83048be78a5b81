import type * as SDK from '../../../sdk/web/dist/types/index.js';

declare global {
  /** Of `/sdk/sealroute.js`. */
  const OT: typeof SDK;
}

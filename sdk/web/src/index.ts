/** The ES module: the same functions that the script's global `OT` has. */
export * from './ot';
export type { OTEvent } from './events';

import * as OT from './ot';
export default OT;

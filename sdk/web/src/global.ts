/** The script: defines `OT`, as pages made for OpenTok.js expect it. */
import * as OT from './ot';

Object.assign(globalThis, { OT: { ...OT } });

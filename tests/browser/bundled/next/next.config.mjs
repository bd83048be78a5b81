import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

// The packages are installed beside this folder.
const root = dirname(dirname(fileURLToPath(import.meta.url)));

export default { reactStrictMode: true, outputFileTracingRoot: root, turbopack: { root } };

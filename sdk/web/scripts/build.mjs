// Builds dist/: the script that defines `OT`, the ES module, and the e2ee worker on its own.
import { mkdir, rm, stat } from 'node:fs/promises';
import { build } from 'esbuild';
import { common, inlineWorker } from './esbuild-options.mjs';

await rm('dist', { recursive: true, force: true });
await mkdir('dist');
const released = { ...common, minify: true, sourcemap: true, plugins: [inlineWorker] };
await Promise.all([
  build({
    ...released,
    entryPoints: ['src/global.ts'],
    format: 'iife',
    outfile: 'dist/sealroute.js',
  }),
  build({
    ...released,
    entryPoints: ['src/index.ts'],
    format: 'esm',
    outfile: 'dist/sealroute.mjs',
  }),
  build({
    ...released,
    entryPoints: ['src/e2ee/worker.ts'],
    format: 'iife',
    outfile: 'dist/e2ee-worker.js',
  }),
]);
const { size } = await stat('dist/sealroute.js');
console.log(`dist/sealroute.js ${(size / 1024).toFixed(1)} KiB`);

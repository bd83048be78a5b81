// Builds dist/: the script that defines `OT`, the ES module, and the e2ee worker on its own.
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { common, inlineWorker } from './esbuild-options.mjs';
import { buildFilters } from './filters.mjs';

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
  buildFilters(),
]);

// The minifier takes these comments away: without them bundlers look for the filters themselves.
const bundled = await readFile('dist/sealroute.mjs', 'utf8');
const marked = bundled.replaceAll(
  'import(',
  'import(/* webpackIgnore: true */ /* @vite-ignore */ ',
);
if (marked === bundled) throw new Error('dist/sealroute.mjs loads no filters');
await writeFile('dist/sealroute.mjs', marked);

const { size } = await stat('dist/sealroute.js');
console.log(`dist/sealroute.js ${(size / 1024).toFixed(1)} KiB`);

// Bundles the TypeScript tests of a folder and runs them with Node's own runner.
import { spawnSync } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { build } from 'esbuild';
import { common, inlineWorker } from './esbuild-options.mjs';

const [folder, ...patterns] = process.argv.slice(2);
const entryPoints = (await readdir(folder, { recursive: true }))
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => patterns.length === 0 || patterns.some((part) => name.includes(part)))
  .map((name) => join(folder, name));
await rm('dist-test', { recursive: true, force: true });
await build({
  ...common,
  target: 'node20',
  platform: 'node',
  format: 'esm',
  splitting: true,
  sourcemap: 'inline',
  outdir: 'dist-test',
  outExtension: { '.js': '.mjs' },
  entryPoints,
  plugins: [inlineWorker],
});
const built = (await readdir('dist-test', { recursive: true }))
  .filter((name) => name.endsWith('.test.mjs'))
  .map((name) => join('dist-test', name));
const { status } = spawnSync(
  process.execPath,
  ['--enable-source-maps', '--test', '--test-reporter=spec', '--test-concurrency=2', ...built],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);

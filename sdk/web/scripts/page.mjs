// Bundles the script of a page. Usage: node page.mjs ENTRY OUTPUT
import process from 'node:process';
import { build } from 'esbuild';
import { common } from './esbuild-options.mjs';

const [entry, outfile] = process.argv.slice(2);
await build({
  ...common,
  entryPoints: [entry],
  outfile,
  format: 'esm',
  minify: true,
  charset: 'utf8',
});

// Runs the browser tests: node run.mjs [part of a file name …]
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const parts = process.argv.slice(2);
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.test.mjs'))
  .filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)))
  .map((name) => join(folder, name));
if (files.length === 0) {
  console.error('No browser test has such a name.');
  process.exit(2);
}
// Two files at a time, for they mostly wait: each has browsers and a server of its own.
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-reporter=spec', '--test-concurrency=2', ...files],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);

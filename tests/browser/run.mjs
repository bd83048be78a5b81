// Runs the browser tests: node run.mjs [part of a file name …]
//
// A call between real browsers takes real time and shares two cores with the file beside it, so it
// can fail for want of a core. What failed runs once more, alone; it passes only if it passes
// there. The first failure stays printed in full, and the name stands at the end. The proofs of
// secrecy run once: what may not happen may not happen once.
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const MAX_CHANCE = 5; // More failures than this are not chance.
const SECRECY = /^(encryption|secrets)\.test\.mjs$/;

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

/**
 * Runs tests and prints what comes of them.
 * @param {Parameters<typeof run>[0]} options
 * @returns {Promise<{ failed: { file: string, name: string }[], passed: Set<string> }>}
 */
async function play(options) {
  const failed = [];
  const passed = new Set();
  const stream = run(options);
  stream.on('test:fail', ({ name, file, nesting }) => nesting === 0 && failed.push({ name, file }));
  stream.on('test:pass', ({ name, nesting, skip }) => {
    if (nesting === 0 && skip === undefined) passed.add(name);
  });
  const report = stream.compose(new spec());
  report.pipe(process.stdout);
  await new Promise((done) => report.once('end', done));
  return { failed, passed };
}

const exactly = (name) => new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
const list = (tests) => tests.map(({ file, name }) => `  ${basename(file)}: ${name}`).join('\n');

// Two files at a time, for they mostly wait: each has browsers and a server of its own.
const { failed } = await play({ files, concurrency: 2 });
if (failed.length === 0) process.exit(0);
if (failed.length > MAX_CHANCE) {
  console.log(`${failed.length} browser tests failed: too many to be chance.`);
  process.exit(1);
}
if (failed.some(({ file }) => SECRECY.test(basename(file)))) process.exit(1);
console.log(`\nFailed beside other tests, once more alone:\n${list(failed)}\n`);
for (const { file, name } of failed) {
  const again = await play({ files: [file], testNamePatterns: [exactly(name)] });
  if (again.failed.length > 0 || !again.passed.has(name)) process.exit(1);
}
console.log(`\nUNSTABLE (failed beside other tests, passed alone):\n${list(failed)}`);
process.exit(0);

// Writes each script and page of a folder compressed beside it, as the server sends it.
// Usage: node compress.mjs FOLDER
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const COMPRESSED = /\.(js|mjs|css|html|svg|json|wasm|ts)$/;
/** Below, a header costs what the compression saves. */
const LEAST_BYTES = 1_024;
/** The best takes half a minute for the largest file, and saves a few percent more. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };

const folder = process.argv[2] ?? '.';
const write = {
  br: (content) => promisify(brotliCompress)(content, BROTLI),
  gz: (content) => promisify(gzip)(content, { level: 9 }),
};
for (const name of await readdir(folder, { recursive: true })) {
  if (!COMPRESSED.test(name)) continue;
  const content = await readFile(join(folder, name));
  if (content.length < LEAST_BYTES) continue;
  for (const [ending, compress] of Object.entries(write)) {
    await writeFile(join(folder, `${name}.${ending}`), await compress(content));
  }
}

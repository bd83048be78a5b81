// Makes the declarations fit for resolvers that follow Node's rules, and for scripts: they get `OT`.
import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const folder = 'dist/types';
for (const name of await readdir(folder, { recursive: true })) {
  if (!name.endsWith('.d.ts')) continue;
  const file = join(folder, name);
  const content = await readFile(file, 'utf8');
  // Also in `import('./stream')`, as the compiler writes types that it inferred.
  await writeFile(file, content.replaceAll(/(from |import\()(['"])(\.[^'"]*)\2/g, '$1$2$3.js$2'));
}
await appendFile(join(folder, 'index.d.ts'), 'export as namespace OT;\n');

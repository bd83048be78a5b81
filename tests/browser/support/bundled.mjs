// Applications that bundlers build of the packed packages, and the sites that serve them.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from './server.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const sources = fileURLToPath(new URL('../bundled', import.meta.url));
/** Where `make test-all` installs the bundlers. */
const folder = join(root, '.cache/bundled');
const START_MS = 60_000;
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

export const INSTALLED = existsSync(join(folder, 'node_modules/next'));

/** The sources beside the bundlers, with both packages as somebody installs them. */
export async function prepare() {
  await cp(sources, folder, { recursive: true });
  const tarballs = await mkdtemp(join(tmpdir(), 'sealroute-tarballs-'));
  try {
    await run(join(root, 'scripts/packages'), [tarballs, 'npm']);
    for (const tarball of await readdir(tarballs)) {
      const target = join(folder, 'node_modules', tarball.replace(/-\d.*$/, ''));
      await rm(target, { recursive: true, force: true });
      await mkdir(target, { recursive: true });
      const words = ['xzf', join(tarballs, tarball), '--strip-components=1', '-C', target];
      await run('tar', words);
    }
  } finally {
    await rm(tarballs, { recursive: true, force: true });
  }
}

/** `mode`: `development` or `production`. Resolves with the folder of what was built. */
const builders = {
  async vite(mode) {
    const built = join(folder, `built-vite-${mode}`);
    const script = `
      import { build } from 'vite';
      await build({
        root: '.', mode: '${mode}', logLevel: 'error',
        build: { outDir: ${JSON.stringify(built)}, emptyOutDir: true, minify: ${mode === 'production'} },
      });`;
    await node(script, mode);
    return built;
  },

  async webpack(mode) {
    const built = join(folder, `built-webpack-${mode}`);
    const script = `
      import webpack from 'webpack';
      const compiler = webpack({
        mode: '${mode}', entry: './main.js', devtool: false,
        output: { path: ${JSON.stringify(built)}, filename: 'main.js', clean: true },
      });
      compiler.run((error, stats) => {
        if (error || stats.hasErrors()) throw error ?? new Error(stats.toString());
      });`;
    await node(script, mode);
    await writeFile(join(built, 'index.html'), await readFile(join(sources, 'index.html')));
    return built;
  },
};

function node(script, mode) {
  const env = { ...process.env, NODE_ENV: mode };
  return run(process.execPath, ['--input-type=module', '--eval', script], { cwd: folder, env });
}

/** Builds the application and serves it. */
export async function site(bundler, mode) {
  const built = await builders[bundler](mode);
  const server = createServer(async ({ url }, response) => {
    const name = url === '/' ? 'index.html' : url.slice(1).split(/[?#]/)[0];
    try {
      const content = await readFile(join(built, name));
      response.setHeader('Content-Type', types[extname(name)] ?? 'application/octet-stream');
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://localhost:${server.address().port}/`,
    async stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The same application in Next, which draws it on its server first. */
export async function nextSite() {
  const require = createRequire(join(folder, 'package.json'));
  const program = require.resolve('next/dist/bin/next');
  const cwd = join(folder, 'next');
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' };
  await run(process.execPath, [program, 'build'], { cwd, env });
  const port = await freePort();
  const words = [program, 'start', '--hostname', '127.0.0.1', '--port', String(port)];
  const server = spawn(process.execPath, words, { cwd, env, stdio: 'ignore' });
  const url = `http://localhost:${port}/`;
  const deadline = Date.now() + START_MS;
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) break;
    if (Date.now() > deadline || server.exitCode !== null) {
      server.kill('SIGKILL');
      throw new Error('Next did not start');
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    url,
    async stop() {
      server.kill('SIGTERM');
      await once(server, 'exit');
    },
  };
}

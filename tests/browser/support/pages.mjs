// Serves the test pages and the built SDK, with a content security policy as strict as can be.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const roots = {
  sdk: fileURLToPath(new URL('../../../sdk/web/dist', import.meta.url)),
  pages: fileURLToPath(new URL('../pages', import.meta.url)),
  built: fileURLToPath(new URL('../../../sdk/react/dist-test', import.meta.url)),
};
const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};
export const STRICT_CSP = "script-src 'self'; worker-src 'self' blob:";
/** For pages with filters, which are WebAssembly. */
export const FILTERS_CSP = "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:";
/** For pages that take scripts from named policies alone. */
export const TRUSTED_CSP = `${STRICT_CSP}; require-trusted-types-for 'script'; trusted-types sealroute`;
/** For pages that give the worker's URL: not even blobs. */
export const STRICTEST_CSP = "script-src 'self'; worker-src 'self'";

export class Pages {
  static async start() {
    const pages = new Pages();
    pages.server = createServer((request, response) => pages.#serve(request, response));
    pages.server.listen(0, '127.0.0.1');
    await once(pages.server, 'listening');
    pages.url = `http://localhost:${pages.server.address().port}`;
    return pages;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  async #serve(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    const [, folder, ...rest] = normalize(pathname).split('/');
    try {
      let content = await readFile(join(roots[folder] ?? '', ...rest));
      if (extname(pathname) === '.html') {
        const server = searchParams.get('server') ?? '';
        content = content.toString().replaceAll('{{server}}', encodeURI(server));
      }
      response.setHeader('Content-Type', types[extname(pathname)] ?? 'application/octet-stream');
      if (folder === 'pages') {
        const policies = { 'no-blob': STRICTEST_CSP, filters: FILTERS_CSP, trusted: TRUSTED_CSP };
        const named = Object.keys(policies).find((name) => searchParams.has(name));
        response.setHeader('Content-Security-Policy', policies[named] ?? STRICT_CSP);
      }
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  }
}

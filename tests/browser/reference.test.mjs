// The page at /docs: the API as the server tells it, with nothing from elsewhere.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { browsers } from './support/browsers.mjs';
import { Server } from './support/server.mjs';

const SHOWN_MS = 20_000;
/** What else stands beside them in a path item is no operation: `servers`, `parameters`. */
const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options'];
let server;
let browser;

before(async () => {
  server = await Server.start();
  browser = await browsers.chromium.launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the API is shown, from this server alone and within its content security policy', async () => {
  const page = await browser.newPage();
  const asked = [];
  const failures = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('pageerror', (failure) => failures.push(String(failure)));
  page.on('console', (line) => line.type() === 'error' && failures.push(line.text()));
  await page.goto(`${server.url}/docs`);
  const { paths } = await (await fetch(`${server.url}/openapi.json`)).json();
  const operations = Object.values(paths)
    .flatMap((item) => Object.keys(item))
    .filter((key) => METHODS.includes(key));
  // The page draws them in several steps.
  await page.waitForFunction(
    (wanted) => document.querySelectorAll('.opblock').length >= wanted,
    { timeout: SHOWN_MS },
    operations.length,
  );
  const shown = await page.$$eval('.opblock', (blocks) => blocks.length);
  assert.equal(shown, operations.length);
  const elsewhere = asked.filter(
    (url) => !url.startsWith(server.url) && !/^(data|blob):/.test(url),
  );
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(failures, []);
});

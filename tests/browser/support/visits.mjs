// Visitors of the page at `/`: they come with a browser of their own, join, and see each other.
import { createRequire } from 'node:module';
import { browsers } from './browsers.mjs';
import { Server } from './server.mjs';

const require = createRequire(new URL('../../../sdk/web/package.json', import.meta.url));
const { encode } = require('@msgpack/msgpack');

/** On a machine that other tests slow down, too: slow is no failure, never is. */
export const CALL_MS = 60_000;

/** Server and browsers of one test file. */
export class Visits {
  #opened = new Map();
  #contexts = [];

  static async open(environment = {}) {
    const visits = new Visits();
    visits.server = await Server.start(environment);
    return visits;
  }

  get url() {
    return `${this.server.url.replace('127.0.0.1', 'localhost')}/`;
  }

  /** `before`: what is done with the page before it is loaded. */
  async visit(kind, url = this.url, { flags = [], before = () => undefined } = {}) {
    const key = [kind, ...flags].join(' ');
    if (!this.#opened.has(key)) this.#opened.set(key, browsers[kind].launch(flags));
    const context = await (await this.#opened.get(key)).createBrowserContext();
    this.#contexts.push(context);
    const page = await context.newPage();
    page.requests = [];
    // Drivers report the fragment of a page's own address; browsers do not send it.
    page.on('request', (request) => page.requests.push(request.url().split('#')[0]));
    await before(page);
    await page.goto(url);
    return page;
  }

  /** Everybody leaves; the browsers stay for the next test. */
  async empty() {
    await Promise.allSettled(this.#contexts.splice(0).map((context) => context.close()));
  }

  async close() {
    await this.empty();
    await Promise.allSettled([...this.#opened.values()].map(async (one) => (await one).close()));
    await this.server.stop();
  }
}

/** Waits for a condition in the page. */
export const until = (page, condition, ...args) =>
  page.waitForFunction(condition, { timeout: CALL_MS, polling: 50 }, ...args);

export const isEncrypted = (page) =>
  until(page, () => document.querySelector('#call-state').dataset.mood === 'encrypted');

export async function join(page, name) {
  await page.$eval('#name', (field) => (field.value = ''));
  await page.type('#name', name);
  await page.click('#join');
  await isEncrypted(page);
}

export const seesOther = (page) =>
  until(page, () =>
    [...document.querySelectorAll('.tile[data-own="false"] video')].some(
      (video) => video.videoWidth > 0 && video.currentTime > 0.3,
    ),
  );

/** Keeps the page's WebSocket, to say what a lying server would. */
const keepSocket = (page) =>
  page.evaluateOnNewDocument(() => {
    globalThis.WebSocket = class extends WebSocket {
      constructor(...given) {
        super(...given);
        globalThis.lyingSocket = this;
      }
    };
  });

/** Joins with a page whose WebSocket can be made to lie. */
export async function joinWatched(visits, name, flags = []) {
  const page = await visits.visit('chromium', visits.url, { flags, before: keepSocket });
  await join(page, name);
  return page;
}

export async function say(page, message) {
  const bytes = Buffer.from(encode(message)).toString('base64');
  await page.evaluate((text) => {
    const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
    globalThis.lyingSocket.onmessage({ data });
  }, bytes);
}

// The language of the browser tests: rooms, people in them, and what they see and hear.
import assert from 'node:assert/strict';
import { browsers } from './browsers.mjs';
import { Pages } from './pages.mjs';
import { Server } from './server.mjs';

/** Of 1.2 s each: a machine that is busy may stop a video for one of them, never for all. */
const LOOKS = 6;

/** A page that takes longer is stuck. */
const ANSWER_MS = 15_000;

export const SECRET = 'a secret for the lab';

/** Server, pages and browsers of one test file. */
export class Lab {
  #launched = new Map();
  #people = [];

  static async open(environment = {}) {
    const lab = new Lab();
    lab.pages = await Pages.start();
    try {
      lab.server = await Server.start(environment);
    } catch (error) {
      // Else the process would wait for its pages' end.
      lab.pages.stop();
      throw error;
    }
    return lab;
  }

  /** A page of its own in a browser of the given kind, not yet connected; `flags`: Chromium's. */
  async person(kind = 'chromium', { path = '/pages/lab.html', flags = [] } = {}) {
    const key = [kind, ...flags].join(' ');
    if (!this.#launched.has(key)) this.#launched.set(key, browsers[kind].launch(flags));
    const browser = await this.#launched.get(key);
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    const person = new Person(page, kind);
    await page.goto(`${this.pages.url}${path}`);
    this.#people.push({ person, context });
    return person;
  }

  /** Joins a room, with the lab's secret if not told otherwise (`null`: without one). */
  async join(room, { kind = 'chromium', secret = SECRET, role = 'moderator', ...rest } = {}) {
    const person = await this.person(kind, rest);
    const failure = await person.connect(room, await this.server.token(room, { role }), secret);
    assert.equal(failure, null);
    return person;
  }

  /** What each of the people knows of their part, also of one whose page does not answer. */
  describe() {
    return Promise.all(this.#people.map(({ person }) => person.describe()));
  }

  /** Everybody leaves; the browsers stay for the next test. */
  async empty() {
    const people = this.#people.splice(0);
    await Promise.allSettled(people.map(({ context }) => context.close()));
  }

  async close() {
    await this.empty();
    await Promise.allSettled([...this.#launched.values()].map(async (one) => (await one).close()));
    this.pages.stop();
    await this.server?.stop();
  }
}

export class Person {
  constructor(page, kind) {
    this.page = page;
    this.kind = kind;
    this.faults = [];
    page.on('pageerror', (error) => this.faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') this.faults.push(message.text());
    });
  }

  connect(room, token, secret, options = {}) {
    return this.do((given) => lab.connect(given), { ...room, token, secret, options });
  }

  /** Runs a function in the page. */
  do(action, ...args) {
    return this.page.evaluate(action, ...args);
  }

  async describe() {
    const { kind, faults } = this;
    const silence = new Promise((resolve) => setTimeout(resolve, ANSWER_MS, 'no answer'));
    const said = this.do(() => lab.describe()).catch(String);
    return { kind, faults, known: await Promise.race([said, silence]) };
  }

  /** The same for pages that have no lab. */
  async untilPage(condition, timeoutMs = 15_000) {
    await this.page.waitForFunction(condition, { timeout: timeoutMs, polling: 100 });
  }

  async publish(options = {}) {
    const { streamId, error, message } = await this.do((given) => lab.publish(given), options);
    assert.equal(error, undefined, `${this.kind} could not publish: ${error} ${message}`);
    return streamId;
  }

  /** Waits until `condition` holds in the page. */
  async until(condition, complaint, timeoutMs = 10_000, ...args) {
    const deadline = Date.now() + timeoutMs;
    while (Date.now() < deadline) {
      const value = await this.do(condition, ...args);
      if (value) return value;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const events = await this.do(() => globalThis.lab?.events ?? []);
    throw new Error(`${complaint}\n${JSON.stringify(events, null, 1)}\n${this.faults.join('\n')}`);
  }

  /** Waits for the pattern of a stream, then checks that it moves and stays itself. */
  async sees(streamId) {
    await this.until(
      (id) => readPattern(lab.video(id)) !== null,
      `${this.kind} does not see the pattern`,
      15_000,
      streamId,
    );
    let seen;
    for (let attempt = 0; attempt < LOOKS; attempt += 1) {
      seen = await this.do((id) => lab.watch(id), streamId);
      const known = seen.filter((frame) => frame !== null);
      assert.ok(known.length >= seen.length - 2, `broken frames: ${seen.join()}`);
      if (new Set(known).size >= 4) return;
    }
    const state = await this.do((id) => lab.subscribers.get(id)?.streamState, streamId);
    assert.fail(`the video stands still, its state is ${state}: ${seen.join()}`);
  }

  async seesNothingOf(streamId) {
    const seen = await this.do((id) => lab.watch(id, 6), streamId);
    assert.deepEqual(new Set(seen), new Set([null]));
  }

  async hears(streamId, hertz) {
    let tone;
    for (let attempt = 0; attempt < 6; attempt += 1) {
      tone = await this.do((id) => lab.listen(id), streamId);
      if (tone && Math.abs(tone.hertz - hertz) <= 30 && tone.share > 0.15) return;
    }
    assert.fail(`${this.kind} hears ${JSON.stringify(tone)} and not ${hertz} Hz`);
  }

  /** Left one tone, right another one. */
  async hearsApart(streamId, left, right) {
    let heard;
    const is = (tone, hertz) => Math.abs(tone?.hertz - hertz) <= 30 && tone.share > 0.15;
    for (let attempt = 0; attempt < 6; attempt += 1) {
      heard = await this.do((id) => lab.listenApart(id), streamId);
      if (is(heard[0], left) && is(heard[1], right)) return;
    }
    assert.fail(`${this.kind} hears ${JSON.stringify(heard)} and not ${left} and ${right} Hz`);
  }

  /** Of the last event of that name. */
  reasonOf(name) {
    return this.do((wanted) => lab.events.findLast((event) => event.name === wanted)?.reason, name);
  }

  count(name) {
    return this.do((wanted) => lab.count(wanted), name);
  }

  async untilEvent(name, count = 1, timeoutMs = 10_000) {
    await this.until(
      (wanted, times) => lab.count(wanted) >= times,
      `${this.kind} got no ${name}`,
      timeoutMs,
      name,
      count,
    );
  }
}

// Visitors of the room at `/` in one browser, told what to do by lines of JSON: node rooms.mjs KIND
import process from 'node:process';
import { browsers } from '../../browser/support/browsers.mjs';
import { answerLines } from './answering.mjs';

/** Frames cost time, and their content is not what is looked at. */
const SLOW_CAMERA = ['--use-fake-device-for-media-stream=fps=5'];
/** On a machine that other tests slow down. */
const OPEN_MS = 120_000;
const [kind] = process.argv.slice(2);
const browser = await browsers[kind].launch(SLOW_CAMERA);
const visitors = new Map();

/** In the page, before its own scripts: all that people were told, for much of it goes again. */
function note() {
  globalThis.noted = { moods: [], said: [], dialogs: [] };
  for (const name of ['alert', 'confirm', 'prompt', 'open']) {
    globalThis[name] = (text) => void noted.dialogs.push(`${name} ${text}`);
  }
  const look = () => {
    const state = document.querySelector('#call-state');
    const mood = state?.closest('[hidden]') ? '' : (state?.dataset.mood ?? '');
    if (noted.moods.at(-1) !== mood) noted.moods.push(mood);
    for (const id of ['alert', 'announcer']) {
      const text = document.getElementById(id)?.textContent ?? '';
      if (text !== '' && noted.said.at(-1) !== text) noted.said.push(text);
    }
  };
  const options = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver(look).observe(document, options);
}

/** In the page: what a person sees of it, and what the page holds. */
function looked() {
  const one = (selector, root = document) => root.querySelector(selector);
  const isShown = (node) => node !== null && node.checkVisibility();
  const text = (selector, root) => one(selector, root)?.textContent ?? '';
  const shownText = (selector, root) =>
    isShown(one(selector, root)) ? text(selector, root).trim() : '';
  const stores = [localStorage, sessionStorage].map((store) => Object.entries({ ...store }));
  return {
    where: isShown(one('#call')) ? 'call' : 'lobby',
    state: text('#call-state'),
    mood: one('#call-state').dataset.mood ?? '',
    isRecorded: isShown(one('#recording')),
    alert: shownText('#alert'),
    people: Number(text('#people-count')),
    tiles: [...document.querySelectorAll('.tile')].map((tile) => ({
      name: text('.tile-name', tile),
      label: tile.ariaLabel,
      you: shownText('.tile-you', tile),
      isOwn: tile.dataset.own === 'true',
      encryption: shownText('.tile-encryption', tile),
      notice: shownText('.tile-notice', tile),
      isMuted: isShown(one('.tile-muted', tile)),
      hasHand: isShown(one('.tile-hand', tile)),
      isPlaying: (one('video', tile)?.currentTime ?? 0) > 0,
    })),
    participants: [...document.querySelectorAll('#participants > li')].map((li) => li.textContent),
    messages: [...document.querySelectorAll('#messages > *')].map((node) => node.textContent),
    code: shownText('#code-digits'),
    isMicOn: one('#toggle-audio').ariaPressed === 'true',
    isCameraOn: one('#toggle-video').ariaPressed === 'true',
    href: location.href,
    store: JSON.stringify([stores, document.cookie]),
    strange: document.querySelectorAll(
      ['#tiles', '#participants', '#messages', '#alert', '#announcer']
        .flatMap((root) =>
          ['img', 'script', 'iframe', 'a', 'b', 'style'].map((t) => `${root} ${t}`),
        )
        .join(),
    ).length,
    noted: globalThis.noted,
  };
}

async function open(id, url) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const visitor = { context, page, faults: [], asked: [] };
  visitors.set(id, visitor);
  page.on('pageerror', (error) => visitor.faults.push(String(error?.message ?? error)));
  page.on('request', (request) => visitor.asked.push(request.url().split('#')[0]));
  await page.evaluateOnNewDocument(note);
  await page.goto(url, { timeout: OPEN_MS });
}

const pageOf = (id) => visitors.get(id).page;

const actions = {
  open,
  look: async (id) => {
    const { page, faults, asked } = visitors.get(id);
    return { ...(await page.evaluate(looked)), faults, asked };
  },
  /** Presses a button, also one that is covered at the moment. */
  press: (id, selector) => pageOf(id).$eval(selector, (node) => node.click()),
  fill: (id, selector, text) =>
    pageOf(id).$eval(selector, (node, value) => (node.value = value), text),
  submit: (id, selector) => pageOf(id).$eval(selector, (form) => form.requestSubmit()),
  evaluate: (id, script) => pageOf(id).evaluate(script),
  close: async (id) => {
    const { context } = visitors.get(id);
    visitors.delete(id);
    await context.close();
  },
};

await answerLines(actions);
await browser.close();

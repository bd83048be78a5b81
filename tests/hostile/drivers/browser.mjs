// A browser with many clients in it, told what to do by lines of JSON: node browser.mjs KIND
import { createInterface } from 'node:readline';
import process from 'node:process';
import { browsers } from '../../browser/support/browsers.mjs';
import { Pages } from '../../browser/support/pages.mjs';

const [kind] = process.argv.slice(2);
const pages = await Pages.start();
const browser = await browsers[kind].launch();
const page = await browser.newPage();
await page.goto(`${pages.url}/pages/hostile.html`);

const actions = {
  open: (id) => page.evaluate((client) => holder.open(client), id),
  close: (id) => page.evaluate((client) => holder.close(client), id),
  fetch: () => page.evaluate(() => holder.fetch()),
  call: (id, method, argument) =>
    page.evaluate((...all) => holder.call(...all), id, method, argument ?? null),
};

async function answer(line) {
  const { number, action, words } = JSON.parse(line);
  const reply = { number };
  try {
    reply.result = (await actions[action](...words)) ?? null;
  } catch (error) {
    reply.error = error.message;
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

process.stdout.write('{"ready":true}\n');
for await (const line of createInterface({ input: process.stdin })) void answer(line);
await browser.close();
pages.stop();

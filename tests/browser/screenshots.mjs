// Screenshots of the room at `/`: six sizes × 1, 2, 4, 9 and 16 people, and its other states.
// Usage: node screenshots.mjs FOLDER [chromium|firefox]
import { mkdir } from 'node:fs/promises';
import { join as path } from 'node:path';
import process from 'node:process';
import { crowd } from './support/crowd.mjs';
import { join, until, Visits } from './support/visits.mjs';

const SIZES = [
  [360, 740],
  [740, 360],
  [768, 1024],
  [1024, 768],
  [1280, 720],
  [1920, 1080],
];
const PHONE = SIZES[0];
const DESK = SIZES[4];
const COUNTS = [1, 2, 4, 9, 16];
/** Long names, other scripts and directions, people without a camera and with a hand up. */
const PEOPLE = [
  { name: 'Grace Hopper', video: true, audio: true },
  { name: 'Maximiliane von Hohenstein-Waldburg', video: true },
  { name: '山田 太郎', video: true, audio: true, hand: true },
  { name: 'Ibn Battuta ابن بطوطة', video: true },
  { name: 'Katherine Johnson' },
  { name: 'Hedy', video: true, audio: true },
  { name: 'Мария Склодовская', video: true },
  { name: 'José', video: true, hand: true },
  { name: 'Alan Turing', video: true, audio: true },
  { name: 'Barbara Liskov', video: true },
  { name: 'Edsger', video: true },
  { name: 'Radia Perlman' },
  { name: 'Sophie Wilson', video: true },
  { name: 'Ken', video: true, audio: true },
  { name: 'Margaret Hamilton', video: true },
];

const [folder = '.cache/screenshots', kind = 'chromium'] = process.argv.slice(2);
const target = path(folder, kind);
await mkdir(target, { recursive: true });

async function take(page, name, [width, height]) {
  await page.setViewport({ width, height });
  // Two frames: the layout follows the size, and the video follows the layout.
  await page.evaluate(() => new Promise((done) => setTimeout(done, 250)));
  await page.screenshot({ path: path(target, `${name}-${width}x${height}.png`) });
}

async function scheme(page, value) {
  if (kind === 'chromium') {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
  }
}

/** As it is, on a phone and on a desk. */
async function both(page, name) {
  for (const size of [PHONE, DESK]) await take(page, name, size);
}

const visits = await Visits.open();
try {
  const page = await visits.visit(kind);
  await scheme(page, 'light');
  await until(page, () => document.querySelector('#preview').videoWidth > 0);
  await both(page, 'lobby');
  await join(page, 'Ada Lovelace');
  const others = await visits.visit('chromium');
  const link = await page.evaluate(() => location.href);
  let there = 1;
  for (const count of COUNTS) {
    await crowd(others, link, PEOPLE.slice(there - 1, count - 1));
    there = count;
    await until(
      page,
      (wanted) =>
        document.querySelector('#people-count').textContent === String(wanted) &&
        [...document.querySelectorAll('.tile[data-video="on"] video')].every(
          ({ videoWidth }) => videoWidth > 0,
        ),
      count,
    );
    for (const size of SIZES) await take(page, `${count}-people`, size);
  }
  await scheme(page, 'dark');
  await both(page, 'dark');
  await page.click('#open-people');
  await both(page, 'people');
  await page.click('#close-panel');
  await crowd(others, link, [
    { name: 'Linus', says: 'Good morning! Does everybody see my screen?' },
  ]);
  await page.click('#open-chat');
  await page.type('#message', 'Yes, very well.');
  await page.keyboard.press('Enter');
  await both(page, 'chat');
  await page.click('#close-panel');
  await page.click('#toggle-view');
  await both(page, 'speaker');
  await scheme(page, 'light');
  await crowd(others, link, [{ name: 'Barbara Liskov', video: true, screen: true }]);
  await page.waitForSelector('.tile[data-kind="screen"]');
  await until(page, () => document.querySelector('.tile[data-stage="true"] video').videoWidth > 0);
  for (const size of SIZES) await take(page, 'screen', size);
  await page.click('#open-settings');
  await page.waitForSelector('#settings[open]');
  await both(page, 'settings');
} finally {
  await visits.close();
}

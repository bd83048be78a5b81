// @ts-check
/// <reference path="./ot.d.ts" />
/** The page: lobby, call, dialogs. It owns the elements; the call owns the media. */

import { Call } from './call.js';
import { generateSecret, readLink, writeLink } from './link.js';
import { enterRoom } from './rooms.js';
import { sentenceFor } from './sentences.js';
import { Grid } from './tiles.js';

const NAME_KEY = 'sealroute.name';
const ALERT_MS = 8_000;
const COPIED_MS = 2_000;

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);

const link = readLink(window.location);
const grid = new Grid(element('tiles'));
/** @type {Call | null} */
let call = null;
let secret = link.secret ?? generateSecret();
let room = link.room;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let alertTimer;

/** @param {string} text */
function announce(text) {
  element('announcer').textContent = text;
}

/** @param {unknown} error @param {boolean} [stays] */
function complain(error, stays = false) {
  const box = element('alert');
  box.textContent = sentenceFor(error);
  box.hidden = false;
  clearTimeout(alertTimer);
  if (!stays) alertTimer = setTimeout(() => (box.hidden = true), ALERT_MS);
}

/** @param {string} name @param {boolean} on */
function press(name, on) {
  element(`toggle-${name}`).setAttribute('aria-pressed', String(on));
}

/** @param {string} name */
const isPressed = (name) => element(`toggle-${name}`).getAttribute('aria-pressed') === 'true';

/** Browsers that keep nothing for this page refuse even the question. */
function storedName() {
  try {
    return localStorage.getItem(NAME_KEY) ?? '';
  } catch {
    return '';
  }
}

/** @param {string} name */
function storeName(name) {
  try {
    localStorage.setItem(NAME_KEY, name);
  } catch {
    // It is asked for again next time.
  }
}

/** @param {string} name @returns {Error} whose sentence `sentences.js` has */
const named = (name) => Object.assign(new Error(), { name });

/** What the page needs and a newer browser would not change. */
function checkPage() {
  if (!window.isSecureContext) throw named('HTTPS_MISSING');
  if (!('OT' in window)) throw named('SCRIPT_MISSING');
  if (!OT.hasEndToEndEncryptionSupport()) throw named('OT_UNSUPPORTED_BROWSER');
}

function prepareLobby() {
  element('name').value = storedName();
  element('secret').value = secret;
  if (room) {
    element('lobby-title').textContent = 'Somebody is waiting for you';
    element('join').textContent = 'Join the call';
  }
}

/** @param {SubmitEvent} event */
async function join(event) {
  event.preventDefault();
  const choices = {
    name: element('name').value.trim() || 'Guest',
    secret: element('secret').value,
    audio: element('with-audio').checked,
    video: element('with-video').checked,
  };
  const button = element('join');
  button.disabled = true;
  element('alert').hidden = true;
  storeName(choices.name);
  try {
    await enter(choices);
  } catch (error) {
    await leave();
    complain(error);
  } finally {
    button.disabled = false;
  }
}

/** @param {{name: string, secret: string, audio: boolean, video: boolean}} choices */
async function enter(choices) {
  checkPage();
  const length = [...choices.secret].length;
  if (length < 8 || length > 256) throw named('OT_INVALID_ENCRYPTION_SECRET');
  secret = choices.secret;
  const admission = await enterRoom(room, choices.name);
  room = admission.sessionId;
  history.replaceState(null, '', writeLink(window.location.href, room, secret));
  press('audio', choices.audio);
  press('video', choices.video);
  element('toggle-audio').disabled = !choices.audio;
  element('toggle-video').disabled = !choices.video;
  call = follow(new Call(grid, element('tile-template')));
  element('lobby').hidden = true;
  // The link has the secret; no field of the page goes on to hold it.
  element('secret').value = '';
  element('call').hidden = false;
  element('call-state').textContent = 'Connecting…';
  await call.join(admission, choices);
  element('call-state').textContent = 'End-to-end encrypted';
  announce('You are in the call');
}

/** @param {Call} started */
function follow(started) {
  /** @param {string} type @param {(detail: string) => void} handler */
  const on = (type, handler) =>
    started.addEventListener(type, (event) =>
      handler(/** @type {CustomEvent<string>} */ (event).detail),
    );
  on('announce', announce);
  on('state', (text) => {
    element('call-state').textContent = text || 'End-to-end encrypted';
    announce(text || 'Connected again');
  });
  on('muted', () => {
    press('audio', false);
    announce('A moderator muted you');
  });
  on('screen', () => press('screen', false));
  on('blocked', () =>
    document.addEventListener('pointerdown', () => OT.unblockAudio(), { once: true }),
  );
  on('ended', (reason) => {
    void leave().then(() => complain(named(reason)));
  });
  return started;
}

async function leave() {
  const leaving = call;
  call = null;
  await leaving?.leave().catch(() => undefined);
  grid.clear();
  press('screen', false);
  element('call').hidden = true;
  element('lobby').hidden = false;
  prepareLobby();
}

async function toggleScreen() {
  if (isPressed('screen')) {
    call?.stopScreen();
    return;
  }
  try {
    await call?.shareScreen();
    press('screen', true);
  } catch (error) {
    call?.stopScreen();
    complain(error);
  }
}

/** @param {"audio" | "video"} medium */
function toggle(medium) {
  const on = !isPressed(medium);
  press(medium, on);
  if (medium === 'audio') call?.setAudio(on);
  else call?.setVideo(on);
}

async function copyLink() {
  if (!room) return;
  const button = element('copy-link');
  await navigator.clipboard.writeText(writeLink(window.location.href, room, secret));
  button.textContent = 'Copied';
  announce('Link copied');
  setTimeout(() => (button.textContent = 'Copy link'), COPIED_MS);
}

async function openSettings() {
  element('changed-secret').value = secret;
  const devices = await OT.getDevices().catch(() => []);
  fill(
    'camera',
    devices.filter((device) => device.kind === 'videoInput'),
  );
  fill(
    'microphone',
    devices.filter((device) => device.kind === 'audioInput'),
  );
  fill('speaker', await OT.getAudioOutputDevices().catch(() => []));
  element('settings').showModal();
}

/** @param {string} id @param {{deviceId: string, label: string}[]} devices */
function fill(id, devices) {
  const options = devices.map((device, index) => {
    const option = document.createElement('option');
    option.value = device.deviceId;
    option.textContent = device.label || `${id} ${index + 1}`;
    return option;
  });
  element(id).replaceChildren(...options);
  element(id).disabled = options.length === 0;
}

async function applySecret() {
  const changed = element('changed-secret').value;
  try {
    await call?.changeSecret(changed);
    secret = changed;
    if (room) history.replaceState(null, '', writeLink(window.location.href, room, secret));
    announce('Secret changed');
  } catch (error) {
    complain(error);
  }
}

async function showCode() {
  element('code-digits').textContent = (await call?.verificationCode()) ?? '';
  element('code').showModal();
}

/** @param {(...args: any[]) => unknown} action */
const guarded =
  (action) =>
  (/** @type {any[]} */ ...args) =>
    Promise.resolve(action(...args)).catch(complain);

const CLICKS = /** @type {Record<string, () => unknown>} */ ({
  'new-secret': () => (element('secret').value = generateSecret()),
  'copy-link': copyLink,
  'show-code': showCode,
  'toggle-audio': () => toggle('audio'),
  'toggle-video': () => toggle('video'),
  'toggle-screen': toggleScreen,
  'open-settings': openSettings,
  'apply-secret': applySecret,
  leave,
});

const CHANGES = /** @type {Record<string, (value: string) => unknown>} */ ({
  camera: (id) => call?.publisher?.setVideoSource(id),
  microphone: (id) => call?.publisher?.setAudioSource(id),
  speaker: (id) => OT.setAudioOutputDevice(id),
});

const KEYS = /** @type {Record<string, string>} */ ({
  m: 'toggle-audio',
  v: 'toggle-video',
  s: 'toggle-screen',
});

/** @param {KeyboardEvent} event */
function pressKey(event) {
  const typing = event.target instanceof Element && event.target.closest('input, select, dialog');
  const button = KEYS[event.key];
  if (!call || typing || !button || event.ctrlKey || event.metaKey || event.altKey) return;
  element(button).click();
}

for (const [id, action] of Object.entries(CLICKS)) {
  element(id).addEventListener('click', guarded(action));
}
for (const [id, action] of Object.entries(CHANGES)) {
  element(id).addEventListener(
    'change',
    guarded((event) => action(event.target.value)),
  );
}
element('settings').addEventListener('close', () => (element('changed-secret').value = ''));
element('join-form').addEventListener('submit', guarded(join));
element('join').disabled = false;
document.addEventListener('keydown', pressKey);
window.addEventListener('pagehide', () => void call?.leave());
prepareLobby();
try {
  checkPage();
} catch (error) {
  complain(error, true);
}

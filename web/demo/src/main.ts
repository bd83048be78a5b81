/** The page: it binds elements to what they do, and draws what becomes of it. */
import { Call } from './call';
import { captureByBrowser, type Kind, KINDS } from './capture';
import { button, dialog, element, input, isFocusLost, mark, select, write } from './elements';
import { Grid } from './grid';
import { Lobby } from './lobby';
import { generateSecret, readLink, writeLink } from './link';
import { OwnMedia } from './own-media';
import type { Page } from './page';
import { enterRoom, named } from './rooms';
import { MAX_LABEL, readable } from './texts';
import { fillSettings, LISTS, openCode, openSettings, showFault } from './settings';
import { Announcer, offerLanguages, translate } from './spoken';
import type { Panel, State } from './state';
import { Store } from './store';
import { store as remember, stored } from './stored';
import { stageOf, tilesOf } from './tiles';
import { drawCall } from './view';
import { chooseLanguage, type Key, Words } from './words';

const ALERT_MS = 8_000;
const COPIED_MS = 2_000;
const TICK_MS = 400;
const SECRET_CHARACTERS = { least: 8, most: 256 };

const link = readLink(window.location);
let secret = link.secret ?? generateSecret();
let room = link.room;
let words = new Words(chooseLanguage([stored('language'), ...navigator.languages]));
let call: Call | undefined;
/** How the last call ended, until the next one. */
let parting: 'left' | 'ended' | undefined;
let alertTimer: ReturnType<typeof setTimeout> | undefined;

const announcer = new Announcer();
const store = new Store((state) => draw(state));
const grid = new Grid(
  element('tiles'),
  element<HTMLTemplateElement>('tile-template'),
  element('more'),
  (key) => store.dispatch({ type: 'pin', key }),
);
const media = new OwnMedia(captureByBrowser, (kind) => {
  (call ?? lobby).lost(kind).catch(complain);
});
const lobby = new Lobby(media, () => words);
const page: Page = {
  get state() {
    return store.state;
  },
  dispatch: (event) => store.dispatch(event),
  box: (key) => grid.box(key),
  ended: (reason) => void leave('ended').then(() => complain(named(reason), true)),
  blocked: () =>
    document.addEventListener('pointerdown', () => void OT.unblockAudio().catch(() => undefined), {
      once: true,
    }),
};

// --- drawing --------------------------------------------------------------------------

function draw(state: State): void {
  const hadFocus = !isFocusLost();
  const isLobby = state.phase === 'lobby';
  element('lobby').hidden = !isLobby;
  element('call').hidden = isLobby;
  const tiles = tilesOf(state);
  grid.update(tiles, stageOf(state, tiles), words);
  // In the lobby, too: what was written in a call goes with it.
  drawCall(state, words);
  announcer.announce(state.said, words);
  // Never to the body, where keyboards and screen readers begin at the top.
  if (hadFocus && isFocusLost()) element(isLobby ? 'lobby-title' : 'call').focus();
}

/** In the dialog that is open, else above the page. */
function complain(error: unknown, stays = false): void {
  const text = words.error(error);
  if (showFault(text)) return;
  const box = element('alert');
  write(box, text);
  box.hidden = false;
  clearTimeout(alertTimer);
  if (!stays) alertTimer = setTimeout(() => (box.hidden = true), ALERT_MS);
}

function speak(language: string): void {
  words = new Words(language);
  remember('language', words.language);
  translate(words);
  writeLobby();
  void lobby.show();
  if (call) void fillSettings(media, words);
  draw(store.state);
}

function writeLobby(): void {
  const [title, label] = lobbyTexts();
  write(element('lobby-title'), words.say(title));
  write(button('join'), words.say(label));
  element('another-call').hidden = parting === undefined;
}

function lobbyTexts(): [Key, Key] {
  if (parting) return [parting === 'left' ? 'lobby.titleLeft' : 'lobby.titleEnded', 'lobby.again'];
  return room ? ['lobby.titleJoin', 'lobby.join'] : ['lobby.title', 'lobby.start'];
}

// --- joining and leaving --------------------------------------------------------------

/** What the page needs and a newer browser would not change. */
function checkPage(): void {
  if (!window.isSecureContext) throw named('HTTPS_MISSING');
  if (!('OT' in window)) throw named('SCRIPT_MISSING');
  if (!OT.hasEndToEndEncryptionSupport()) throw named('OT_UNSUPPORTED_BROWSER');
}

function prepareLobby(): void {
  input('name').value = stored('name') ?? '';
  input('secret').value = secret;
  writeLobby();
  if (parting) void lobby.rest();
  else if (window.isSecureContext && 'OT' in window) void lobby.open();
}

async function join(): Promise<void> {
  const submit = button('join');
  if (submit.ariaBusy === 'true') return;
  submit.ariaBusy = 'true';
  element('alert').hidden = true;
  try {
    await enter(input('name').value.trim(), input('secret').value);
  } catch (error) {
    await leave();
    complain(error);
  } finally {
    submit.ariaBusy = 'false';
  }
}

async function enter(name: string, given: string): Promise<void> {
  checkPage();
  const length = [...given].length;
  if (length < SECRET_CHARACTERS.least || length > SECRET_CHARACTERS.most) {
    throw named('OT_INVALID_ENCRYPTION_SECRET');
  }
  secret = given;
  remember('name', name);
  const admission = await enterRoom(room, name);
  room = admission.sessionId;
  await lobby.wake();
  history.replaceState(null, '', writeLink(window.location.href, room, secret));
  // The link has the secret; no field of the page goes on to hold it.
  input('secret').value = '';
  store.dispatch({ type: 'joining', name });
  for (const kind of KINDS) {
    const isOn = media.tracks[kind] !== undefined;
    const fault = lobby.wants(kind) ? lobby.faults[kind] : undefined;
    store.dispatch({ type: 'device', kind, isOn, fault });
  }
  lobby.close();
  parting = undefined;
  call = new Call(page, media, { admission, name, secret });
  await call.join();
}

async function leave(how?: 'left' | 'ended'): Promise<void> {
  const leaving = call;
  call = undefined;
  parting = how;
  await leaving?.leave().catch(() => undefined);
  document.querySelectorAll('dialog').forEach((one) => one.close());
  input('message').value = '';
  write(element('code-digits'), '');
  store.dispatch({ type: 'left' });
  prepareLobby();
}

// --- what buttons do ------------------------------------------------------------------

const isOn = (kind: Kind): boolean =>
  kind === 'audio' ? store.state.own.hasAudio : store.state.own.hasVideo;

async function toggleScreen(): Promise<void> {
  if (store.state.own.isSharing) {
    call?.stopScreen();
    return;
  }
  try {
    await call?.shareScreen();
  } catch (error) {
    call?.stopScreen();
    // Closed without a choice, or forbidden by the system: browsers say the same of both.
    const isRefused = error instanceof Error && error.name === 'OT_USER_MEDIA_ACCESS_DENIED';
    throw isRefused ? named('SCREEN_NOT_SHARED') : error;
  }
}

async function copyLink(id: string): Promise<void> {
  if (!room) return;
  await navigator.clipboard.writeText(writeLink(window.location.href, room, secret));
  const label = button(id).querySelector('.label') ?? button(id);
  write(label, words.say('header.copied'));
  announcer.say(words.say('said.copied'));
  setTimeout(() => write(label, words.say('header.copy')), COPIED_MS);
}

async function shareLink(): Promise<void> {
  if (!room) return;
  const url = writeLink(window.location.href, room, secret);
  // Closed again without a choice: nothing is wrong.
  await navigator.share({ url }).catch(() => undefined);
}

function showPanel(panel: Panel | null): void {
  const before = store.state.panel;
  const shown = panel === before ? null : panel;
  store.dispatch({ type: 'panel', panel: shown });
  queueMicrotask(() => {
    if (shown === 'chat') input('message').focus();
    else if (shown === 'people') element('panel-title').focus();
    else if (before) button(`open-${before}`).focus();
  });
}

async function sendMessage(): Promise<void> {
  const text = input('message').value.trim();
  const fault = element('chat-fault');
  fault.hidden = true;
  if (text === '') return;
  try {
    await call?.write(text);
    input('message').value = '';
  } catch {
    write(fault, words.say('chat.failed'));
    fault.hidden = false;
  }
}

async function applySecret(): Promise<void> {
  const changed = input('changed-secret').value;
  showFault(null);
  await call?.changeSecret(changed);
  secret = changed;
  if (room) history.replaceState(null, '', writeLink(window.location.href, room, secret));
  announcer.say(words.say('settings.changed'));
}

async function toggleFull(): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await document.documentElement.requestFullscreen();
}

type Action = () => unknown;

/** Whatever fails is said. */
const guarded = (action: Action) => (): void => {
  Promise.resolve()
    .then(action)
    .catch((error: unknown) => complain(error));
};

const CLICKS: Readonly<Record<string, Action>> = {
  'new-secret': () => (input('secret').value = generateSecret()),
  'copy-link': () => copyLink('copy-link'),
  invite: () => copyLink('invite'),
  'panel-link': () => copyLink('panel-link'),
  share: shareLink,
  'show-code': () => call && openCode(call),
  'toggle-audio': () => call?.switch('audio', !isOn('audio')),
  'toggle-video': () => call?.switch('video', !isOn('video')),
  'toggle-screen': toggleScreen,
  'toggle-hand': () => call?.raiseHand(!store.state.own.hasHand),
  'toggle-view': () =>
    store.dispatch({ type: 'view', view: store.state.view === 'grid' ? 'speaker' : 'grid' }),
  'toggle-full': toggleFull,
  'open-people': () => showPanel('people'),
  'open-chat': () => showPanel('chat'),
  'close-panel': () => showPanel(null),
  'open-settings': () => openSettings(media, words, secret),
  leave: () => leave('left'),
};

const SUBMITS: Readonly<Record<string, Action>> = {
  'join-form': join,
  'chat-form': sendMessage,
  'secret-form': applySecret,
};

const KEYS: Readonly<Record<string, string>> = {
  ...{ m: 'toggle-audio', v: 'toggle-video', s: 'toggle-screen', h: 'toggle-hand' },
};

function pressKey(event: KeyboardEvent): void {
  const { target, key } = event;
  const within = (places: string): boolean =>
    target instanceof Element && target.closest(places) !== null;
  if (!call || event.ctrlKey || event.metaKey || event.altKey || within('dialog')) return;
  if (key === 'Escape' && store.state.panel) showPanel(null);
  const id = KEYS[key];
  if (id && !within('input, select')) button(id).click();
}

/** A choice in the settings acts at once, and is shown as what it came to. */
function choice(id: string, act: (value: string) => unknown): void {
  const changed = async (): Promise<void> => {
    showFault(null);
    await act(select(id).value);
    await fillSettings(media, words);
  };
  select(id).addEventListener('change', guarded(changed));
}

function bind(): void {
  for (const [id, action] of Object.entries(CLICKS)) {
    element(id).addEventListener('click', guarded(action));
  }
  for (const [id, action] of Object.entries(SUBMITS)) {
    // Before the form closes its dialog.
    element(id).addEventListener('submit', (event) => event.preventDefault());
    element(id).addEventListener('submit', guarded(action));
  }
  for (const kind of KINDS) choice(LISTS[kind], (id) => call?.choose(kind, id));
  choice('speaker', (id) => OT.setAudioOutputDevice(id));
  dialog('settings').addEventListener('close', () => (input('changed-secret').value = ''));
  document.addEventListener('keydown', pressKey);
  document.addEventListener('fullscreenchange', () =>
    mark(button('toggle-full'), 'aria-pressed', String(document.fullscreenElement !== null)),
  );
  window.addEventListener('pagehide', () => void call?.leave());
  setInterval(() => store.dispatch({ type: 'tick', now: Date.now() }), TICK_MS);
}

bind();
offerLanguages(words.language, speak);
translate(words);
button('toggle-full').hidden = !document.fullscreenEnabled;
button('share').hidden = !('share' in navigator);
const devices = navigator.mediaDevices as MediaDevices | undefined;
button('toggle-screen').hidden = !devices || !('getDisplayMedia' in devices);
const settled = async (): Promise<void> => {
  if (call && dialog('settings').open) await fillSettings(media, words);
};
devices?.addEventListener(
  'devicechange',
  guarded(async () => {
    await (call ?? lobby).plugged();
    await settled();
  }),
);
if ('OT' in window) {
  OT.on('audioOutputDeviceChanged', ({ device }) => {
    announcer.say(words.say('said.speakerNow', { label: readable(device.label, MAX_LABEL) }));
    void settled();
  });
}
prepareLobby();
try {
  checkPage();
} catch (error) {
  complain(error, true);
}
button('join').disabled = false;

/** Draws what is around the tiles: header, controls, invitation, list of people and messages. */
import { button, element, foreign, mark, write } from './elements';
import type { Kind } from './capture';
import type { Message, Panel, State } from './state';
import { mismatches, ownLevel, type Participant, participantsOf } from './tiles';
import type { Words } from './words';

/** What is said of the call as a whole, and whether it is an exception. */
export function callState(state: State, words: Words): { text: string; mood: string } {
  const others = mismatches(state);
  if (state.phase === 'resuming' || state.phase === 'rejoining') {
    return { text: words.say(`state.${state.phase}`), mood: 'trouble' };
  }
  if (state.phase === 'joining') return { text: words.say('state.connecting'), mood: 'busy' };
  if (!state.isKeyed) return { text: words.say('state.securing'), mood: 'busy' };
  if (others > 0) return { text: words.count('state.mismatch', others), mood: 'trouble' };
  return { text: words.say('state.encrypted'), mood: 'encrypted' };
}

export function drawCall(state: State, words: Words): void {
  drawHeader(state, words);
  drawControls(state, words);
  const isAlone = state.phase === 'in' && state.persons.size === 0 && state.streams.size === 0;
  element('alone').hidden = !isAlone;
  drawPanel(state, words);
}

function drawHeader(state: State, words: Words): void {
  const { text, mood } = callState(state, words);
  const node = element('call-state');
  write(node, text);
  mark(node, 'data-mood', mood);
  element('recording').hidden = state.archives.length === 0;
  const level = ownLevel(state);
  const network = element('network');
  network.hidden = level === 0;
  mark(network, 'data-level', String(level));
  mark(network, 'aria-label', words.say(`level.${level}`));
  mark(button('toggle-view'), 'aria-pressed', String(state.view === 'speaker'));
}

function drawControls(state: State, words: Words): void {
  const { own, panel } = state;
  const isOn: Record<Kind, boolean> = { audio: own.hasAudio, video: own.hasVideo };
  for (const kind of ['audio', 'video'] as const) {
    const toggle = button(`toggle-${kind}`);
    mark(toggle, 'aria-pressed', String(isOn[kind]));
    const fault = own.faults[kind];
    mark(toggle, 'data-fault', fault ?? '');
    toggle.title = fault ? words.say(`fault.${kind}.${fault}`) : '';
  }
  mark(button('toggle-screen'), 'aria-pressed', String(own.isSharing));
  mark(button('toggle-hand'), 'aria-pressed', String(own.hasHand));
  for (const one of ['people', 'chat'] as const) {
    mark(button(`open-${one}`), 'aria-expanded', String(panel === one));
  }
  write(element('people-count'), String(state.persons.size + 1));
  const unread = element('chat-count');
  unread.hidden = state.unread === 0;
  write(unread.firstElementChild ?? unread, String(state.unread));
  write(element('chat-count-text'), words.count('chat.unread', state.unread));
}

function drawPanel(state: State, words: Words): void {
  const { panel } = state;
  element('panel').hidden = panel === null;
  for (const one of ['people', 'chat'] as const) element(`panel-${one}`).hidden = panel !== one;
  write(element('panel-title'), panel ? titleOf(panel, state, words) : '');
  // What nobody sees is not written: hundreds of people are a long list.
  drawParticipants(panel === 'people' ? participantsOf(state) : [], words);
  drawMessages(state.messages, words);
}

function titleOf(panel: Panel, state: State, words: Words): string {
  return panel === 'chat' ? words.say('chat') : words.count('people.title', state.persons.size + 1);
}

function drawParticipants(list: readonly Participant[], words: Words): void {
  const known = JSON.stringify([words.language, list]);
  const node = element('participants');
  if (drawn.get(node) === known) return;
  drawn.set(node, known);
  node.replaceChildren(...list.map((one) => participant(one, words)));
}

/** What an element was drawn from. */
const drawn = new WeakMap<Element, string>();

function participant(one: Participant, words: Words): HTMLElement {
  const item = document.createElement('li');
  const name = document.createElement('p');
  name.append(foreign('bdi', words.name(one.name)));
  if (one.isOwn) name.append(` (${words.say('you')})`);
  const parts = [
    one.hasHand ? words.say('tile.hand') : '',
    one.isSharing ? words.say('people.sharing') : '',
    one.isRecording ? words.say('people.recording') : '',
    ...mediaOf(one, words),
  ];
  const status = document.createElement('p');
  status.className = 'hint';
  status.textContent = parts.filter(Boolean).join(' · ');
  item.append(name, status);
  return item;
}

function mediaOf({ isMuted, hasVideo }: Participant, words: Words): string[] {
  if (isMuted === null) return [words.say('tile.noMedia')];
  return [
    words.say(isMuted ? 'tile.muted' : 'people.micOn'),
    words.say(hasVideo ? 'people.cameraOn' : 'tile.cameraOff'),
  ];
}

/** Adds what is new: the log is a live region. */
function drawMessages(messages: readonly Message[], words: Words): void {
  const log = element('messages');
  const ids = new Set(messages.map(({ id }) => String(id)));
  const there = new Set<string>();
  for (const item of [...log.children] as HTMLElement[]) {
    const id = item.dataset['id'] ?? '';
    if (ids.has(id)) there.add(id);
    else item.remove();
  }
  const added = messages.filter(({ id }) => !there.has(String(id)));
  log.append(...added.map((message) => messageItem(message, words)));
  element('no-messages').hidden = messages.length > 0;
  if (added.length > 0) log.scrollTop = log.scrollHeight;
}

function messageItem({ id, name, text, at }: Message, words: Words): HTMLElement {
  const item = document.createElement('div');
  item.dataset['id'] = String(id);
  item.dataset['own'] = String(name === null);
  const head = document.createElement('p');
  head.className = 'hint';
  head.append(name === null ? words.say('you') : foreign('bdi', words.name(name)));
  head.append(` · ${words.time(at)}`);
  item.append(head, foreign('p', text));
  return item;
}

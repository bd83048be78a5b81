/** The dialogs: their errors stand in them, and Enter does what the button beside it says. */
import type { Call } from './call';
import { KINDS } from './capture';
import { dialog, element, input, write } from './elements';
import { devicesOf, fill } from './lobby';
import type { OwnMedia } from './own-media';
import type { Words } from './words';

export const LISTS = { audio: 'microphone', video: 'camera' } as const;

export async function fillSettings(media: OwnMedia, words: Words): Promise<void> {
  for (const kind of KINDS) {
    fill(LISTS[kind], await devicesOf(kind), media.deviceId(kind), words);
  }
  const [speakers, inUse] = await Promise.all([
    OT.getAudioOutputDevices().catch(() => []),
    OT.getActiveAudioOutputDevice().catch(() => ({ deviceId: null })),
  ]);
  fill('speaker', speakers, inUse.deviceId ?? 'default', words);
}

export async function openSettings(media: OwnMedia, words: Words, secret: string): Promise<void> {
  input('changed-secret').value = secret;
  showFault(null);
  await fillSettings(media, words);
  dialog('settings').showModal();
}

export async function openCode(call: Call): Promise<void> {
  write(element('code-digits'), await call.verificationCode());
  showFault(null);
  dialog('code').showModal();
}

/** What is wrong, in the dialog that is open; whether one is. `null`: nothing. */
export function showFault(text: string | null): boolean {
  for (const box of document.querySelectorAll<HTMLElement>('dialog .fault')) {
    const isHere = text !== null && box.closest('dialog')?.open === true;
    box.hidden = !isHere;
    write(box, isHere ? text : '');
  }
  return document.querySelector('dialog[open]') !== null;
}

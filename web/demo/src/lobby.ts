/** The lobby: preview, choice of devices, and what is missing. */
import { type Choice, type Fault, type Kind, KINDS, withFault } from './capture';
import { element, input, mark, select, write } from './elements';
import type { OwnMedia } from './own-media';
import { MAX_LABEL, readable } from './texts';
import type { Words } from './words';

const BOX = { audio: 'with-audio', video: 'with-video' } as const;
const LIST = { audio: 'lobby-microphone', video: 'lobby-camera' } as const;
const INPUT_KIND = { audio: 'audioInput', video: 'videoInput' } as const;

interface Named {
  readonly deviceId: string | null;
  readonly label: string | null;
}

/** Fills a list of devices; the one in use is chosen. */
export function fill(id: string, devices: readonly Named[], inUse: string, words: Words): void {
  const list = select(id);
  const options = devices.map(({ deviceId, label }, index) => {
    const name = readable(label, MAX_LABEL) || `${words.say('settings.default')} ${index + 1}`;
    return new Option(name, deviceId ?? '', false, deviceId === inUse);
  });
  if (options.length === 0) options.push(new Option(words.say('settings.none'), ''));
  list.replaceChildren(...options);
  list.disabled = devices.length === 0;
}

/** Cameras or microphones, as the browser names them. */
export async function devicesOf(kind: Kind): Promise<readonly Named[]> {
  const found = await OT.getDevices().catch(() => []);
  return found.filter((device) => device.kind === INPUT_KIND[kind]);
}

export async function idsOf(kind: Kind): Promise<string[]> {
  return (await devicesOf(kind)).map(({ deviceId }) => deviceId ?? '');
}

export class Lobby {
  faults: Partial<Record<Kind, Fault>> = {};
  private isOpen = false;
  /** After a call the devices are off until somebody wants them. */
  private isResting = false;

  constructor(
    private readonly media: OwnMedia,
    private readonly words: () => Words,
  ) {
    for (const kind of KINDS) {
      input(BOX[kind]).addEventListener('change', () => void this.change(kind));
      select(LIST[kind]).addEventListener('change', () => void this.change(kind));
    }
  }

  /** Captures what is chosen, and shows it. */
  async open(): Promise<void> {
    this.isOpen = true;
    await this.capture();
    await this.show();
  }

  /** After a call: what was captured for it is released, and its lights go off. */
  async rest(): Promise<void> {
    this.isOpen = true;
    this.isResting = true;
    this.faults = {};
    await this.media.close(...KINDS);
    await this.show();
  }

  /** Captures what is chosen, if it rests. */
  async wake(): Promise<void> {
    if (this.isResting) await this.capture();
  }

  /** The call goes on with what was captured. */
  close(): void {
    this.isOpen = false;
    element<HTMLVideoElement>('preview').srcObject = null;
  }

  /** A device was unplugged. */
  async lost(kind: Kind): Promise<void> {
    const swap = await this.media.recover(kind, await idsOf(kind));
    this.faults = withFault(this.faults, kind, swap ? undefined : 'missing');
    await this.show();
  }

  /** Something was plugged in or out. */
  async plugged(): Promise<void> {
    if (this.isOpen) {
      for (const kind of this.media.lost) {
        const swap = await this.media.recover(kind, await idsOf(kind));
        if (swap) this.faults = withFault(this.faults, kind, undefined);
      }
    }
    await this.show();
  }

  wants(kind: Kind): boolean {
    return input(BOX[kind]).checked;
  }

  /** In another language, or with other devices. */
  async show(): Promise<void> {
    if (!this.isOpen) return;
    const words = this.words();
    const { video } = this.media.tracks;
    const preview = element<HTMLVideoElement>('preview');
    const shown = (preview.srcObject as MediaStream | null)?.getVideoTracks()[0];
    if (shown !== video) preview.srcObject = video ? new MediaStream([video]) : null;
    preview.hidden = !video;
    element('preview-off').hidden = Boolean(video);
    const faults = KINDS.flatMap((kind) => {
      const fault = this.wants(kind) ? this.faults[kind] : undefined;
      return fault ? [words.say(`fault.${kind}.${fault}`)] : [];
    });
    const all = faults.length > 0 ? [...faults, words.say('lobby.without')] : [];
    write(element('lobby-fault'), all.join(' '));
    for (const kind of KINDS) {
      mark(input(BOX[kind]), 'data-fault', this.faults[kind] ?? '');
      fill(LIST[kind], await devicesOf(kind), this.media.deviceId(kind), words);
    }
  }

  private async capture(): Promise<void> {
    this.isResting = false;
    const choice = (kind: Kind): Choice =>
      this.wants(kind) ? select(LIST[kind]).value || true : null;
    this.faults = await this.media.open({ audio: choice('audio'), video: choice('video') });
  }

  private async change(kind: Kind): Promise<void> {
    if (this.isResting) {
      await this.capture();
      return this.show();
    }
    let fault: Fault | undefined;
    if (this.wants(kind)) {
      fault = await this.media.openOne(kind, select(LIST[kind]).value || true);
    } else {
      await this.media.close(kind);
    }
    this.faults = withFault(this.faults, kind, fault);
    await this.show();
  }
}

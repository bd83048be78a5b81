/** Cameras, microphones and speakers. */
import { otError } from '../errors';
import { exceptions } from '../exceptions';
import { JobQueue } from '../rtc/queue';
import { onDeviceChange } from './device-changes';

/** A camera or microphone; `label` is empty until the page may use one. */
export interface Device {
  /** Microphone or camera. */
  readonly kind: 'audioInput' | 'videoInput';
  /** For `audioSource` and `videoSource`; empty until the page may use devices. */
  readonly deviceId: string;
  /** Name for people; empty until the page may use devices. */
  readonly label: string;
}

/** A speaker; both members are `null` where the speaker in use is not known. */
export interface OutputDevice {
  /** For `setAudioOutputDevice`. */
  readonly deviceId: string | null;
  /** Name for people. */
  readonly label: string | null;
}

const INPUT_KINDS = { audioinput: 'audioInput', videoinput: 'videoInput' } as const;

export function mediaDevices(): MediaDevices {
  const { mediaDevices: devices } = globalThis.navigator;
  // Missing on pages without a secure context, whatever the browser's types say.
  if (!(devices as MediaDevices | undefined)) {
    throw otError('OT_NOT_SUPPORTED', 'Devices can only be used on https pages or on localhost');
  }
  return devices;
}

export async function inputDevices(): Promise<Device[]> {
  const devices = await mediaDevices().enumerateDevices();
  return devices.flatMap(({ kind, deviceId, label }) =>
    kind === 'audiooutput' ? [] : [{ kind: INPUT_KINDS[kind], deviceId, label }],
  );
}

/** What was chosen; `undefined`: the browser's own choice. */
let outputDeviceId: string | undefined;
/** The chosen one is not there, and the browser's own choice plays. */
let isAway = false;
let stopListening: (() => void) | undefined;
const outputs = new Set<HTMLMediaElement>();
/** For the browser's own choice. */
const ANY = '';

function sinkId(): string {
  return isAway ? ANY : (outputDeviceId ?? ANY);
}

export async function outputDevices(): Promise<OutputDevice[]> {
  const devices = await mediaDevices().enumerateDevices();
  return devices
    .filter(({ kind }) => kind === 'audiooutput')
    .map(({ deviceId, label }) => ({ deviceId, label }));
}

export async function activeOutputDevice(): Promise<OutputDevice> {
  const wanted = sinkId() || 'default';
  const devices = await outputDevices();
  return devices.find(({ deviceId }) => deviceId === wanted) ?? { deviceId: null, label: null };
}

/** For everything that plays now and later. */
export async function setOutputDevice(deviceId: string): Promise<void> {
  if (!('setSinkId' in HTMLMediaElement.prototype)) {
    throw otError('OT_NOT_SUPPORTED', 'This browser cannot choose the speaker');
  }
  try {
    await Promise.all([...outputs].map((element) => element.setSinkId(deviceId)));
  } catch (error) {
    throw otError(
      'OT_INVALID_PARAMETER',
      error instanceof Error ? error.message : 'The speaker cannot be used',
    );
  }
  outputDeviceId = deviceId;
  isAway = false;
  stopListening ??= onDeviceChange(() => void outputChanges.run(followOutput));
}

const outputChanges = new JobQueue();

/** A speaker that is unplugged is replaced by what the browser chooses, and taken back later. */
async function followOutput(): Promise<void> {
  const wanted = outputDeviceId;
  const found = await outputDevices().catch(() => []);
  // A page that may not use devices now does not get their ids.
  const ids = found.map(({ deviceId }) => deviceId).filter(Boolean);
  const isGone = wanted !== undefined && wanted !== ANY && !ids.includes(wanted);
  if (ids.length === 0 || wanted !== outputDeviceId || isGone === isAway) return;
  isAway = isGone;
  const playing = [...outputs].map((element) => element.setSinkId(sinkId()));
  await Promise.allSettled(playing);
  const device = await activeOutputDevice().catch(() => ({ deviceId: null, label: null }));
  exceptions.speakerChanged(device);
}

export function addOutput(element: HTMLMediaElement): void {
  outputs.add(element);
  if (sinkId() !== ANY) element.setSinkId(sinkId()).catch(() => undefined);
}

export function removeOutput(element: HTMLMediaElement): void {
  outputs.delete(element);
}

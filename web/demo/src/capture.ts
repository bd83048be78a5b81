/** Camera and microphone: those that are there, and why the others are not. */

export type Kind = 'audio' | 'video';
/** Why a camera or microphone is not there. */
export type Fault = 'missing' | 'denied' | 'busy' | 'unsupported';
/** A device id, any device (`true`), or none. */
export type Choice = string | true | null;
export type Choices = Readonly<Record<Kind, Choice>>;
export type Capture = (choices: Choices) => Promise<MediaStreamTrack[]>;

export interface Captured {
  readonly tracks: Partial<Record<Kind, MediaStreamTrack>>;
  readonly faults: Partial<Record<Kind, Fault>>;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  OT_NO_DEVICES_FOUND: 'missing',
  OT_NO_VALID_CONSTRAINTS: 'missing',
  OT_USER_MEDIA_ACCESS_DENIED: 'denied',
  OT_HARDWARE_UNAVAILABLE: 'busy',
  OT_NOT_SUPPORTED: 'unsupported',
};
export const KINDS: readonly Kind[] = ['audio', 'video'];

/** What is wrong after something happened to one of the two. */
export function withFault(
  faults: Captured['faults'],
  kind: Kind,
  fault: Fault | undefined,
): Captured['faults'] {
  const others = Object.entries(faults).filter(([one]) => one !== kind);
  return { ...Object.fromEntries(others), ...(fault ? { [kind]: fault } : {}) };
}

function faultOf(error: unknown): Fault {
  const { name } = error instanceof Error ? error : new Error();
  return (Object.hasOwn(FAULTS, name) ? FAULTS[name] : undefined) ?? 'busy';
}

const only = (kind: Kind, choice: Choice): Choices =>
  kind === 'audio' ? { audio: choice, video: null } : { audio: null, video: choice };

function sorted(tracks: readonly MediaStreamTrack[]): Captured['tracks'] {
  return Object.fromEntries(tracks.map((track) => [track.kind, track]));
}

/** Both in one question to the user; then, if one of them fails, what can be had of each. */
export async function captureThoseThere(capture: Capture, choices: Choices): Promise<Captured> {
  const wanted = KINDS.filter((kind) => choices[kind] !== null);
  if (wanted.length === 2) {
    const both = await capture(choices).catch(() => undefined);
    if (both) return { tracks: sorted(both), faults: {} };
  }
  const tracks: Partial<Record<Kind, MediaStreamTrack>> = {};
  const faults: Partial<Record<Kind, Fault>> = {};
  for (const kind of wanted) {
    try {
      Object.assign(tracks, sorted(await captureOne(capture, kind, choices[kind])));
    } catch (error) {
      faults[kind] = faultOf(error);
    }
  }
  return { tracks, faults };
}

/** A device that was chosen once and is gone gives way to any other. */
async function captureOne(
  capture: Capture,
  kind: Kind,
  choice: Choice,
): Promise<MediaStreamTrack[]> {
  try {
    return await capture(only(kind, choice));
  } catch (error) {
    if (typeof choice !== 'string' || faultOf(error) !== 'missing') throw error;
    return capture(only(kind, true));
  }
}

/** As browsers give them, with the names of OpenTok.js for errors. */
export const captureByBrowser: Capture = async ({ audio, video }) => {
  const stream = await OT.getUserMedia({
    audioSource: audio,
    videoSource: video,
    resolution: '1280x720',
  });
  return stream.getTracks();
};

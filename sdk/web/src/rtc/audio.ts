/** How audio is sent: what a publisher wants of Opus, and what is written for it (RFC 7587). */

const MONO_BPS = 40_000;
const STEREO_BPS = 64_000;

export interface AudioFormat {
  readonly stereo: boolean;
  /** Next to nothing is sent in silence. */
  readonly dtx: boolean;
}

interface AudioOptions {
  readonly audioBitrate?: number;
  readonly enableStereo?: boolean;
  readonly enableDtx?: boolean;
}

/** What the properties of a publisher mean for its audio. */
export function audioSending({ audioBitrate, enableStereo, enableDtx }: AudioOptions): {
  encodings: RTCRtpEncodingParameters[];
  preferredCodecs: readonly [];
  format: AudioFormat;
} {
  return {
    preferredCodecs: [],
    encodings: [{ maxBitrate: audioBitrate ?? (enableStereo ? STEREO_BPS : MONO_BPS) }],
    format: { stereo: enableStereo ?? false, dtx: enableDtx ?? false },
  };
}

/**
 * Writes into the audio m-lines how their Opus is sent. Browsers have no call for it: they encode
 * by the answer that they apply, and write nothing of it into their offers. In an answer this
 * takes the place of what the server says: it decides neither on channels nor on silence.
 */
export function withAudioFormats(
  sdp: string,
  formatOf: (mid: string) => AudioFormat | undefined,
): string {
  return mapOpus(sdp, (parameters, { mid }) => {
    const format = formatOf(mid);
    if (!format) return;
    write(parameters, 'stereo', format.stereo);
    write(parameters, 'sprop-stereo', format.stereo);
    write(parameters, 'usedtx', format.dtx);
  });
}

/** Takes two channels where the offer has them: Chromium decodes by its own description. */
export function withOfferedStereo(answer: string, offer: string): string {
  const offered = new Set<string>();
  mapOpus(offer, (parameters, { mid, payloadType }) => {
    const isStereo = ['stereo', 'sprop-stereo'].some((name) => parameters.get(name) === '1');
    if (isStereo) offered.add(`${payloadType} ${mid}`);
  });
  return mapOpus(answer, (parameters, { mid, payloadType }) => {
    if (offered.has(`${payloadType} ${mid}`)) write(parameters, 'stereo', true);
  });
}

type Parameters = Map<string, string>;
type Change = (
  parameters: Parameters,
  place: { readonly mid: string; readonly payloadType: string },
) => void;

function write(parameters: Parameters, name: string, isOn: boolean): void {
  if (isOn) parameters.set(name, '1');
  else parameters.delete(name);
}

/** Changes the format parameters of each Opus in the audio m-lines. */
function mapOpus(sdp: string, change: Change): string {
  return sdp
    .split(/^(?=m=)/m)
    .map((section) => (section.startsWith('m=audio ') ? mapSection(section, change) : section))
    .join('');
}

function mapSection(section: string, change: Change): string {
  const lines = section.split(/\r?\n/);
  const mid = lines.find((line) => line.startsWith('a=mid:'))?.slice('a=mid:'.length) ?? '';
  const formats = new Map(
    lines.flatMap((line) => {
      const payloadType = OPUS.exec(line)?.[1];
      if (payloadType === undefined) return [];
      const parameters = parametersOf(lines, payloadType);
      change(parameters, { mid, payloadType });
      return [[payloadType, formatLine(payloadType, parameters)] as const];
    }),
  );
  return lines
    .flatMap((line) => {
      const payloadType = OPUS.exec(line)?.[1];
      if (payloadType !== undefined) return [line, ...(formats.get(payloadType) ?? [])];
      // Behind its rtpmap.
      return formats.has(FORMAT.exec(line)?.[1] ?? '') ? [] : [line];
    })
    .join('\r\n');
}

const OPUS = /^a=rtpmap:(\d+) opus\/48000\/2$/i;
const FORMAT = /^a=fmtp:(\d+) (.*)$/;

function parametersOf(lines: readonly string[], payloadType: string): Parameters {
  const found = lines.flatMap((line) => {
    const [, of, text = ''] = FORMAT.exec(line) ?? [];
    return of === payloadType ? text.split(';') : [];
  });
  return new Map(
    found.flatMap((parameter) => {
      const [name = '', ...value] = parameter.trim().split('=');
      return name === '' ? [] : [[name.toLowerCase(), value.join('=')] as const];
    }),
  );
}

function formatLine(payloadType: string, parameters: Parameters): string[] {
  const text = [...parameters].map(([name, value]) => (value === '' ? name : `${name}=${value}`));
  return text.length === 0 ? [] : [`a=fmtp:${payloadType} ${text.join(';')}`];
}

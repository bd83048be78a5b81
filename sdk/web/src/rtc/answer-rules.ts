/**
 * What an answer to an offer of an encrypted session must be like (e2ee/2, section 10). The server
 * writes it, and it decides how this client sends: so it may take less than was offered, and
 * nothing else. An answer with more than that is refused whole, before any of it is applied. Pure.
 */

/** Lines that no answer of a server needs, and that make browsers do other things than send. */
const FORBIDDEN = /^a=(?:sctp-port|sctpmap|crypto|ssrc|ssrc-group|msid)(?:[: ]|$)/;

interface Section {
  /** The m-line's kind; "": what stands before all of them. */
  readonly kind: string;
  /** It has a port. */
  readonly isActive: boolean;
  readonly payloadTypes: readonly string[];
  readonly lines: readonly string[];
}

/**
 * Why the answer is refused; `undefined`: it may be applied. `publishing`: mids of what is about to
 * be sent; the streams on other m-lines may have ended meanwhile.
 */
export function answerRefusal(
  offer: string,
  answer: string,
  publishing: readonly string[] = [],
): string | undefined {
  if (/\r(?!\n)/.test(answer)) return 'its lines end in different ways';
  const [offered, answered] = [sectionsOf(offer), sectionsOf(answer)];
  if (offered.length !== answered.length) return 'it has other m-lines than the offer';
  for (const [index, section] of answered.entries()) {
    const mine = offered[index];
    const fault = mine && (faultOf(mine, section, index === 0) ?? notTaken(section, publishing));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Clients name their sources, and the streams of them, on m-lines that do not send as well. */
const SOURCES = /^a=(?:ssrc|ssrc-group|msid)(?:[: ].*)?$/gm;

/** Of an answer that another client makes in a relayed session: it takes all that is sent to it. */
export function peerAnswerRefusal(offer: string, answer: string): string | undefined {
  const mids = sectionsOf(offer).flatMap((section) => valuesOf(section, 'mid'));
  return answerRefusal(offer, answer.replace(SOURCES, ''), mids);
}

/** Nothing would leave over such an m-line, without an error. */
function notTaken(answered: Section, publishing: readonly string[]): string | undefined {
  if (!publishing.includes(valuesOf(answered, 'mid')[0] ?? '')) return undefined;
  const isTaken = answered.isActive && answered.lines.includes('a=recvonly');
  return isTaken ? undefined : 'an m-line does not take what is sent';
}

function faultOf(offered: Section, answered: Section, isHead: boolean): string | undefined {
  const forbidden = answered.lines.find((line) => FORBIDDEN.test(line));
  if (forbidden !== undefined) return `it has the line ${forbidden.split(/[ :]/, 1)[0] ?? ''}`;
  if (!isHead) {
    const fault = lineFault(offered, answered);
    if (fault !== undefined) return fault;
  }
  for (const { name, read } of TAKEN) {
    const mine = new Set(read(offered));
    if (read(answered).some((entry) => !mine.has(entry))) return `it has ${name} of its own`;
  }
  return undefined;
}

function lineFault(offered: Section, answered: Section): string | undefined {
  const mids = valuesOf(answered, 'mid');
  if (mids.length !== 1 || mids[0] !== valuesOf(offered, 'mid')[0]) {
    return 'an m-line became another one';
  }
  if (answered.kind !== offered.kind) return 'an m-line became another one';
  const modes = answered.lines.filter((line) =>
    /^a=(?:sendrecv|sendonly|recvonly|inactive)\b/.test(line),
  );
  const isReceiving = modes.length === 1 && /^a=(?:recvonly|inactive)$/.test(modes[0] ?? '');
  return isReceiving ? undefined : 'an m-line does more than receive';
}

/** What an answer takes from the offer, each entry as it was offered there. */
const TAKEN: readonly { name: string; read: (section: Section) => readonly string[] }[] = [
  { name: 'payload types', read: ({ payloadTypes }) => payloadTypes },
  { name: 'codecs', read: (section) => valuesOf(section, 'rtpmap').map(codecOf) },
  { name: 'retransmissions', read: (section) => valuesOf(section, 'fmtp').flatMap(fixedOf) },
  { name: 'header extensions', read: (section) => valuesOf(section, 'extmap').map(extensionOf) },
  { name: 'layers', read: (section) => [...ridsOf(section), ...simulcastOf(section)] },
];

/** "111 opus/48000/2"; one channel is what is meant without a number. */
const codecOf = (value: string): string => value.toLowerCase().replace(/\/1$/, '');

/** The parameters that say what a payload type is, and not how much of it is wanted. */
function fixedOf(value: string): string[] {
  const [payloadType, parameters = ''] = split(value);
  return parameters
    .split(';')
    .map((parameter) => parameter.trim().toLowerCase())
    .filter((parameter) => /^(?:apt|packetization-mode)=/.test(parameter))
    .map((parameter) => `${payloadType} ${parameter}`);
}

/** "1/recvonly uri" → "1 uri": an answer may take an extension in one direction alone. */
function extensionOf(value: string): string {
  const [id = '', rest = ''] = split(value);
  return `${id.replace(/\/.*/, '')} ${rest}`;
}

const ridsOf = (section: Section): string[] =>
  valuesOf(section, 'rid').map((value) => split(value)[0] ?? '');

/** Paused layers have a ~ before their names. */
const simulcastOf = (section: Section): string[] =>
  valuesOf(section, 'simulcast').flatMap((value) =>
    value.split(/[ ;,]/).flatMap((name) => {
      const plain = name.replace(/^~/, '');
      return plain === '' || plain === 'send' || plain === 'recv' ? [] : [plain];
    }),
  );

/** The first word, and what follows it. */
function split(value: string): readonly string[] {
  const at = value.indexOf(' ');
  return at < 0 ? [value] : [value.slice(0, at), value.slice(at + 1).trim()];
}

function valuesOf({ lines }: Section, name: string): string[] {
  const start = `a=${name}:`;
  return lines
    .filter((line) => line.startsWith(start))
    .map((line) => line.slice(start.length).trim());
}

function sectionsOf(sdp: string): Section[] {
  const sections: string[][] = [[]];
  for (const line of sdp.split(/\r?\n/)) {
    if (line.startsWith('m=')) sections.push([]);
    sections.at(-1)?.push(line);
  }
  return sections.map((lines) => {
    const [head = ''] = lines;
    const [kind = '', port, , ...payloadTypes] = head.startsWith('m=')
      ? head.slice(2).split(' ')
      : [];
    return { kind, isActive: port !== '0', payloadTypes, lines };
  });
}

/**
 * The other end of a transport: its certificate, and its role in the DTLS handshake.
 * Neither changes within the life of a transport (RFC 8842), and browsers do not all mind: Chromium
 * takes the name of another certificate, and its transport ends a moment later. Pure.
 */
import { type OTError, otError } from '../errors';

export class RemoteEnd {
  private known: string | undefined;

  /** Before a description is applied. Errors: it names another end, or more than one. */
  check(sdp: string): void {
    const end = endIn(sdp);
    if (end === undefined || (this.known !== undefined && end !== this.known)) throw changed();
  }

  /** After it was applied. */
  remember(sdp: string): void {
    this.known ??= endIn(sdp);
  }
}

const changed = (): OTError =>
  otError(
    'OT_UNEXPECTED_SERVER_RESPONSE',
    'The other end of a media connection named another certificate or DTLS role than before; ' +
      'that was refused. If media stops, connect again',
  );

/** `undefined`: its m-lines name more than one. */
function endIn(sdp: string): string | undefined {
  const sections = sdp.split(/^(?=m=)/m);
  const prints = distinct(sections, /^a=fingerprint:[ \t]*(\S+[ \t]+\S+)/gim);
  const roles = distinct(sections, /^a=setup:[ \t]*(\S+)/gim);
  return prints.size > 1 || roles.size > 1 ? undefined : [...prints, ...roles].join();
}

/** What sections say, each as one; many say nothing, for what stands before the first m-line. */
function distinct(sections: readonly string[], pattern: RegExp): Set<string> {
  const said = sections.map((section) =>
    [...section.matchAll(pattern)].map(([, value = '']) => value.toLowerCase().replace(/\s+/, ' ')),
  );
  return new Set(said.filter(({ length }) => length > 0).map((values) => values.sort().join()));
}

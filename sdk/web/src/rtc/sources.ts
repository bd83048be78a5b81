/**
 * When the browser gets the SSRCs of an encrypted downlink (e2ee/2 section 10).
 *
 * Chromium plays audio and video in step only where an offer names the SSRCs of both. But a
 * transform that is attached to an SSRC that was named gets frames of that one alone: a server
 * could send clear media under another one, and around the transform it would go to the decoder.
 * A transform that is attached while an m-line names none gets every frame of that m-line, also
 * once one is named and whatever comes under others. So an m-line is opened without SSRCs first,
 * and again each time that it begins again to name them.
 */
import { hasEncodedStreams, hasScriptTransform } from '../e2ee/support';

interface Section {
  readonly lines: readonly string[];
  /** `undefined`: before the first m-line, or not exactly one is given. */
  readonly mid: string | undefined;
}

/** Other browsers than Chromium have not been seen to do the above, and get no SSRC. */
function mayNameSources(): boolean {
  return hasScriptTransform() && hasEncodedStreams();
}

/** The mids of the m-lines that name an SSRC. */
export function midsWithSources(sdp: string): ReadonlySet<string> {
  const naming = sectionsOf(sdp).filter(({ lines }) => {
    const isRejected = /^m=\S+ 0 /.test(lines[0] ?? '');
    return !isRejected && lines.some(isSource);
  });
  return new Set(naming.flatMap(({ mid }) => mid ?? []));
}

/**
 * What to apply, one after the other, in place of an offer of an encrypted session. `named`: the
 * mids of m-lines that name their SSRCs already, and have had a transform since before.
 */
export function encryptedOffers(
  sdp: string,
  named: ReadonlySet<string>,
  mayName = mayNameSources(),
): string[] {
  if (!mayName) return [without(sdp, new Set())];
  const wanted = midsWithSources(sdp);
  const whole = without(sdp, wanted);
  const opens = [...wanted].some((mid) => !named.has(mid));
  return opens ? [without(sdp, named), whole] : [whole];
}

/** Takes the SSRCs away from all m-lines but those with these mids. */
function without(sdp: string, kept: ReadonlySet<string>): string {
  return sectionsOf(sdp)
    .flatMap(({ lines, mid }) =>
      mid !== undefined && kept.has(mid) ? lines : lines.filter((line) => !isSource(line)),
    )
    .join('\n');
}

const isSource = (line: string): boolean => line.startsWith('a=ssrc');

/** M-lines are distinguished as the browser does it: an offer must not look different to it. */
function sectionsOf(sdp: string): Section[] {
  const sections: string[][] = [[]];
  for (const line of sdp.split('\n')) {
    if (line.startsWith('m=')) sections.push([]);
    sections.at(-1)?.push(line);
  }
  return sections.map((lines) => {
    const mids = lines.filter((line) => line.startsWith('a=mid:'));
    const isOne = mids.length === 1 && lines[0]?.startsWith('m=') === true;
    return { lines, mid: isOne ? mids[0]?.slice('a=mid:'.length).trimEnd() : undefined };
  });
}

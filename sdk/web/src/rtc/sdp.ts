/** Small repairs of what browsers write. */

/**
 * Removes codec attributes for payload types that are not in their m-line. Firefox leaves
 * `a=rtcp-fb` lines behind after setCodecPreferences, and other parsers refuse them.
 */
export function dropStrayCodecLines(sdp: string): string {
  let payloadTypes: ReadonlySet<string> | undefined;
  return sdp
    .split('\r\n')
    .filter((line) => {
      if (line.startsWith('m=')) payloadTypes = new Set(line.split(' ').slice(3));
      const payloadType = /^a=(?:rtcp-fb|fmtp|rtpmap):(\d+) /.exec(line)?.[1];
      return payloadType === undefined || !payloadTypes || payloadTypes.has(payloadType);
    })
    .join('\r\n');
}

/**
 * Accepts the retransmission of lost audio that an offer has. Chromium asks for lost audio packets
 * when its own description says so, but does not say it of itself.
 */
export function withAudioNack(answer: string, offer: string): string {
  const offered = new Set(
    sectionsOf(offer)
      .filter((section) => section.startsWith('m=audio'))
      .flatMap((section) => [...section.matchAll(/^a=rtcp-fb:(\d+) nack\r$/gm)])
      .map(([, payloadType]) => payloadType),
  );
  return sectionsOf(answer)
    .map((section) => {
      if (!section.startsWith('m=audio')) return section;
      return section.replaceAll(/^a=rtpmap:(\d+) [^\r\n]*\r\n/gm, (line, payloadType: string) => {
        const feedback = `a=rtcp-fb:${payloadType} nack\r\n`;
        const isNew = offered.has(payloadType) && !section.includes(feedback);
        return isNew ? line + feedback : line;
      });
    })
    .join('');
}

/** The session's lines, then those of each m-line. */
const sectionsOf = (sdp: string): string[] => sdp.split(/^(?=m=)/m);

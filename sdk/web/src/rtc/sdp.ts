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

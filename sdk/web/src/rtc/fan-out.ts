/** One track of a publisher that goes to several peers, as if it were one sender. */

/** What publishers do with what sends their tracks. */
export type MediaSender = Pick<
  RTCRtpSender,
  'replaceTrack' | 'getParameters' | 'setParameters' | 'getStats'
>;

interface Branch {
  readonly sender: RTCRtpSender;
  isWanted: boolean;
}

export class FanOut implements MediaSender {
  private readonly branches = new Map<string, Branch>();
  private maxBitrate: number | undefined;

  /** `encodings`: as for one sender. Peers get one encoding, of the best of them. */
  constructor(
    private track: MediaStreamTrack | null,
    private readonly encodings: readonly RTCRtpEncodingParameters[],
  ) {
    this.maxBitrate = highest(encodings);
  }

  /** What a new peer's transceiver sends with. */
  initialEncodings(): RTCRtpEncodingParameters[] {
    const { maxFramerate } = this.encodings.at(-1) ?? {};
    return [
      {
        ...(this.maxBitrate === undefined ? {} : { maxBitrate: this.maxBitrate }),
        ...(maxFramerate === undefined ? {} : { maxFramerate }),
      },
    ];
  }

  async add(peer: string, sender: RTCRtpSender, isWanted: boolean): Promise<void> {
    this.branches.set(peer, { sender, isWanted });
    await sender.replaceTrack(isWanted ? this.track : null);
  }

  /** A peer that does not want the track is sent nothing at all. */
  async want(peer: string, isWanted: boolean): Promise<void> {
    const branch = this.branches.get(peer);
    if (!branch || branch.isWanted === isWanted) return;
    branch.isWanted = isWanted;
    await branch.sender.replaceTrack(isWanted ? this.track : null);
  }

  remove(peer: string): void {
    this.branches.delete(peer);
  }

  async replaceTrack(track: MediaStreamTrack | null): Promise<void> {
    this.track = track;
    const wanting = [...this.branches.values()].filter(({ isWanted }) => isWanted);
    await Promise.all(wanting.map(({ sender }) => sender.replaceTrack(track)));
  }

  /** The encodings that were asked for, so that the caller's change of them fits. */
  getParameters(): RTCRtpSendParameters {
    const encodings = this.encodings.map((encoding) => ({ ...encoding }));
    return { encodings, transactionId: '', codecs: [], headerExtensions: [], rtcp: {} };
  }

  async setParameters({ encodings }: RTCRtpSendParameters): Promise<void> {
    this.maxBitrate = highest(encodings);
    await Promise.all(
      [...this.branches.values()].map(async ({ sender }) => {
        const parameters = sender.getParameters();
        for (const encoding of parameters.encodings) {
          if (this.maxBitrate !== undefined) encoding.maxBitrate = this.maxBitrate;
        }
        await sender.setParameters(parameters);
      }),
    );
  }

  /** The rows of all peers; ids are made different by the peer's. */
  async getStats(): Promise<RTCStatsReport> {
    const rows = new Map<string, unknown>();
    for (const [peer, { sender }] of this.branches) {
      (await sender.getStats()).forEach((row: { id: string }) =>
        rows.set(`${peer}-${row.id}`, { ...row, id: `${peer}-${row.id}` }),
      );
    }
    return rows;
  }
}

function highest(encodings: readonly RTCRtpEncodingParameters[]): number | undefined {
  const rates = encodings.flatMap(({ maxBitrate }) => maxBitrate ?? []);
  return rates.length === 0 ? undefined : Math.max(...rates);
}

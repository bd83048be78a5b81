/** Takes noise out of speech with RNNoise, in an audio worklet. */
import { loadRnnoise, RnnoiseWorkletNode } from '@sapphi-red/web-noise-suppressor';
import type { MediaProcessorConnector } from '../media/processing';

/** What the model was trained with, and what Opus takes. */
const SAMPLE_RATE = 48_000;

export class NoiseConnector implements MediaProcessorConnector {
  private source: MediaStreamAudioSourceNode | undefined;

  private constructor(
    private readonly context: AudioContext,
    private readonly node: RnnoiseWorkletNode,
    private readonly output: MediaStreamAudioDestinationNode,
  ) {
    node.connect(output);
  }

  static async load(folder: string): Promise<NoiseConnector> {
    const context = new AudioContext({ sampleRate: SAMPLE_RATE });
    try {
      const [wasmBinary] = await Promise.all([
        loadRnnoise({ url: `${folder}rnnoise.wasm`, simdUrl: `${folder}rnnoise_simd.wasm` }),
        context.audioWorklet.addModule(`${folder}rnnoise-worklet.js`),
      ]);
      const node = new RnnoiseWorkletNode(context, { wasmBinary, maxChannels: 1 });
      return new NoiseConnector(context, node, context.createMediaStreamDestination());
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  async setTrack(track: MediaStreamTrack): Promise<MediaStreamTrack> {
    this.source?.disconnect();
    this.source = this.context.createMediaStreamSource(new MediaStream([track]));
    this.source.connect(this.node);
    if (this.context.state === 'suspended') await this.context.resume();
    const [output] = this.output.stream.getAudioTracks();
    if (!output) throw new Error('The audio cannot be processed');
    return output;
  }

  async destroy(): Promise<void> {
    this.source?.disconnect();
    this.node.destroy();
    await this.context.close();
  }
}

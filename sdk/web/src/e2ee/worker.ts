/** The worker's scope: messages and transforms in, WorkerCore behind them. */
import type { FromWorker, ToWorker, TransformOptions } from './protocol';
import { BEAT_MS } from './pulse';
import type { KeyFrameSource } from './sending-tracks';
import type { EncodedFrame } from './worker-core';
import { WorkerCore } from './worker-core';

interface Transformer extends KeyFrameSource {
  readonly options: TransformOptions;
  readonly readable: ReadableStream<EncodedFrame>;
  readonly writable: WritableStream<EncodedFrame>;
}

interface Scope {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  onrtctransform: ((event: { readonly transformer: Transformer }) => void) | null;
  postMessage(message: FromWorker): void;
}

const scope = globalThis as unknown as Scope;
const core = new WorkerCore(
  (notice) => scope.postMessage(notice),
  () => performance.now(),
);

/** Frames of a track that wait to be encrypted or decrypted; later ones are dropped. */
const MAX_WAITING = 256;

setInterval(() => core.beat(), BEAT_MS);

function run(
  options: TransformOptions,
  readable: ReadableStream<EncodedFrame>,
  writable: WritableStream<EncodedFrame>,
): void {
  let waiting = 0;
  /** Counts frames as they come: what is done with them may take long on a busy machine. */
  const arrivals = new TransformStream<EncodedFrame, EncodedFrame>(
    {
      transform: (frame, controller) => {
        core.onArrival(options, frame);
        if (waiting >= MAX_WAITING) return;
        waiting += 1;
        controller.enqueue(frame);
      },
    },
    undefined,
    { highWaterMark: Infinity },
  );
  const transform = new TransformStream<EncodedFrame, EncodedFrame>({
    transform: (frame, controller) => {
      waiting -= 1;
      return core.onFrame(options, frame, (output) => controller.enqueue(output));
    },
  });
  // The pipe ends with its track; what remains is the browser's to clean up.
  readable
    .pipeThrough(arrivals)
    .pipeThrough(transform)
    .pipeTo(writable)
    .catch(() => undefined);
}

scope.onrtctransform = ({ transformer }): void => {
  core.attach(transformer.options, transformer);
  run(transformer.options, transformer.readable, transformer.writable);
};

scope.onmessage = ({ data: message }): void => {
  if (message.type === 'streams') {
    core.attach(message.options, undefined);
    run(
      message.options,
      message.readable as ReadableStream<EncodedFrame>,
      message.writable as WritableStream<EncodedFrame>,
    );
    return;
  }
  core.handle(message).then(
    (result) => scope.postMessage({ type: 'reply', id: message.id, result }),
    (error: unknown) =>
      scope.postMessage({
        type: 'refusal',
        id: message.id,
        reason: error instanceof Error ? error.message : 'failed',
      }),
  );
};

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

/**
 * Reads frames as they come, so that they are counted on arrival: what is done with them may take
 * long on a busy machine. They are worked on one after the other. A loop costs a fraction of what
 * two TransformStreams between two pipes cost for each frame.
 */
async function pass(
  options: TransformOptions,
  reader: ReadableStreamDefaultReader<EncodedFrame>,
  writer: WritableStreamDefaultWriter<EncodedFrame>,
): Promise<void> {
  const write = (frame: EncodedFrame): void => {
    writer.write(frame).catch(() => undefined);
  };
  let waiting = 0;
  let last = Promise.resolve();
  for (;;) {
    const { done, value: frame } = await reader.read();
    if (done) return last;
    core.onArrival(options, frame);
    if (waiting >= MAX_WAITING) continue;
    waiting += 1;
    last = last.then(() => {
      waiting -= 1;
      return core.onFrame(options, frame, write);
    });
  }
}

function run(
  options: TransformOptions,
  readable: ReadableStream<EncodedFrame>,
  writable: WritableStream<EncodedFrame>,
): void {
  const [reader, writer] = [readable.getReader(), writable.getWriter()];
  // The track ends on either side; what remains is the browser's to clean up.
  writer.closed.catch(() => reader.cancel()).catch(() => undefined);
  pass(options, reader, writer)
    .then(() => writer.close())
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

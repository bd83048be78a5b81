/** The page's side of the e2ee worker: requests, notices, and attaching transforms. */
import workerSource from 'virtual:e2ee-worker';
import { otError } from '../errors';
import type {
  FromWorker,
  Notice,
  Requests,
  RequestType,
  StreamsMessage,
  TransformOptions,
} from './protocol';
import { encodedStreams, hasScriptTransform } from './support';

interface Pending {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

type NoticeListener = (notice: Notice) => void;

export class E2eeClient {
  private readonly worker: Worker;
  private readonly objectUrl: string | undefined;
  private readonly pending = new Map<number, Pending>();
  private readonly listeners = new Set<NoticeListener>();
  /** An endpoint gets one transform for its life; secrets and streams are swapped behind it. */
  private readonly attached = new WeakSet<RTCRtpSender | RTCRtpReceiver>();
  private nextId = 1;
  private failure: Error | undefined;

  /** `workerUrl`: for pages whose CSP has no `worker-src blob:`; dist/e2ee-worker.js. */
  constructor(workerUrl?: string) {
    this.objectUrl =
      workerUrl === undefined
        ? URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' }))
        : undefined;
    this.worker = new Worker(workerUrl ?? this.objectUrl ?? '', { name: 'sealroute-e2ee' });
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>): void => this.onMessage(data);
    this.worker.onerror = (): void => this.fail();
  }

  onNotice(listener: NoticeListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  request<Type extends RequestType>(
    type: Type,
    body: Requests[Type][0],
  ): Promise<Requests[Type][1]> {
    if (this.failure) return Promise.reject(this.failure);
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.worker.postMessage({ type, id, ...body });
    });
  }

  /**
   * Puts the worker between encoder and network, or network and decoder. To be called in the
   * task that made the sender or receiver (e2ee/1 5.10); a second call does nothing.
   */
  attach(endpoint: RTCRtpSender | RTCRtpReceiver, options: TransformOptions): void {
    if (this.attached.has(endpoint)) return;
    this.attached.add(endpoint);
    if (hasScriptTransform()) {
      endpoint.transform = new RTCRtpScriptTransform(this.worker, options);
      return;
    }
    const { readable, writable } = encodedStreams(endpoint);
    const message: StreamsMessage = { type: 'streams', options, readable, writable };
    this.worker.postMessage(message, [readable, writable]);
  }

  /** Ends the worker. Media under its transforms stops; it never goes on in the clear. */
  close(): void {
    this.worker.terminate();
    if (this.objectUrl !== undefined) URL.revokeObjectURL(this.objectUrl);
    this.failAll(otError('OT_NOT_CONNECTED', 'The session is not connected'));
    this.listeners.clear();
  }

  private onMessage(message: FromWorker): void {
    if (message.type === 'reply') {
      this.take(message.id)?.resolve(message.result as never);
    } else if (message.type === 'refusal') {
      this.take(message.id)?.reject(
        otError('OT_ENCRYPTION_INTERNAL_ERROR', `Encryption failed: ${message.reason}`),
      );
    } else {
      for (const listener of [...this.listeners]) listener(message);
    }
  }

  private take(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    return pending;
  }

  private fail(): void {
    this.failAll(
      otError('OT_ENCRYPTION_INTERNAL_ERROR', 'The encryption worker could not run; check the CSP'),
    );
  }

  private failAll(error: Error): void {
    this.failure = error;
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
  }
}

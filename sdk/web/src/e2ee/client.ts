/** The page's side of the e2ee worker: requests, notices, and attaching transforms. */
import workerSource from 'virtual:e2ee-worker';
import { type OTError, otError } from '../errors';
import { workerUrl as trustedUrl } from '../trusted-types';
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

/** Media under the transforms of a worker that ended stops; it never goes on in the clear. */
const workersOf = new FinalizationRegistry<Worker>((worker) => worker.terminate());

let sharedUrl: string | undefined;

function blobUrl(): string {
  sharedUrl ??= URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' }));
  return sharedUrl;
}

type NoticeListener = (notice: Notice) => void;
type FailureListener = (error: OTError) => void;

/** One worker for the life of a Session object, over all its connections. */
export class E2eeClient {
  private readonly worker: Worker;
  private readonly pending = new Map<number, Pending>();
  private readonly listeners = new Set<NoticeListener>();
  /** An endpoint gets one transform for its life; secrets and streams are swapped behind it. */
  private readonly attached = new WeakSet<RTCRtpSender | RTCRtpReceiver>();
  private readonly failureListeners = new Set<FailureListener>();
  private nextId = 1;
  private failure: OTError | undefined;

  /** `workerUrl`: for pages whose CSP has no `worker-src blob:`; dist/e2ee-worker.js. */
  constructor(workerUrl?: string) {
    const url = workerUrl ?? blobUrl();
    this.worker = new Worker(trustedUrl(url), { name: 'sealroute-e2ee' });
    workersOf.register(this, this.worker);
    // Weakly: a worker ends with the Session object that it belongs to.
    const self = new WeakRef(this);
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>): void =>
      self.deref()?.onMessage(data);
    this.worker.onerror = (): void => self.deref()?.fail();
    this.worker.onmessageerror = (): void => self.deref()?.fail();
  }

  /** Called once, when the worker cannot go on. */
  onFailure(listener: FailureListener): () => void {
    this.failureListeners.add(listener);
    return () => this.failureListeners.delete(listener);
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
   * task that made the sender or receiver (e2ee/2 section 10); a second call does nothing.
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

  /** What the worker remembers is gone with it: it does not begin again. */
  get hasFailed(): boolean {
    return this.failure !== undefined;
  }

  /** Only for a session that has nothing encrypted: what the worker remembers is gone. */
  end(): void {
    this.worker.terminate();
    this.failAll(otError('OT_NOT_CONNECTED', 'The session is not connected'));
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

  /**
   * The worker could not start, ended, or does not answer. It is ended for good: the media under
   * its transforms stops, and nothing of it goes on in the clear.
   */
  fail(): void {
    if (this.failure) return;
    this.worker.terminate();
    const error = otError(
      'OT_ENCRYPTION_INTERNAL_ERROR',
      'The encryption worker could not start or has ended; check the CSP, and load the page again',
    );
    this.failAll(error);
    for (const listener of [...this.failureListeners]) listener(error);
  }

  private failAll(error: OTError): void {
    this.failure = error;
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
  }
}

/** The WebSocket to the server: requests with answers, keep-alive, and resuming after a loss. */
import { afterRunning, type Clock } from '../clock';
import { OTError, otError, PROTOCOL_ERRORS } from '../errors';
import {
  ANSWERS,
  OPEN_TIMEOUT_MS,
  PASSING,
  RECONNECT_FOR_MS,
  REQUEST_TIMEOUT_MS,
  STAYED_UP_MS,
  SUBPROTOCOL,
} from '../rules';
import { AnswerTime } from './answer-time';
import { retryDelay } from './backoff';
import { decodeMessage, encodeMessage, type Fault, isTooLarge } from './codec';
import { type Ending, endingOf } from './endings';
import type {
  ClientMessage,
  Error as ErrorMessage,
  Hello,
  ServerMessage,
  Welcome,
} from './messages';
import { OverdueAnswers } from './overdue';
import type { Socket } from './socket';
import { clampedTimes } from './times';

type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown
  ? Omit<Union, Key>
  : never;

export type RequestMessage = DistributiveOmit<ClientMessage, 'id'>;
export type Reply = Exclude<ServerMessage, ErrorMessage>;

interface ChannelListener {
  onMessage(message: ServerMessage): void;
  /** What answers nothing came in another shape than the protocol's, and was ignored. */
  onFault(error: OTError): void;
  onLost(): void;
  /** `wasSilent`: nothing came over the socket before; its network may be gone. */
  onResumed(welcome: Welcome, wasSilent: boolean): void;
  /** The end: nothing comes after it. Without an ending the server was not found again. */
  onClosed(ending: Ending | undefined): void;
}

interface ChannelEnvironment {
  readonly clock: Clock;
  readonly random: () => number;
  readonly openSocket: (url: string, subprotocol: string) => Socket;
}

interface Pending {
  readonly request: ClientMessage['t'];
  /** What answers it, but for an error. */
  readonly answer: ServerMessage['t'];
  /** Sent again when it was lost on its way; undefined: it ends with its socket. */
  readonly message: ClientMessage | undefined;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: OTError) => void;
  readonly cancelTimeout: () => void;
}

/** Where every timer is late, as in a page in the background, the last answer to so many counts. */
const MAX_CHECKS = 3;
/** The server drops us after 2.5 silent keep-alive intervals; we are as patient with it. */
const SILENT_INTERVALS = 2.5;

type State = 'new' | 'connecting' | 'open' | 'lost' | 'closed';

export class SignalingChannel {
  private state: State = 'new';
  private socket: Socket | undefined;
  private nextId = 1;
  private readonly pending = new Map<number, Pending>();
  private readonly overdue = new OverdueAnswers();
  /** Requests made while the socket is lost. */
  private waiting: ClientMessage[] = [];
  private welcome: Welcome | undefined;
  /** The greeting under way: it ends with its socket, other requests outlive theirs. */
  private greetingId: number | undefined;
  private received = 0;
  /** Kinds of misshapen messages that were reported: each once. */
  private readonly reportedFaults = new Set<string>();
  private openedAt = 0;
  private lostAt = 0;
  /** Since when no socket has been of use. */
  private uselessSince: number | undefined;
  /** Of the attempts since a socket was of use: how long the next one waits. */
  private attempt = 0;
  private receivedAt = 0;
  private cancelKeepAlive: () => void = () => undefined;
  /** The last socket did not end: it was given up. */
  private wasSilent = false;
  /** Ends the wait for the next attempt. */
  private retryNow: (() => void) | undefined;
  private isChecking = false;
  /** Measured by the greeting and by pings: one lost answer says little where all are slow. */
  private readonly answerTime = new AnswerTime();

  constructor(
    private readonly url: string,
    private readonly hello: Omit<Hello, 't' | 'id' | 'resume'>,
    private readonly listener: ChannelListener,
    private readonly environment: ChannelEnvironment,
  ) {}

  get isOpen(): boolean {
    return this.state === 'open' || this.state === 'lost';
  }

  /** Rejects with the server's error, or OT_CONNECT_FAILED when it cannot be reached. */
  async connect(): Promise<Welcome> {
    this.state = 'connecting';
    try {
      const welcome = await this.openAndGreet(undefined);
      this.becomeOpen(welcome);
      return welcome;
    } catch (error) {
      this.shut();
      throw error;
    }
  }

  /** Rejects with the server's error, OT_TIMEOUT, or OT_NOT_CONNECTED when the channel ends. */
  request(message: RequestMessage): Promise<Reply> {
    if (!this.isOpen) {
      return Promise.reject(otError('OT_NOT_CONNECTED', 'The session is not connected'));
    }
    return this.enqueue(message);
  }

  /**
   * The network may be another one: a socket over the one before says nothing of its end. Asks
   * for an answer soon, or tries at once to resume.
   */
  check(): void {
    if (this.state === 'lost') this.retryNow?.();
    this.ask(MAX_CHECKS);
  }

  /** The network has changed: that attempts failed before says nothing of the next one. */
  onNetworkChanged(): void {
    this.attempt = 0;
    this.uselessSince = undefined;
    this.check();
  }

  /** The network was gone, and sockets do not outlive that: tries at once to resume. */
  renew(): void {
    this.attempt = 0;
    this.uselessSince = undefined;
    if (this.state === 'open') this.abandonSocket();
    if (this.state === 'lost') this.retryNow?.();
  }

  private ask(times: number): void {
    if (this.state !== 'open' || this.isChecking) return;
    const { clock } = this.environment;
    const askedAt = clock.now();
    const { socket } = this;
    const { patienceMs } = this.answerTime;
    this.isChecking = true;
    this.ping({});
    clock.after(patienceMs, () => {
      this.isChecking = false;
      const isSilent = this.receivedAt < askedAt && socket === this.socket;
      if (this.state !== 'open' || !isSilent) return;
      // A timer this late says that the page stood still: the answer may wait behind it.
      if (times > 1 && clock.now() - askedAt > 2 * patienceMs) this.ask(times - 1);
      else this.abandonSocket();
    });
  }

  /** Leaves politely and ends the channel without another event. */
  close(): void {
    // After the welcome this client is in the session, even if the answer has not come yet.
    if (this.state === 'open' || this.greetingId !== undefined) {
      this.send({ t: 'bye', id: this.nextId++ });
    }
    this.shut();
  }

  /** No such request leaves from now on: what waits for a socket ends, what left goes once. */
  withdraw(isMeant: (message: ClientMessage) => boolean, error: OTError): void {
    for (const [id, { message, ...rest }] of [...this.pending]) {
      if (!message || !isMeant(message)) continue;
      this.pending.set(id, { ...rest, message: undefined });
    }
    this.waiting = this.waiting.filter((message) => !isMeant(message));
    if (this.state === 'lost') this.failMomentary(error);
  }

  private enqueue(message: RequestMessage): Promise<Reply> {
    const id = this.nextId++;
    const numbered: ClientMessage = { ...message, id };
    // The server would close the WebSocket, and this message would come again over the next one.
    if (isTooLarge(numbered)) {
      return Promise.reject(otError('OT_INVALID_PARAMETER', 'The request is too large'));
    }
    return new Promise((resolve, reject) => {
      const cancelTimeout = afterRunning(this.environment.clock, REQUEST_TIMEOUT_MS, () => {
        this.pending.delete(id);
        this.overdue.await(id, message.t);
        reject(otError('OT_TIMEOUT', 'The server did not answer in time'));
      });
      // An ICE restart is only good at its moment.
      const again = message.t === 'restartIce' ? undefined : numbered;
      const asked = { request: message.t, answer: answerTo(message) };
      this.pending.set(id, { ...asked, resolve, reject, cancelTimeout, message: again });
      if (this.state === 'lost') this.waiting.push(numbered);
      else this.send(numbered);
    });
  }

  private async openAndGreet(resume: string | undefined): Promise<Welcome> {
    await this.openSocket();
    const greeting: RequestMessage = {
      t: 'hello',
      ...this.hello,
      ...(resume === undefined ? {} : { resume, received: this.received }),
    };
    const id = this.nextId++;
    this.greetingId = id;
    const reply = new Promise<Reply>((resolve, reject) => {
      const cancelTimeout = afterRunning(this.environment.clock, OPEN_TIMEOUT_MS, () => {
        this.pending.delete(id);
        reject(otError('OT_CONNECT_FAILED', 'The server did not answer in time'));
      });
      const asked = { request: greeting.t, answer: answerTo(greeting) };
      this.pending.set(id, { ...asked, resolve, reject, cancelTimeout, message: undefined });
    });
    this.answerTime.asked(id, this.environment.clock.now());
    this.send({ ...greeting, id });
    return (await reply) as Welcome;
  }

  private openSocket(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.environment.openSocket(this.url, SUBPROTOCOL);
      this.socket = socket;
      socket.binaryType = 'arraybuffer';
      const cancelTimeout = afterRunning(this.environment.clock, OPEN_TIMEOUT_MS, () =>
        socket.close(),
      );
      socket.onopen = (): void => {
        cancelTimeout();
        if (socket.protocol === SUBPROTOCOL) {
          resolve();
          return;
        }
        // Its messages are ignored.
        if (socket === this.socket) this.socket = undefined;
        reject(PROTOCOL_ERRORS.otherProtocol());
        socket.close();
      };
      socket.onmessage = ({ data }): void => {
        if (socket === this.socket) this.onData(data);
      };
      socket.onclose = ({ code }): void => {
        cancelTimeout();
        reject(otError('OT_CONNECT_FAILED', 'The server cannot be reached'));
        if (socket === this.socket) this.onSocketClosed(code);
      };
    });
  }

  private onData(data: unknown): void {
    this.receivedAt = this.environment.clock.now();
    const { message, fault } = decodeMessage(data);
    this.count(message?.t);
    const re = message && 're' in message ? message.re : fault?.re;
    if (this.greetingId !== undefined && re !== this.greetingId) {
      this.failGreeting(this.greetingFault(message, fault));
    } else if (typeof re === 'number') {
      this.settle(re, message ?? fault);
    } else if (message) {
      this.listener.onMessage(message);
    } else {
      this.reportOnce(fault);
    }
  }

  private reportOnce({ kind, error }: Fault): void {
    if (this.reportedFaults.has(kind)) return;
    this.reportedFaults.add(kind);
    this.listener.onFault(error);
  }

  private settle(id: number, answer: ServerMessage | Fault): void {
    const pending = this.pending.get(id);
    this.answerTime.answered(id, this.environment.clock.now());
    if (id === this.greetingId) this.greetingId = undefined;
    const returned = this.overdue.take(id, answer);
    if (returned) this.send({ ...returned, id: this.nextId++ });
    if (!pending) return;
    this.pending.delete(id);
    pending.cancelTimeout();
    if (!('t' in answer)) {
      pending.reject(answer.error);
    } else if (answer.t === 'error') {
      pending.reject(this.refusalOf(pending.request, answer));
    } else if (answer.t !== pending.answer) {
      pending.reject(PROTOCOL_ERRORS.wrongAnswer(pending.request, answer.t));
    } else {
      pending.resolve(answer);
    }
  }

  /** A server that refuses to resume a connection only for now is tried again, as an absent one. */
  private refusalOf(request: ClientMessage['t'], answer: ErrorMessage): OTError {
    const isPassing = this.state === 'lost' && request === 'hello' && PASSING.has(answer.code);
    return isPassing ? otError('OT_CONNECT_FAILED', answer.message) : errorOf(answer);
  }

  /** The first message of a server answers the greeting, or it is not a Sealroute server. */
  private greetingFault(message: ServerMessage | undefined, fault: Fault | undefined): OTError {
    if (message?.t === 'error') return this.refusalOf('hello', message);
    return fault?.error ?? PROTOCOL_ERRORS.wrongAnswer('hello', message?.t ?? '');
  }

  private onSocketClosed(code?: number): void {
    this.socket = undefined;
    this.wasSilent = false;
    this.cancelKeepAlive();
    this.failGreeting();
    const ending = endingOf(code);
    if (ending && this.isOpen) {
      this.end(ending);
    } else if (this.state === 'open') {
      this.state = 'lost';
      this.failMomentary();
      this.lostAt = this.environment.clock.now();
      // A server that takes the client up and ends it at once is not asked more often than one that
      // does not answer, nor without end.
      const wasOfUse = this.lostAt - this.openedAt >= STAYED_UP_MS;
      if (wasOfUse) this.attempt = 0;
      if (wasOfUse || this.uselessSince === undefined) this.uselessSince = this.lostAt;
      this.listener.onLost();
      if (this.lostAt - this.uselessSince < RECONNECT_FOR_MS) this.retry();
      else this.end({ reason: 'networkDisconnected', error: PROTOCOL_ERRORS.strungAlong() });
    }
  }

  private retry(): void {
    // The listener of a loss may have closed the channel.
    if (this.state !== 'lost' || !this.welcome) return;
    const { clock, random } = this.environment;
    const lostFor = clock.now() - this.lostAt;
    const delay = retryDelay(this.attempt, lostFor, this.welcome.graceMs, random());
    if (delay === undefined) {
      this.end();
      return;
    }
    const go = (): void => {
      cancel();
      this.retryNow = undefined;
      void this.tryResume();
    };
    const cancel = clock.after(delay, go);
    this.retryNow = go;
  }

  private async tryResume(): Promise<void> {
    if (this.state !== 'lost' || !this.welcome) return;
    this.attempt += 1;
    try {
      const welcome = await this.openAndGreet(this.welcome.resume);
      if (this.isClosed()) return;
      if (!welcome.resumed) {
        // The server forgot us: this would be another connection.
        this.send({ t: 'bye', id: this.nextId++ });
        this.end();
        return;
      }
      this.becomeOpen(welcome);
      this.listener.onResumed(welcome, this.wasSilent);
      this.sendAgain(welcome);
    } catch (error) {
      const isRefused = error instanceof OTError && error.name !== 'OT_CONNECT_FAILED';
      this.socket?.close();
      if (!isRefused) this.retry();
      else if (error.name !== 'OT_UNEXPECTED_SERVER_RESPONSE') this.end();
      else this.end({ reason: 'networkDisconnected', error });
    }
  }

  /** The server says up to which request all came; the answers to those follow by themselves. */
  private sendAgain({ lastRequest }: Welcome): void {
    const waiting = this.waiting;
    this.waiting = [];
    if (typeof lastRequest === 'number') {
      for (const [id, { message }] of this.pending) {
        if (message && id > lastRequest && !waiting.includes(message)) this.send(message);
      }
    }
    waiting.filter(({ id }) => this.pending.has(id)).forEach((message) => this.send(message));
  }

  /** What came over this socket after its welcome. */
  private count(kind: string | undefined): void {
    if (kind === 'welcome') this.received = 0;
    else this.received += 1;
  }

  private becomeOpen(welcome: Welcome): void {
    this.state = 'open';
    this.welcome = { ...welcome, ...clampedTimes(welcome) };
    this.receivedAt = this.openedAt = this.environment.clock.now();
    this.keepAlive(this.welcome.keepAliveMs);
  }

  private keepAlive(intervalMs: number): void {
    this.cancelKeepAlive();
    this.cancelKeepAlive = this.environment.clock.after(intervalMs, () => {
      const silentMs = this.environment.clock.now() - this.receivedAt;
      if (silentMs > intervalMs * SILENT_INTERVALS) this.check();
      else this.ping({ received: this.received });
      this.keepAlive(intervalMs);
    });
  }

  private ping(rest: { received?: number }): void {
    const id = this.nextId++;
    this.answerTime.asked(id, this.environment.clock.now());
    this.send({ t: 'ping', id, ...rest });
  }

  /** A dead network does not even close: the socket is given up without waiting for it. */
  private abandonSocket(): void {
    const { socket } = this;
    this.onSocketClosed();
    this.wasSilent = true;
    socket?.close();
  }

  private send(message: ClientMessage): void {
    this.socket?.send(encodeMessage(message));
  }

  private isClosed(): boolean {
    return this.state === 'closed';
  }

  private end(ending?: Ending): void {
    if (this.isClosed()) return;
    this.shut();
    this.listener.onClosed(ending);
  }

  private shut(): void {
    this.state = 'closed';
    this.cancelKeepAlive();
    const { socket } = this;
    this.socket = undefined;
    socket?.close(1000);
    this.failPending(otError('OT_NOT_CONNECTED', 'The session is not connected'));
    this.waiting = [];
  }

  private failGreeting(
    error = otError('OT_CONNECT_FAILED', 'The server closed the connection'),
  ): void {
    const greeting = this.greetingId === undefined ? undefined : this.pending.get(this.greetingId);
    if (!greeting || this.greetingId === undefined) return;
    this.pending.delete(this.greetingId);
    this.greetingId = undefined;
    greeting.cancelTimeout();
    greeting.reject(error);
  }

  /** An answer may be lost with the socket, and would be outdated when it came with the next. */
  private failMomentary(error = otError('OT_NOT_CONNECTED', 'The connection was lost')): void {
    for (const [id, { message, reject, cancelTimeout }] of this.pending) {
      if (message) continue;
      this.pending.delete(id);
      cancelTimeout();
      reject(error);
    }
  }

  private failPending(error: OTError): void {
    for (const { reject, cancelTimeout } of this.pending.values()) {
      cancelTimeout();
      reject(error);
    }
    this.pending.clear();
  }
}

function answerTo(request: RequestMessage): ServerMessage['t'] {
  // Of the downlink, the offer that follows says all.
  if (request.t === 'restartIce' && request.direction === 'downlink') return 'ok';
  return ANSWERS[request.t] ?? 'ok';
}

function errorOf({ name, message, number }: ErrorMessage): OTError {
  return new OTError(name, message, number);
}

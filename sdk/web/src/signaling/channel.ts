/** The WebSocket to the server: requests with answers, keep-alive, and resuming after a loss. */
import { afterRunning, type Clock } from '../clock';
import { OTError, otError, PROTOCOL_ERRORS } from '../errors';
import {
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
import { type Reply, type RequestMessage, Requests } from './requests';
import type { Socket } from './socket';
import { clampedTimes } from './times';

export type { Reply, RequestMessage } from './requests';

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

/** Where every timer is late, as in a page in the background, the last answer to so many counts. */
const MAX_CHECKS = 3;
/** The server drops us after 2.5 silent keep-alive intervals; we are as patient with it. */
const SILENT_INTERVALS = 2.5;

type State = 'new' | 'connecting' | 'open' | 'lost' | 'closed';

export class SignalingChannel {
  private state: State = 'new';
  private socket: Socket | undefined;
  private readonly requests: Requests;
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
  ) {
    this.requests = new Requests(environment.clock);
  }

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
      this.send(this.requests.number({ t: 'bye' }));
    }
    this.shut();
  }

  /** No such request leaves from now on: what waits for a socket ends, what left goes once. */
  withdraw(isMeant: (message: ClientMessage) => boolean, error: OTError): void {
    this.requests.withdraw(isMeant);
    if (this.state === 'lost') this.requests.failMomentary(error);
  }

  private enqueue(message: RequestMessage): Promise<Reply> {
    const numbered: ClientMessage = this.requests.number(message);
    // The server would close the WebSocket, and this message would come again over the next one.
    if (isTooLarge(numbered)) {
      return Promise.reject(otError('OT_INVALID_PARAMETER', 'The request is too large'));
    }
    const reply = this.requests.expect(numbered, {
      ms: REQUEST_TIMEOUT_MS,
      error: () => otError('OT_TIMEOUT', 'The server did not answer in time'),
      comesAgain: true,
    });
    if (this.state === 'lost') this.requests.hold(numbered);
    else this.send(numbered);
    return reply;
  }

  private async openAndGreet(resume: string | undefined): Promise<Welcome> {
    await this.openSocket();
    const resuming = resume === undefined ? {} : { resume, received: this.received };
    const greeting = this.requests.number({ t: 'hello' as const, ...this.hello, ...resuming });
    this.greetingId = greeting.id;
    const reply = this.requests.expect(greeting, {
      ms: OPEN_TIMEOUT_MS,
      error: () => otError('OT_CONNECT_FAILED', 'The server did not answer in time'),
      comesAgain: false,
    });
    this.answerTime.asked(greeting.id, this.environment.clock.now());
    this.send(greeting);
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
    this.answerTime.answered(id, this.environment.clock.now());
    if (id === this.greetingId) this.greetingId = undefined;
    const returned = this.requests.settle(id, answer, this.refusalOf.bind(this));
    if (returned) this.send(this.requests.number(returned));
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
      this.requests.failMomentary();
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
        this.send(this.requests.number({ t: 'bye' }));
        this.end();
        return;
      }
      this.becomeOpen(welcome);
      this.listener.onResumed(welcome, this.wasSilent);
      this.requests.takeUnsent(welcome.lastRequest).forEach((message) => this.send(message));
    } catch (error) {
      const isRefused = error instanceof OTError && error.name !== 'OT_CONNECT_FAILED';
      this.socket?.close();
      if (!isRefused) this.retry();
      else if (error.name !== 'OT_UNEXPECTED_SERVER_RESPONSE') this.end();
      else this.end({ reason: 'networkDisconnected', error });
    }
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
    const ping = this.requests.number({ t: 'ping' as const, ...rest });
    this.answerTime.asked(ping.id, this.environment.clock.now());
    this.send(ping);
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
    this.requests.failAll(otError('OT_NOT_CONNECTED', 'The session is not connected'));
  }

  private failGreeting(
    error = otError('OT_CONNECT_FAILED', 'The server closed the connection'),
  ): void {
    if (this.greetingId === undefined) return;
    this.requests.fail(this.greetingId, error);
    this.greetingId = undefined;
  }
}

function errorOf({ name, message, number }: ErrorMessage): OTError {
  return new OTError(name, message, number);
}

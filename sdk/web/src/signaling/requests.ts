/** Requests, and who waits for their answers: numbers, times, and what comes again after a resume. */
import { afterRunning, type Clock } from '../clock';
import { type OTError, otError, PROTOCOL_ERRORS } from '../errors';
import { ANSWERS } from '../rules';
import type { Fault } from './codec';
import type { ClientMessage, Error as ErrorMessage, ServerMessage, Welcome } from './messages';
import { OverdueAnswers, type Returned } from './overdue';

type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown
  ? Omit<Union, Key>
  : never;

export type RequestMessage = DistributiveOmit<ClientMessage, 'id'>;
export type Reply = Exclude<ServerMessage, ErrorMessage>;

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

interface Patience {
  readonly ms: number;
  /** What the request ends with when it is over. */
  readonly error: () => OTError;
  /** The request outlives its socket: it comes again over the next one. */
  readonly comesAgain: boolean;
}

/** Those of one channel, over all its sockets. */
export class Requests {
  private nextId = 1;
  private readonly pending = new Map<number, Pending>();
  private readonly overdue = new OverdueAnswers();
  /** Made while the socket is lost. */
  private held: ClientMessage[] = [];

  constructor(private readonly clock: Clock) {}

  /** Gives a message its number. */
  number<Message extends RequestMessage>(message: Message): Message & { readonly id: number } {
    return { ...message, id: this.nextId++ };
  }

  /** The answer to a message that is about to leave. */
  expect(message: ClientMessage, patience: Patience): Promise<Reply> {
    const { id, t: request } = message;
    return new Promise((resolve, reject) => {
      const cancelTimeout = afterRunning(this.clock, patience.ms, () => {
        this.pending.delete(id);
        this.overdue.await(id, request);
        reject(patience.error());
      });
      // An ICE restart is only good at its moment.
      const comesAgain = patience.comesAgain && request !== 'restartIce';
      const again = comesAgain ? message : undefined;
      const asked = { request, answer: answerTo(message), message: again };
      this.pending.set(id, { ...asked, resolve, reject, cancelTimeout });
    });
  }

  /** It leaves over the next socket. */
  hold(message: ClientMessage): void {
    this.held.push(message);
  }

  /**
   * Gives an answer to whoever waits for it. Returns the request that gives back what an answer
   * names that came too late.
   */
  settle(
    id: number,
    answer: ServerMessage | Fault,
    refusalOf: (request: ClientMessage['t'], refusal: ErrorMessage) => OTError,
  ): Returned | undefined {
    const returned = this.overdue.take(id, answer);
    const pending = this.take(id);
    if (!pending) return returned;
    if (!('t' in answer)) {
      pending.reject(answer.error);
    } else if (answer.t === 'error') {
      pending.reject(refusalOf(pending.request, answer));
    } else if (answer.t !== pending.answer) {
      pending.reject(PROTOCOL_ERRORS.wrongAnswer(pending.request, answer.t));
    } else {
      pending.resolve(answer);
    }
    return returned;
  }

  fail(id: number, error: OTError): void {
    this.take(id)?.reject(error);
  }

  /** No such request leaves from now on: what is held ends, what left does not come again. */
  withdraw(isMeant: (message: ClientMessage) => boolean): void {
    for (const [id, { message, ...rest }] of [...this.pending]) {
      if (!message || !isMeant(message)) continue;
      this.pending.set(id, { ...rest, message: undefined });
    }
    this.held = this.held.filter((message) => !isMeant(message));
  }

  /** An answer may be lost with the socket, and would be outdated when it came with the next. */
  failMomentary(error = otError('OT_NOT_CONNECTED', 'The connection was lost')): void {
    for (const [id, { message }] of [...this.pending]) {
      if (!message) this.fail(id, error);
    }
  }

  failAll(error: OTError): void {
    for (const id of [...this.pending.keys()]) this.fail(id, error);
    this.held = [];
  }

  /**
   * What leaves over the next socket. The server says up to which request all came; the answers to
   * those follow by themselves.
   */
  takeUnsent(lastRequest: Welcome['lastRequest']): readonly ClientMessage[] {
    const { held } = this;
    this.held = [];
    const again: ClientMessage[] = [];
    if (typeof lastRequest === 'number') {
      for (const [id, { message }] of this.pending) {
        if (message && id > lastRequest && !held.includes(message)) again.push(message);
      }
    }
    return [...again, ...held.filter(({ id }) => this.pending.has(id))];
  }

  private take(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    pending?.cancelTimeout();
    return pending;
  }
}

function answerTo(request: ClientMessage): ServerMessage['t'] {
  // Of the downlink, the offer that follows says all.
  if (request.t === 'restartIce' && request.direction === 'downlink') return 'ok';
  return ANSWERS[request.t] ?? 'ok';
}

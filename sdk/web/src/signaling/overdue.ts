/** Requests that nobody waits for any more, and what the server made for them nevertheless. */
import type { Fault } from './codec';
import type { ClientMessage, ServerMessage } from './messages';

export type Returned =
  { t: 'unpublish'; streamId: string } | { t: 'unsubscribe'; subscriberId: string };

/** Of requests whose answer names something that is to be given back when it comes too late. */
const MAKERS: ReadonlySet<ClientMessage['t']> = new Set(['publish', 'subscribe']);

/**
 * A stream that its publisher knows nothing of would stand black in the views of all others, and a
 * subscription without a Subscriber takes its part of the link. Pure.
 */
export class OverdueAnswers {
  private readonly ids = new Set<number>();

  /** Nobody waits any more for the answer to a request that has left. */
  await(id: number, request: ClientMessage['t']): void {
    if (MAKERS.has(request)) this.ids.add(id);
  }

  /** What gives back that which `answer` names; `undefined`: nothing is to be given back. */
  take(id: number, answer: ServerMessage | Fault): Returned | undefined {
    if (!this.ids.delete(id) || !('t' in answer)) return undefined;
    if (answer.t === 'published') return { t: 'unpublish', streamId: answer.streamId };
    if (answer.t === 'subscribed') {
      return { t: 'unsubscribe', subscriberId: answer.subscriberId };
    }
    return undefined;
  }
}

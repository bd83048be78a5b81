/** OT's `exception` event: faults that no call of the application waits for. */
import { Emitter } from './events';
import { asOTError } from './errors';

interface ExceptionEvents {
  exception: { code: number; message: string; title: string };
}

export class Exceptions extends Emitter<ExceptionEvents> {
  report(error: unknown): void {
    const { code, message, name } = asOTError(error, 'OT_UNEXPECTED_SERVER_RESPONSE');
    // The channel that ended takes its unanswered requests with it; that is no fault of its own.
    if (name === 'OT_NOT_CONNECTED') return;
    this.dispatch('exception', { code, message, title: name });
  }
}

export const exceptions = new Exceptions();

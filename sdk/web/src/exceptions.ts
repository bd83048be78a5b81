/** The events of `OT`: faults that no call of the application waits for, and the speaker. */
import { Emitter } from './events';
import { asOTError } from './errors';

interface ExceptionEvents {
  exception: { code: number; message: string; title: string };
  /** A speaker was unplugged, or is back; both members are `null` where it is not known. */
  audioOutputDeviceChanged: { device: { deviceId: string | null; label: string | null } };
}

export class Exceptions extends Emitter<ExceptionEvents> {
  /** All audio is played by that speaker from now on. */
  speakerChanged(device: { deviceId: string | null; label: string | null }): void {
    this.dispatch('audioOutputDeviceChanged', { device });
  }

  report(error: unknown): void {
    const { code, message, name } = asOTError(error, 'OT_UNEXPECTED_SERVER_RESPONSE');
    // The channel that ended takes its unanswered requests with it; that is no fault of its own.
    if (name === 'OT_NOT_CONNECTED') return;
    this.dispatch('exception', { code, message, title: name });
  }
}

export const exceptions = new Exceptions();

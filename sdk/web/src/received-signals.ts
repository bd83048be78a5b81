/** Signals as they arrive: whose they are, whether they may be clear, and what the SDK reads itself. */
import type { Connection } from './connection';
import type { Directory } from './directory';
import { type ArchiveNotice, MemberArchives } from './e2ee/member-archives';
import type { SessionEncryption } from './e2ee/session-encryption';
import type { SessionTrust } from './e2ee/trust';
import { E2EE_ERRORS, otError } from './errors';
import type { RoomListener } from './room-listener';
import { MAX_ENCRYPTED_SIGNAL_BYTES, SENDER_STATS_SIGNAL } from './rules';
import { decodeSenderStats } from './sender-stats';
import type { SignalReceived } from './signaling/messages';
import type { Subscriber } from './subscriber';

/** What of a room they are judged by, and its listener. */
interface Surroundings {
  directory: Directory;
  trust: SessionTrust;
  encryption: SessionEncryption | undefined;
  listener: RoomListener;
  subscribers: () => Iterable<Subscriber>;
}

export class ReceivedSignals {
  private readonly archives = new MemberArchives();

  constructor(private readonly from: Surroundings) {}

  /** Rejects with what the user has to be told of a signal that cannot be true. */
  async take({ from, type, data, encrypted }: SignalReceived): Promise<void> {
    const sender = this.from.directory.connection(from ?? '') ?? null;
    if (encrypted !== undefined && encrypted !== null) {
      await this.onEncryptedSignal(sender, encrypted);
      return;
    }
    this.onClearSignal(sender, { from: from ?? '', type: type ?? '', data: data ?? '' });
  }

  /** What a member that left was recording is over, or nobody knows. */
  onSenderGone(connection: Connection): void {
    for (const notice of this.archives.leave(connection.connectionId))
      this.reportArchive(notice, connection);
  }

  /** Those of the REST API name nobody; a member's are encrypted in an encrypted session. */
  private onClearSignal(
    sender: Connection | null,
    { from, type, data }: { from: string; type: string; data: string },
  ): void {
    const { isEncrypted } = this.from.trust;
    if (isEncrypted && from !== '') throw E2EE_ERRORS.clearSignal();
    if (sender && type === SENDER_STATS_SIGNAL) {
      this.onSenderStats(sender, data);
      return;
    }
    this.from.listener.onSignal({
      type,
      data,
      from: isEncrypted ? null : sender,
      encrypted: false,
    });
  }

  private async onEncryptedSignal(from: Connection | null, encrypted: Uint8Array): Promise<void> {
    // Of nobody in the session: not worth a key.
    if (!from) throw E2EE_ERRORS.strayedSignal();
    requireEncrypted(encrypted);
    const decrypted = await this.from.encryption?.decryptSignal(from.connectionId, encrypted);
    if (decrypted && 'signalType' in decrypted) {
      const { signalType: type, data } = decrypted;
      if (type === SENDER_STATS_SIGNAL) this.onSenderStats(from, data);
      else this.onMemberSignal(from, type, data);
    } else if (decrypted?.refused === 'addressee') {
      throw E2EE_ERRORS.strayedSignal();
    } else if (decrypted?.refused !== 'replay') {
      throw otError(
        'OT_ENCRYPTION_SECRET_MISMATCH',
        'A signal could not be decrypted with the present encryption secret',
      );
    }
  }

  /** One that records says so itself. It may have left while its signal was decrypted. */
  private onMemberSignal(from: Connection, type: string, data: string): void {
    this.from.listener.onSignal({ type, data, from, encrypted: true });
    if (this.from.directory.connection(from.connectionId) !== from) return;
    const notice = this.archives.take(from.connectionId, type, data);
    if (notice) this.reportArchive(notice, from);
  }

  private reportArchive({ event, ...notice }: ArchiveNotice, connection: Connection): void {
    this.from.listener.onRelayed(event, { ...notice, name: '', connection });
  }

  /** Only the publisher itself is believed. */
  private onSenderStats(from: Connection, data: string): void {
    const reported = decodeSenderStats(data);
    if (!reported) return;
    for (const subscriber of this.from.subscribers()) {
      const { streamId, connection } = subscriber.stream;
      if (streamId === reported.streamId && connection === from)
        subscriber.onSenderStats(reported.sender);
    }
  }
}

function requireEncrypted(encrypted: unknown): void {
  if (encrypted instanceof Uint8Array && encrypted.length <= MAX_ENCRYPTED_SIGNAL_BYTES) return;
  throw E2EE_ERRORS.misshapenSignal();
}

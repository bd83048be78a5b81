/**
 * The recorders of an end-to-end encrypted session: members that say so themselves. The server
 * has nothing that it could record, and is not believed. A member that holds the secret can record,
 * seen or not; one that says so is shown as long as it is there. Pure.
 */
import { ARCHIVE_STARTED_SIGNAL, ARCHIVE_STOPPED_SIGNAL, MAX_MEMBER_ARCHIVES } from '../rules';

const MAX_ID = 64;
/** Code units of the data of such a signal; longer ones are an application's own. */
const MAX_NOTICE = 256;

export interface ArchiveNotice {
  readonly event: 'archiveStarted' | 'archiveStopped';
  readonly id: string;
  /** By the server's word alone: the recorder did not say that it stopped. */
  readonly reason?: 'recorderLeft';
}

export class MemberArchives {
  /** By connection: the archives that it records now. */
  private readonly recording = new Map<string, Set<string>>();

  /**
   * What an encrypted signal of a member changes, if anything: newcomers get what others know
   * already.
   */
  take(sender: string, type: string, data: string): ArchiveNotice | undefined {
    if (type !== ARCHIVE_STARTED_SIGNAL && type !== ARCHIVE_STOPPED_SIGNAL) return undefined;
    const id = idIn(data);
    if (id === undefined) return undefined;
    const recording = this.recording.get(sender) ?? new Set();
    if (type === ARCHIVE_STOPPED_SIGNAL) {
      return recording.delete(id) ? { event: 'archiveStopped', id } : undefined;
    }
    if (recording.has(id) || recording.size >= MAX_MEMBER_ARCHIVES) return undefined;
    this.recording.set(sender, recording.add(id));
    return { event: 'archiveStarted', id };
  }

  /** What a member records that the server says is gone; only the member knows whether it stopped. */
  leave(connectionId: string): ArchiveNotice[] {
    const recording = this.recording.get(connectionId) ?? [];
    this.recording.delete(connectionId);
    return [...recording].map((id) => ({ event: 'archiveStopped', id, reason: 'recorderLeft' }));
  }
}

function idIn(data: string): string | undefined {
  if (data.length > MAX_NOTICE) return undefined;
  try {
    const id = (JSON.parse(data) as { id?: unknown } | null)?.id;
    return typeof id === 'string' && id !== '' && id.length <= MAX_ID ? id : undefined;
  } catch {
    return undefined;
  }
}

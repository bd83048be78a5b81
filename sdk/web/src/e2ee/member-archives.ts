/**
 * Archives of an end-to-end encrypted session: one of its connections records it. The server has
 * nothing that it could record. What it says of an archive is believed where it names a connection
 * that this client sees as well, for then the application can show who records. Pure.
 */

/** At a time. A session has ten of them at most. */
const MAX_ARCHIVES = 100;

/** What the server says of an archive. */
interface Said {
  readonly t: string;
  readonly id: string;
  readonly recorder?: string | null;
}

export class MemberArchives {
  /** Those that were announced and have not stopped. */
  private readonly recording = new Set<string>();

  /** Whether `archiveStarted` or `archiveStopped` can be true. */
  believes(said: Said, isPresent: (connectionId: string) => boolean): boolean {
    if (said.t === 'archiveStopped') return this.recording.delete(said.id);
    const { recorder } = said;
    if (typeof recorder !== 'string' || !isPresent(recorder)) return false;
    if (this.recording.size >= MAX_ARCHIVES) return false;
    this.recording.add(said.id);
    return true;
  }
}

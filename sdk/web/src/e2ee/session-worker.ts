/**
 * The encryption worker of one Session: it lives as long as the Session, for it remembers what was
 * received (e2ee/2 section 7). Each stay gets an encryption of its own over it.
 */
import { systemClock } from '../clock';
import { asOTError, E2EE_ERRORS } from '../errors';
import { exceptions } from '../exceptions';
import { E2eeClient } from './client';
import { isValidSecret } from './secret';
import { SessionEncryption } from './session-encryption';
import { hasEndToEndEncryptionSupport } from './support';

/** The encryption of a stay that may be encrypted, and when its keys are derived. */
export interface PreparedEncryption {
  readonly session: SessionEncryption;
  readonly ready: Promise<void>;
}

export class SessionWorker {
  private client: E2eeClient | undefined;

  /** `url`: of the worker's script, where the page may not make one. */
  constructor(
    private readonly sessionId: string,
    private readonly url: string | undefined,
  ) {}

  get hasFailed(): boolean {
    return this.client?.hasFailed ?? false;
  }

  /**
   * `undefined`: this browser cannot encrypt, and no secret was given. Throws for a secret that is
   * none, a browser that cannot encrypt, and a worker that failed.
   */
  prepare(secret: unknown): PreparedEncryption | undefined {
    if (secret !== undefined && !isValidSecret(secret)) throw E2EE_ERRORS.invalidSecret();
    if (!hasEndToEndEncryptionSupport()) {
      if (secret !== undefined) throw E2EE_ERRORS.unsupportedBrowser();
      return undefined;
    }
    if (this.hasFailed) throw E2EE_ERRORS.workerFailed();
    const client = (this.client ??= this.start(secret !== undefined));
    if (!client) return undefined;
    const session = new SessionEncryption(this.sessionId, client, systemClock, (error) =>
      exceptions.report(error),
    );
    const ready = secret === undefined ? Promise.resolve() : session.setSecret(secret);
    ready.catch(() => undefined);
    return { session, ready };
  }

  /** A clear session needs none, and has received nothing that must be remembered. */
  end(): void {
    this.client?.end();
    this.client = undefined;
  }

  /** A worker is required only with a secret: the session may be a clear one. */
  private start(isRequired: boolean): E2eeClient | undefined {
    try {
      return new E2eeClient(this.url);
    } catch (error) {
      if (!isRequired) return undefined;
      throw asOTError(error, 'OT_ENCRYPTION_INTERNAL_ERROR');
    }
  }
}

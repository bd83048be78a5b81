/** The encryption secret of a Session, for its next connection. */

/** For the SDK's own modules: nothing that a page can reach leads to this function. */
export let secretOf: (kept: KeptSecret | undefined) => unknown;

/**
 * Scripts of the page can reach the object, and can read nothing from it. Frozen, so that
 * frameworks that wrap what they observe in proxies leave it alone: a proxy has no private fields.
 */
export class KeptSecret {
  readonly #secret: unknown;

  constructor(secret: unknown) {
    this.#secret = secret;
    Object.freeze(this);
  }

  static {
    secretOf = (kept): unknown => kept && kept.#secret;
  }
}

/** Pages that take scripts from nowhere but named policies (W3C Trusted Types) name this one. */

interface Policy {
  createScriptURL(url: string): unknown;
}

interface Factory {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): Policy;
}

/** For `Content-Security-Policy: require-trusted-types-for 'script'; trusted-types sealroute`. */
const POLICY = 'sealroute';

let policy: Policy | undefined;

/**
 * The URL of the SDK's worker in the form that the page requires. Nothing else goes through the
 * policy: the URL is the SDK's own, or the option that the page itself gave.
 */
export function workerUrl(url: string): string {
  const { trustedTypes } = globalThis as { trustedTypes?: Factory };
  policy ??= trustedTypes?.createPolicy(POLICY, { createScriptURL: (given) => given });
  return (policy?.createScriptURL(url) ?? url) as string;
}

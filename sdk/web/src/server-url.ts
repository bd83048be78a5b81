/** The server's address: from the application, the script tag, or the script's own origin. */
import { otError } from './errors';

const fromScript = readScriptTag();
let fromApplication: string | undefined;

function readScriptTag(): string | undefined {
  const script = globalThis.document?.currentScript;
  if (!script || !('src' in script)) return undefined;
  if (script.dataset['server']) return script.dataset['server'];
  return script.src ? new URL(script.src, script.baseURI).origin : undefined;
}

/** The argument of OT.setProxyUrl: every later session goes there. */
export function setServerUrl(url: string): void {
  fromApplication = checked(url).href;
}

/** The folder of the SDK's filters. Throws OT_INVALID_PARAMETER when the server's URL is none. */
export function filterUrl(): string {
  const base = checked(fromApplication ?? fromScript ?? globalThis.location?.origin ?? '');
  base.protocol = base.protocol.replace('ws', 'http');
  const path = base.pathname.endsWith('/') ? base.pathname : `${base.pathname}/`;
  return new URL(`${path}sdk/filters/`, base).href;
}

/** The signaling endpoint. Throws OT_INVALID_PARAMETER when the URL is none. */
export function signalingUrl(fromSession?: string): string {
  const base = checked(
    fromSession ?? fromApplication ?? fromScript ?? globalThis.location?.origin ?? '',
  );
  const path = base.pathname.endsWith('/') ? base.pathname : `${base.pathname}/`;
  const scheme = base.protocol === 'https:' || base.protocol === 'wss:' ? 'wss:' : 'ws:';
  return `${scheme}//${base.host}${path}v1/signal`;
}

function checked(url: string): URL {
  let parsed: URL | undefined;
  try {
    parsed = new URL(url, globalThis.location?.href);
  } catch {
    // Falls through to the same error as a URL of another scheme.
  }
  if (!parsed || !/^(https?|wss?):$/.test(parsed.protocol)) {
    throw otError('OT_INVALID_PARAMETER', 'The server URL must be an http(s) URL');
  }
  return parsed;
}

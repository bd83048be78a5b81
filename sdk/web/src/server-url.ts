/** The server's address: from the application, the script tag, or the script's own origin. */
import { otError } from './errors';

const fromScript = readScriptTag();
const besideScript = readScriptFolder();
let fromApplication: string | undefined;
let filtersFromApplication: string | undefined;

function readScriptTag(): string | undefined {
  const script = globalThis.document?.currentScript;
  if (!script || !('src' in script)) return undefined;
  if (script.dataset['server']) return script.dataset['server'];
  return script.src ? new URL(script.src, script.baseURI).origin : undefined;
}

function readScriptFolder(): string | undefined {
  const script = globalThis.document?.currentScript;
  if (!script || !('src' in script) || !script.src) return undefined;
  return new URL('filters/', new URL(script.src, script.baseURI)).href;
}

/** The argument of OT.setProxyUrl: every later session goes there. */
export function setServerUrl(url: string): void {
  fromApplication = checked(url).href;
}

/**
 * Where the files of the filters are, if they are not beside the SDK's script. They are code that
 * runs in the page and may read the secret: name only a place that you trust as your own scripts,
 * which the media server need not be. Throws OT_INVALID_PARAMETER.
 */
export function setFilterUrl(url: string): void {
  const folder = checked(url);
  if (!folder.pathname.endsWith('/')) folder.pathname += '/';
  filtersFromApplication = folder.href;
}

/**
 * The folder of the SDK's filters: the one that the application named, else beside the SDK's own
 * script, else on the page's origin. Never the server of the sessions because it is that: what it
 * sends must not run in a page whose scripts come from elsewhere.
 */
export function filterUrl(): string {
  return (
    filtersFromApplication ??
    besideScript ??
    new URL('/sdk/filters/', globalThis.location?.href).href
  );
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

// @ts-check
/** What people read when something went wrong, by the name of the error. */
const SENTENCES = /** @type {Record<string, string>} */ ({
  OT_USER_MEDIA_ACCESS_DENIED:
    'Your browser does not let this page use the camera or microphone. Allow it in the address bar and join again.',
  OT_NO_DEVICES_FOUND: 'No camera or microphone was found. You can join without them.',
  OT_HARDWARE_UNAVAILABLE: 'Another program is using your camera or microphone.',
  OT_NOT_SUPPORTED:
    'Camera and microphone only work on pages opened with https or on this computer itself.',
  HTTPS_MISSING:
    'This page was opened without https. Browsers encrypt, and give camera and microphone, only on pages opened with https or on this computer itself. Ask for an address that begins with https://.',
  SCRIPT_MISSING: 'The page did not load completely. Load it again.',
  OT_UNSUPPORTED_BROWSER:
    'This browser cannot encrypt media. Use a current Chromium-based browser or Firefox.',
  OT_INVALID_ENCRYPTION_SECRET: 'A secret has 8 to 256 characters.',
  encryptionFailed:
    'The encryption of this page stopped, and the call ended with it. Nothing was sent unencrypted. Load the page again.',
  OT_AUTHENTICATION_ERROR: 'The server did not accept the way in. Open the link again.',
  OT_CONNECT_FAILED: 'The server does not answer. Check your connection and try again.',
  OT_CONNECTION_LIMIT_EXCEEDED: 'This room is full.',
  OT_STREAM_CREATE_FAILED: 'Your sound and picture could not be sent.',
  OT_SCREEN_SHARING_NOT_SUPPORTED: 'This browser can not share the screen.',
  OT_ICE_WORKFLOW_FAILED:
    'No media gets through to the server. A firewall may stop it, or the server names only addresses that this browser cannot use.',
  OT_TIMEOUT: 'The server took too long to answer.',
  ROOM_UNKNOWN: 'There is no such room. Start a new call and share its link.',
  ROOM_REFUSED: 'The server does not open rooms at the moment.',
});

/** @param {unknown} error @returns {string} */
export function sentenceFor(error) {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  // Names come from the server too, and every object has a "constructor".
  if (Object.hasOwn(SENTENCES, name)) return SENTENCES[name];
  return message || 'Something went wrong. Try again.';
}

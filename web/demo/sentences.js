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
  forceDisconnected: 'A moderator ended your part in the call.',
  networkDisconnected: 'The connection was lost. Join again.',
  MESSAGE_FLOOD:
    'This page sent more than the server allows, and the server ended its part in the call. Wait a moment and join again.',
  encryptionFailed:
    'The encryption of this page stopped, and the call ended with it. Nothing was sent unencrypted. Load the page again.',
  OT_AUTHENTICATION_ERROR: 'The server did not accept the way in. Open the link again.',
  OT_INVALID_SESSION_ID: 'The server does not know this call. Start a new one and share its link.',
  OT_NOT_CONNECTED: 'The server has forgotten this call. Join again.',
  OT_PERMISSION_DENIED: 'You may not do this in the call.',
  OT_NOT_FOUND: 'That person has left the call.',
  OT_INVALID_PARAMETER: 'The server did not understand this page. Load it again.',
  OT_UNEXPECTED_SERVER_RESPONSE: 'The server made a mistake. Try again in a moment.',
  OT_RATE_LIMIT_EXCEEDED: 'That was too much at once for the server. Wait a moment and try again.',
  OT_SET_REMOTE_DESCRIPTION_FAILED: 'The server and this browser could not agree on the media.',
  OT_STREAM_NOT_FOUND: 'That stream is over.',
  OT_STREAM_LIMIT_EXCEEDED: 'More streams cannot be sent or shown here.',
  OT_UNABLE_TO_SUBSCRIBE: 'A stream of somebody else cannot be shown here.',
  OT_CONNECT_FAILED: 'The server does not answer. Check your connection and try again.',
  OT_CONNECTION_LIMIT_EXCEEDED: 'This room is full.',
  OT_STREAM_CREATE_FAILED: 'Your audio and video could not be sent.',
  OT_SCREEN_SHARING_NOT_SUPPORTED: 'This browser cannot share the screen.',
  OT_ICE_WORKFLOW_FAILED:
    'No media gets through to the server. A firewall may stop it, or the server names only addresses that this browser cannot use.',
  OT_TIMEOUT: 'The server took too long to answer.',
  ROOM_UNKNOWN: 'There is no such room. Start a new call and share its link.',
  ROOMS_OFF: 'Visitors cannot start calls here: the server is not set up for that.',
  ROOM_ANOTHER:
    'The server offered another room than the one of your link, so this page did not join. Ask whoever sent you the link.',
  ROOM_REFUSED: 'The server does not open rooms at the moment.',
});

/** @param {unknown} error @returns {string} */
export function sentenceFor(error) {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  // Names come from the server too, and every object has a "constructor".
  if (Object.hasOwn(SENTENCES, name)) return SENTENCES[name];
  return message || 'Something went wrong. Try again.';
}

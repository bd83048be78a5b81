/** Whether this browser can encrypt frames, and in which way. */

interface EncodedStreams {
  createEncodedStreams(): { readable: ReadableStream; writable: WritableStream };
}

export function hasScriptTransform(): boolean {
  return 'RTCRtpScriptTransform' in globalThis;
}

export function hasEncodedStreams(): boolean {
  return 'RTCRtpSender' in globalThis && 'createEncodedStreams' in RTCRtpSender.prototype;
}

/** Secure contexts only: WebCrypto is missing on pages loaded over plain http. */
export function hasEndToEndEncryptionSupport(): boolean {
  return (
    (hasScriptTransform() || hasEncodedStreams()) &&
    'Worker' in globalThis &&
    globalThis.crypto?.subtle !== undefined
  );
}

export function encodedStreams(endpoint: RTCRtpSender | RTCRtpReceiver): {
  readable: ReadableStream;
  writable: WritableStream;
} {
  return (endpoint as unknown as EncodedStreams).createEncodedStreams();
}

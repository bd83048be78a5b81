/*
 * What the publishing tab does, told by DevTools: it captures the other tab, and publishes that with
 * the SDK of its page. `globalThis.render` is its whole surface.
 */
globalThis.render = (() => {
  let media;
  let publisher;
  let session;
  let ended = '';

  const told = (error) => new Error(error?.message ?? String(error));

  return {
    /** Resolves with the capture's first frame. */
    async capture(width, height) {
      media = await navigator.mediaDevices.getDisplayMedia({
        video: {
          displaySurface: 'browser',
          width: { ideal: width, max: width },
          height: { ideal: height, max: height },
          frameRate: { ideal: 30, max: 30 },
        },
        audio: {
          channelCount: 2,
          echoCancellation: false,
          noiseSuppression: false,
          autoGainControl: false,
        },
        selfBrowserSurface: 'exclude',
        surfaceSwitching: 'exclude',
      });
      for (const track of media.getTracks()) {
        track.addEventListener('ended', () => (ended ||= 'the capture ended'));
      }
      const { width: wide, height: high } = media.getVideoTracks()[0].getSettings();
      return { audio: media.getAudioTracks().length, width: wide, height: high };
    },

    /** Resolves once the session has the stream. */
    publish({ apiKey, sessionId, token, name, resolution }) {
      session = OT.initSession(apiKey, sessionId);
      session.on('sessionDisconnected', () => (ended ||= 'disconnected'));
      const [videoSource] = media.getVideoTracks();
      const [audioSource] = media.getAudioTracks();
      publisher = OT.initPublisher(undefined, {
        name,
        resolution,
        videoSource,
        audioSource: audioSource ?? null,
        publishVideo: true,
        publishAudio: Boolean(audioSource),
        insertDefaultUI: false,
        enableStereo: true,
        disableAudioProcessing: true,
        frameRate: 30,
      });
      publisher.on('streamDestroyed', (event) => (ended ||= event.reason || 'unpublished'));
      return new Promise((resolve, reject) => {
        session.connect(token, (refused) => {
          if (refused) {
            reject(told(refused));
            return;
          }
          session.publish(publisher, (failed) => {
            if (failed) reject(told(failed));
            else {
              resolve({
                connection: session.connection.connectionId,
                stream: publisher.stream.streamId,
              });
            }
          });
        });
      });
    },

    /** Why there is no stream any more; empty while there is one. */
    ended: () => ended,

    leave() {
      session?.disconnect();
    },
  };
})();

// Many people in one page, who send and receive nothing: what the others see of a full room.

/** Each of `people` joins the room of the link, from a page that has the SDK. */
export function crowd(page, link, people) {
  return page.evaluate(
    async (address, coming) => {
      const { searchParams, hash } = new URL(address);
      const secret = decodeURIComponent(hash.slice(1));

      const enter = async (name) => {
        const answer = await fetch(`/v1/rooms/${searchParams.get('room')}`, {
          method: 'POST',
          body: JSON.stringify({ name }),
        });
        const { apiKey, sessionId, token } = await answer.json();
        const session = OT.initSession(apiKey, sessionId, { encryptionSecret: secret });
        await session.connect.promise(token);
        return session;
      };

      /** A moving face, or a page of text. */
      const draw = (isScreen, hue) => {
        const size = isScreen ? { width: 1280, height: 720 } : { width: 320, height: 180 };
        const canvas = Object.assign(document.createElement('canvas'), size);
        const brush = canvas.getContext('2d');
        let turn = 0;
        setInterval(() => {
          turn += 0.2;
          brush.fillStyle = isScreen ? '#fff' : `hsl(${hue} 35% 45%)`;
          brush.fillRect(0, 0, size.width, size.height);
          brush.fillStyle = isScreen ? '#111' : `hsl(${hue} 45% 75%)`;
          if (isScreen) {
            brush.font = '32px sans-serif';
            for (let line = 1; line < 18; line += 1) {
              brush.fillText(`${line}  The quick brown fox jumps over the lazy dog`, 40, 40 * line);
            }
            return;
          }
          brush.beginPath();
          brush.arc(160 + 8 * Math.sin(turn), 90, 45, 0, 7);
          brush.fill();
        }, 200);
        return canvas.captureStream(5);
      };

      const silence = () =>
        new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0];

      for (const { name, video, audio, hand, says, screen } of coming) {
        const session = await enter(name);
        if (video) {
          const stream = draw(screen, (name.length * 47) % 360);
          navigator.mediaDevices.getDisplayMedia = () => Promise.resolve(stream);
          const publisher = await OT.initPublisher.promise(null, {
            ...{ insertDefaultUI: false, name, scalableVideo: false },
            videoSource: screen ? 'screen' : stream.getVideoTracks()[0],
            audioSource: audio ? silence() : null,
          });
          await session.publish.promise(publisher);
        }
        if (hand) await session.signal({ type: 'hand', data: '1' });
        if (says) await session.signal({ type: 'chat', data: says });
      }
    },
    link,
    people,
  );
}

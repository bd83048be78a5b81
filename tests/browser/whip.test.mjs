// WHIP and WHEP by hand-made fetch from another origin: a page without the SDK sends and plays.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { browsers } from './support/browsers.mjs';
import { Lab } from './support/lab.mjs';

const TONE_HZ = 1_000;

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

/** In the page: an offer to `url`, and what came back. */
async function begin({ url, token, publishes, hertz }) {
  const peer = new RTCPeerConnection();
  globalThis.http = { peer, stream: new MediaStream() };
  if (publishes) {
    const { video, audio } = await makePattern({ hertz });
    for (const track of [audio, video]) peer.addTransceiver(track, { direction: 'sendonly' });
  } else {
    for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
    peer.ontrack = ({ track }) => globalThis.http.stream.addTrack(track);
  }
  await peer.setLocalDescription();
  const answer = await fetch(url, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/sdp' },
    body: peer.localDescription.sdp,
  });
  if (answer.status !== 201) return { status: answer.status, text: await answer.text() };
  await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  if (!publishes) {
    const video = document.createElement('video');
    Object.assign(video, { srcObject: globalThis.http.stream, autoplay: true });
    document.body.append(video);
    globalThis.http.video = video;
  }
  return {
    status: 201,
    location: new URL(answer.headers.get('Location'), url).href,
    etag: answer.headers.get('ETag'),
    streamId: answer.headers.get('Sealroute-Stream'),
  };
}

async function overHttp(person, room, path, options = {}) {
  const token = await lab.server.token(room);
  const begun = await person.do(begin, { url: `${room.url}${path}`, token, ...options });
  assert.equal(begun.status, 201, begun.text);
  return { ...begun, token };
}

function remove(person, { location, token }) {
  return person.do(
    (url, bearer) =>
      fetch(url, { method: 'DELETE', headers: { Authorization: `Bearer ${bearer}` } }).then(
        ({ status }) => status,
      ),
    location,
    token,
  );
}

for (const kind of Object.keys(browsers)) {
  const skip = browsers[kind].isHere ? false : 'the browser is missing';

  test(`${kind} publishes with WHIP, and is seen and heard like any other`, { skip }, async () => {
    const room = await lab.server.createRoom({ e2ee: false });
    const bob = await lab.join(room, { secret: null });
    const ada = await lab.person(kind);
    const resource = await overHttp(ada, room, `/whip/${room.sessionId}`, {
      publishes: true,
      hertz: TONE_HZ,
    });
    await bob.sees(resource.streamId);
    await bob.hears(resource.streamId, TONE_HZ);
    assert.equal(await remove(ada, resource), 200);
    await bob.untilEvent('streamDestroyed');
  });

  test(`${kind} plays with WHEP what a client of the SDK publishes`, { skip }, async () => {
    const room = await lab.server.createRoom({ e2ee: false });
    const ada = await lab.join(room, { secret: null });
    const streamId = await ada.publish({ hertz: TONE_HZ });
    const bob = await lab.person(kind);
    const resource = await overHttp(bob, room, `/whep/${room.sessionId}/${streamId}`);
    await bob.until(
      () => readPattern(globalThis.http.video) !== null,
      'the player shows nothing',
      15_000,
    );
    const tone = await bob.do(() => measureTone(globalThis.http.stream));
    assert.ok(Math.abs(tone.hertz - TONE_HZ) <= 30 && tone.share > 0.15, JSON.stringify(tone));
    const patched = await bob.do(
      ({ location, etag, token }) =>
        fetch(location, {
          method: 'PATCH',
          headers: {
            Authorization: `Bearer ${token}`,
            'Content-Type': 'application/trickle-ice-sdpfrag',
            'If-Match': etag,
          },
          body: 'a=mid:0\r\na=end-of-candidates\r\n',
        }).then(({ status }) => status),
      resource,
    );
    assert.equal(patched, 204);
    assert.equal(await remove(bob, resource), 200);
  });
}

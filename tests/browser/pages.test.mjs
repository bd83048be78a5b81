// Pages that are not ours: a strict content security policy, and an application for OpenTok.js.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Lab, SECRET } from './support/lab.mjs';

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

test('a page whose policy allows only its own scripts and blob workers, or only trusted types, holds an encrypted call', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  const policy = await ada.do(async () => {
    const { headers } = await fetch(location.href);
    const evaluates = await new Promise((resolve) => {
      document.addEventListener('securitypolicyviolation', () => resolve(false), { once: true });
      try {
        resolve(Boolean(new Function('return 1')()));
      } catch {
        resolve(false);
      }
    });
    return { header: headers.get('content-security-policy'), evaluates };
  });
  assert.match(policy.header, /^script-src 'self'; worker-src 'self' blob:$/);
  assert.equal(policy.evaluates, false);
  await bob.sees(await ada.publish());
  const cai = await lab.join(room, { path: '/pages/lab.html?trusted' });
  const takesText = await cai.do(() => {
    try {
      document.createElement('script').src = '/pages/nothing.js';
      return true;
    } catch {
      return false;
    }
  });
  assert.equal(takesText, false);
  await bob.sees(await cai.publish());
});

test('a page without blob workers gives the worker a URL', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  const bob = await lab.person('chromium', { path: '/pages/lab.html?no-blob' });
  const token = await lab.server.token(room);
  const refused = await bob.connect(room, token, SECRET);
  assert.equal(refused.name, 'OT_ENCRYPTION_INTERNAL_ERROR');
  const options = { e2eeWorkerUrl: '/sdk/e2ee-worker.js' };
  assert.equal(await bob.connect(room, token, SECRET, options), null);
  await bob.sees(await ada.publish());
});

test('an application written for OpenTok.js works with the script and server changed', async () => {
  const room = await lab.server.createRoom();
  const open = async () => {
    const token = await lab.server.token(room);
    const hash = new URLSearchParams({ ...room, token, secret: SECRET });
    const query = new URLSearchParams({ server: lab.server.url });
    return lab.person('chromium', { path: `/pages/sample.html?${query}#${hash}` });
  };
  const [ada, bob] = [await open(), await open()];
  for (const person of [ada, bob]) {
    await person.untilPage(() => {
      const video = document.querySelector('#subscriber video');
      return video?.videoWidth > 0 && video.currentTime > 0.5;
    });
  }
  await ada.do(() => {
    document.getElementById('message').value = 'hello';
    document.getElementById('chat').requestSubmit();
  });
  await bob.untilPage(() => document.querySelector('.theirs')?.textContent === 'hello');
  await ada.untilPage(() => document.querySelector('.mine')?.textContent === 'hello');
  for (const person of [ada, bob]) {
    assert.equal(await person.do(() => document.body.dataset.error), undefined);
  }
});

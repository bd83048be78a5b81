import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';

/** What an application has after `npm install` of the two tarballs. */
let application = '';

before(() => {
  application = mkdtempSync(join(tmpdir(), 'sealroute-packages-'));
  const tarballs = join(application, 'tarballs');
  execFileSync(resolve('../../scripts/packages'), [tarballs, 'npm'], { stdio: 'pipe' });
  for (const tarball of readdirSync(tarballs)) {
    const name = tarball.replace(/-\d.*$/, '');
    const folder = join(application, 'node_modules', name);
    mkdirSync(folder, { recursive: true });
    execFileSync('tar', ['xzf', join(tarballs, tarball), '--strip-components=1', '-C', folder]);
  }
  for (const peer of ['react', 'react-dom', 'scheduler']) {
    symlinkSync(
      resolve('../react/node_modules', peer),
      join(application, 'node_modules', peer),
      'dir',
    );
  }
});
after(() => rmSync(application, { recursive: true, force: true }));

function node(script: string): string {
  const args = ['--input-type=module', '--eval', script];
  return execFileSync(process.execPath, args, { cwd: application, encoding: 'utf8' }).trim();
}

test('the packages have what they name, their license and their documentation', () => {
  for (const name of ['sealroute', 'sealroute-react']) {
    const folder = join(application, 'node_modules', name);
    const metadata = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      license: string;
      types: string;
    };
    assert.equal(metadata.license, 'Apache-2.0');
    for (const file of ['LICENSE', 'README.md', metadata.types]) {
      assert.ok(readFileSync(join(folder, file)).length > 0, file);
    }
  }
});

test('both are imported where there is no page, as servers do that render', () => {
  const names = node(`
    import OT, { initSession } from 'sealroute';
    const session = initSession('key', 'session', {});
    console.log(typeof OT.initPublisher, session.sessionId, OT.hasMediaProcessorSupport());`);
  assert.equal(names, 'function session false');
});

test('a component renders on a server, with the SDK that a page will load', () => {
  const html = node(`
    import { createElement } from 'react';
    import { renderToString } from 'react-dom/server';
    import { OTPublisher, OTSession } from 'sealroute-react';
    const publisher = createElement(OTPublisher);
    const session = createElement(OTSession, { sessionId: 's', token: 't' }, publisher);
    console.log(renderToString(session));`);
  assert.equal(html, '<div class="OTPublisherContainer"></div>');
});

// Accessibility as axe-core judges it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../sdk/web/package.json', import.meta.url));
const SCHEMES = ['light', 'dark'];
/** By the driver of Chromium alone; Firefox has what its system has. */
const isEmulated = async (page) => /chrome/i.test(await page.browser().version());

/** No violation of the page as it is, in light and in dark; of both only colors can differ. */
export async function assertAccessible(page, state) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) {
    await page.evaluate(await readFile(require.resolve('axe-core/axe.min.js'), 'utf8'));
  }
  const canChange = await isEmulated(page);
  for (const scheme of canChange ? SCHEMES : SCHEMES.slice(0, 1)) {
    if (canChange) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    }
    const rules = scheme === SCHEMES[0] ? null : ['color-contrast'];
    const found = await page.evaluate(async (wanted) => {
      const options = wanted ? { runOnly: { type: 'rule', values: wanted } } : {};
      const { violations } = await globalThis.axe.run(document, options);
      return violations.map(({ id, help, nodes }) => ({
        ...{ id, help },
        nodes: nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`),
      }));
    }, rules);
    assert.deepEqual(found, [], `${state}, ${scheme}`);
  }
}

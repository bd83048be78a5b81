// Debian's Chromium and Firefox, with the flags that tests on one machine need.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../sdk/web/package.json', import.meta.url));
const puppeteer = require('puppeteer-core');

/** Why a long test is skipped, where `make test` runs: its siblings show the same there. */
export const LONG = process.env.TESTS_WITHOUT_LONG ? 'long: make test-all plays it' : false;

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

const chromiumFlags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--auto-select-desktop-capture-source=Entire screen',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--allow-loopback-in-peer-connection',
  // Several pages at once, and none of them is looked at.
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];

const firefoxPreferences = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'media.gmp-manager.updateEnabled': false,
  // Several pages at once, and none of them is looked at.
  'dom.min_background_timeout_value': 10,
  'dom.min_background_timeout_value_without_budget_throttling': 10,
  'layout.throttled_frame_rate': 60,
  'dom.timeout.enable_budget_timer_throttling': false,
};

export const browsers = {
  chromium: { isHere: existsSync(CHROMIUM), launch: launchChromium },
  firefox: { isHere: existsSync(FIREFOX), launch: launchFirefox },
};

function launchChromium(extraFlags = []) {
  return puppeteer.launch({
    browser: 'chrome',
    executablePath: CHROMIUM,
    headless: true,
    // Of two flags with one name the later one counts.
    args: [...chromiumFlags, ...extraFlags],
  });
}

function launchFirefox() {
  return puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: firefoxPreferences,
  });
}

// The rules of the SDK, for the page.
export { default } from '../../sdk/web/eslint.config.js';

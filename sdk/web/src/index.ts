export { isValidSecret } from './e2ee/secret';

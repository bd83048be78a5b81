import { createElement } from 'react';
import Application from '../../application.js';

export default function Page() {
  return createElement(Application);
}

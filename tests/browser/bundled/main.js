import { createElement, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import Application from './application.js';

// At the root, where each effect begins, ends and begins again.
const root = createRoot(document.getElementById('root'));
root.render(createElement(StrictMode, null, createElement(Application)));

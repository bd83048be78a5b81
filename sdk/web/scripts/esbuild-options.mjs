import { build } from 'esbuild';

export const common = {
  bundle: true,
  target: ['chrome110', 'firefox117', 'safari16.4'],
  logLevel: 'warning',
  legalComments: 'none',
};

/** `virtual:e2ee-worker` is the worker as one script, to be started from a Blob URL. */
export const inlineWorker = {
  name: 'inline-worker',
  setup(bundler) {
    bundler.onResolve({ filter: /^virtual:e2ee-worker$/ }, ({ path }) => ({
      path,
      namespace: 'inline-worker',
    }));
    bundler.onLoad({ filter: /.*/, namespace: 'inline-worker' }, async () => {
      const { outputFiles } = await build({
        ...common,
        entryPoints: ['src/e2ee/worker.ts'],
        format: 'iife',
        minify: true,
        write: false,
      });
      return { contents: outputFiles[0].text, loader: 'text' };
    });
  },
};

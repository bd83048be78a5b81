// Builds dist/filters/: the module that the SDK loads for its first filter, and what that loads.
import { copyFile, mkdir } from 'node:fs/promises';
import { build } from 'esbuild';
import { common } from './esbuild-options.mjs';

const MEDIAPIPE = 'node_modules/@mediapipe/selfie_segmentation';
const NOISE = 'node_modules/@sapphi-red/web-noise-suppressor/dist';
/** Every browser that the SDK runs in has SIMD: the variant without it stays out. */
const FILES = {
  'selfie_segmentation.js': MEDIAPIPE,
  'selfie_segmentation.binarypb': MEDIAPIPE,
  'selfie_segmentation_landscape.tflite': MEDIAPIPE,
  'selfie_segmentation_solution_simd_wasm_bin.js': MEDIAPIPE,
  'selfie_segmentation_solution_simd_wasm_bin.wasm': MEDIAPIPE,
  'rnnoise.wasm': NOISE,
  'rnnoise_simd.wasm': NOISE,
};

export async function buildFilters() {
  await mkdir('dist/filters', { recursive: true });
  await build({
    ...common,
    minify: true,
    entryPoints: ['src/filters/filters.ts'],
    format: 'esm',
    outfile: 'dist/filters/filters.mjs',
  });
  await Promise.all([
    copyFile(`${NOISE}/rnnoise/workletProcessor.js`, 'dist/filters/rnnoise-worklet.js'),
    ...Object.entries(FILES).map(([name, folder]) =>
      copyFile(`${folder}/${name}`, `dist/filters/${name}`),
    ),
  ]);
}

// What each entry point costs in a page or a program: everything it imports, bundled, minified and compressed with
// Brotli; tfjs and native modules, which the application brings, not counted. Limits are the measured sizes and a tenth.
const LIMITS = {
  'core/config': '7.1 kB',
  'core/errors': '0.8 kB',
  'core/index': '11.2 kB',
  'core/json': '7.7 kB',
  'core/node': '1.2 kB',
  'core/random': '0.4 kB',
  'checkpoints/index': '25.9 kB',
  'checkpoints/node': '69.4 kB',
  'image/index': '17.6 kB',
  'image/browser': '22.2 kB',
  'image/node': '22.0 kB',
  'tokenizers/index': '10.6 kB',
  'generation/index': '4.5 kB',
  'vision-encoder/index': '17.6 kB',
  'qformer/index': '22.2 kB',
  'losses/index': '3.2 kB',
  'datasets/index': '19.5 kB',
  'datasets/node': '73.2 kB',
  'eval/index': '34.1 kB',
  'eval/native': '6.3 kB',
  'eval/node': '25.8 kB',
  'eval/report': '210.0 kB',
  'tiny/index': '0.4 kB',
  'tiny/opt': '0.5 kB',
  'tiny/t5': '0.5 kB',
  'llm-adapters/index': '40.7 kB',
  'training/index': '25.0 kB',
  'training/node': '306.0 kB',
  'compiler/index': '30.2 kB',
  'compiler/node': '42.4 kB',
  'compiler/browser': '39.9 kB',
  'blip2/index': '64.4 kB',
  'blip2/browser': '122.0 kB',
  'blip2/node': '157.0 kB',
  'cli/index': '600.0 kB',
};

const BROUGHT_BY_THE_APPLICATION = ['@tensorflow/*', 'sharp', 'onnxruntime-node', 'onnxruntime-web'];

export default Object.entries(LIMITS).map(([entry, limit]) => {
  const [folder, file] = entry.split('/');
  const forNode = file === 'node' || folder === 'cli';
  return {
    name: entry,
    path: `packages/${folder}/dist/${file}.js`,
    limit,
    modifyEsbuildConfig: (config) => ({
      ...config,
      format: 'esm',
      platform: forNode ? 'node' : 'browser',
      external: [...(config.external ?? []), ...BROUGHT_BY_THE_APPLICATION],
    }),
  };
});

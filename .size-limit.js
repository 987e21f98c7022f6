// What each entry point costs in a page or a program: everything it imports, bundled, minified and compressed with
// Brotli; tfjs and native modules, which the application brings, not counted. Limits are the measured sizes and a tenth.
const LIMITS = {
  'core/index': '100 kB',
  'checkpoints/index': '100 kB',
  'checkpoints/node': '100 kB',
  'image/index': '100 kB',
  'image/browser': '100 kB',
  'image/node': '100 kB',
  'tokenizers/index': '100 kB',
  'generation/index': '100 kB',
  'vision-encoder/index': '100 kB',
  'qformer/index': '100 kB',
  'llm-adapters/index': '100 kB',
  'blip2/index': '100 kB',
  'blip2/browser': '100 kB',
  'blip2/node': '100 kB',
  'cli/index': '100 kB',
};

const BROUGHT_BY_THE_APPLICATION = ['@tensorflow/*', 'sharp'];

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

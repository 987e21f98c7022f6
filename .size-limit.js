// What each entry point costs in a page or a program: everything it imports, bundled, minified and compressed with
// Brotli; tfjs and native modules, which the application brings, not counted. Limits are the measured sizes and a tenth.
const LIMITS = {
  'core/index': '6.3 kB',
  'checkpoints/index': '22.9 kB',
  'checkpoints/node': '63.6 kB',
  'image/index': '33.4 kB',
  'image/browser': '38.1 kB',
  'image/node': '37.8 kB',
  'tokenizers/index': '10.5 kB',
  'generation/index': '4.5 kB',
  'vision-encoder/index': '14.2 kB',
  'qformer/index': '17.3 kB',
  'llm-adapters/index': '35.4 kB',
  'blip2/index': '74.2 kB',
  'blip2/browser': '89.2 kB',
  'blip2/node': '108.4 kB',
  'cli/index': '115.2 kB',
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

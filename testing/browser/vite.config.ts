import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type UserConfig } from 'vite';

const packages = new URL('../../packages/', import.meta.url);
const FOLDERS = [
  'blip2',
  'checkpoints',
  'compiler',
  'core',
  'generation',
  'image',
  'llm-adapters',
  'qformer',
  'tiny',
  'tokenizers',
  'vision-encoder',
];

/** The built files that each import gets once the packages are published; in the workspace it would get the sources. */
const published = FOLDERS.flatMap((folder) => {
  const home = new URL(`${folder}/`, packages);
  const { name, publishConfig } = JSON.parse(readFileSync(new URL('package.json', home), 'utf8')) as {
    name: string;
    publishConfig: { exports: Record<string, { default: string } | string> };
  };
  return Object.entries(publishConfig.exports).flatMap(([key, target]) =>
    typeof target === 'string'
      ? []
      : [{ find: new RegExp(`^${name}${key.slice(1)}$`), replacement: fileURLToPath(new URL(target.default, home)) }],
  );
});

const config: UserConfig = defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  resolve: { alias: published },
  build: { target: 'esnext', chunkSizeWarningLimit: 4000, reportCompressedSize: false },
  logLevel: 'warn',
});

export default config;

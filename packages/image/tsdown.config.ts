import { defineConfig } from 'tsdown';

export default defineConfig({
  entry: ['./src/index.ts', './src/node.ts', './src/browser.ts'],
  platform: 'neutral',
  dts: true,
});

import { readFileSync } from 'node:fs';
import { type UserConfig, defineConfig } from 'tsdown';

/**
 * How every package is built: ES modules with declarations, one file for each entry point and command that its
 * package.json names. Dependencies stay imports.
 */
export function packageBuild(): UserConfig {
  const { exports, bin = {} } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    exports: Record<string, string>;
    bin?: Record<string, string>;
  };
  const entry = [...Object.values(exports), ...Object.values(bin)].filter((path) => path.endsWith('.ts'));
  return defineConfig({ entry, platform: 'neutral', dts: true }) as UserConfig;
}

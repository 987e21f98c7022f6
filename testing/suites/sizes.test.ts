import { beforeAll, describe, expect, it } from 'vitest';
import { PUBLIC_PACKAGES, run } from './workspace.ts';

interface Measured {
  readonly name: string;
  readonly passed?: boolean;
  readonly size: number;
  readonly sizeLimit?: number;
}

describe('what each entry point costs when it is bundled', () => {
  let measured: Measured[] = [];
  beforeAll(() => {
    const { stdout, stderr } = run('size-limit', ['--json']); // exits with 1 when a limit is exceeded
    try {
      measured = JSON.parse(stdout) as Measured[];
    } catch {
      throw new Error(`size-limit measured nothing\n${stdout}\n${stderr}`);
    }
  });

  const entries = PUBLIC_PACKAGES.flatMap(({ folder, manifest }) =>
    Object.values(manifest.exports ?? {})
      .filter((path): path is string => typeof path === 'string' && path.endsWith('.ts'))
      .map((path) => `${folder.split('/').at(-1)}/${path.replace(/^\.\/src\/|\.ts$/g, '')}`),
  );

  it.each(entries)('%s stays within its limit in .size-limit.js', (entry) => {
    const result = measured.find(({ name }) => name === entry);
    expect(result, `${entry} has no limit`).toBeDefined();
    expect(result!.size, `the limit is ${result!.sizeLimit} bytes`).toBeLessThanOrEqual(result!.sizeLimit ?? 0);
    // A limit far above the size would let it grow unseen.
    expect(result!.sizeLimit!).toBeLessThan(result!.size * 1.5 + 1000);
  });
});

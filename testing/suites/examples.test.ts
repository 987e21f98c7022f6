import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixturePath } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import { ROOT, run } from './workspace.ts';

/** What the words in capitals stand for in an example's call: `// node packages/x/examples/basic.ts MODEL IMAGE`. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  MODEL: fixturePath('models/blip2-opt'),
  IMAGE: fixturePath('models/preprocessing/images/landscape.png'),
};

/** What has to follow the file's name, as the comment at the top says; `[OPTIONAL]` words are left out. */
function argumentsOf(file: string): string[] {
  const comment = /^(\/\/.*\n)+/.exec(readFileSync(file, 'utf8'))?.[0] ?? '';
  const words = /node \S*examples\/\S+\.ts([^\n]*)/.exec(comment)?.[1]?.split(/\s+/) ?? [];
  return words.flatMap((word) => ARGUMENTS[word] ?? []);
}

describe('every example runs as its comment says and prints something', () => {
  it.each(globSync('packages/*/examples/*.ts', { cwd: ROOT }).toSorted())('%s', (path) => {
    const file = join(ROOT, path);
    const { status, stdout, stderr } = run('node', [file, ...argumentsOf(file)], { timeoutMs: 60_000 });
    expect(status, `${stdout}${stderr}`).toBe(0);
    expect(stdout.trim()).not.toBe('');
  });
});

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { findPython } from './python.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-python-'));
  vi.stubEnv('BLIP2_PEER_PYTHON', undefined);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

it('is the one that was named, then the one of the environment', async () => {
  vi.stubEnv('BLIP2_PEER_PYTHON', '/opt/torch/bin/python');
  expect(await findPython({ interpreter: 'my-python', folder })).toBe('my-python');
  expect(await findPython({ folder })).toBe('/opt/torch/bin/python');
});

it('is the one that was made before', async () => {
  const python = join(folder, 'python', 'bin', 'python');
  await mkdir(dirname(python), { recursive: true });
  await writeFile(python, '');
  expect(await findPython({ folder })).toBe(python);
});

it('says what is needed when none can be made, and leaves no half of one', async () => {
  vi.stubEnv('PATH', '');
  const messages: string[] = [];
  const finding = findPython({ folder, onProgress: (message) => messages.push(message.replace(folder, 'DATA')) });
  const error = await finding.then(String, (cause: Error) => cause.message.replaceAll(folder, 'DATA'));
  expect(error).toMatchInlineSnapshot(`
    "The peer: 'python3 -m venv DATA/python' failed: spawnSync python3 ENOENT
    Expected a Python 3.10 or newer with PyTorch and transformers. Install them yourself and name the interpreter with --python or BLIP2_PEER_PYTHON."
  `);
  expect(messages).toEqual(['installing PyTorch and transformers, once, in DATA/python']);
  expect(existsSync(join(folder, 'python'))).toBe(false);
});

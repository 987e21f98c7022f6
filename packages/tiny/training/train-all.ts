import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MODELS, PLAN } from './plan.ts';
import { writeModel } from './write-model.ts';

/**
 * Trains everything and writes the models: `node train-all.ts FOLDER [MODELS]`.
 *
 * FOLDER gets a folder for each part. What is there is not trained again, and a part that was interrupted goes on from its last
 * checkpoint. MODELS, by default those of this package, gets a folder in the Hub's layout for each model.
 */
const [root = '', models = fileURLToPath(new URL('../models', import.meta.url))] = process.argv.slice(2);
const folder = (name: string): string => join(root, name);
mkdirSync(root, { recursive: true });

for (const { part, steps } of PLAN) {
  if (existsSync(join(folder(part), 'model.safetensors'))) {
    console.log(`${part}: is there`);
    continue;
  }
  const begin = performance.now();
  // A process of its own for each part: its memory goes back when it is done.
  const script = fileURLToPath(new URL('run.ts', import.meta.url));
  const { status } = spawnSync(process.execPath, [script, root, part, `${steps}`], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  console.log(`${part}: ${((performance.now() - begin) / 60_000).toFixed(1)} minutes`);
}
for (const kind of MODELS) {
  const target = join(models, kind);
  mkdirSync(target, { recursive: true });
  await writeModel(target, { vision: folder('vision'), bridge: folder(`joint-${kind}`), language: folder(kind) });
  console.log(`${target}: written`);
}

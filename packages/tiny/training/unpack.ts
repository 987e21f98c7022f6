import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpointFolder, writeWeights } from '@blip2/checkpoints/node';
import { readCheckpointJson, renamedWeight, type Weight } from '@blip2/core';
import { TOKENIZER_FILES } from '@blip2/tokenizers';
import { jsonBytes } from './file-bytes.ts';
import { MODELS } from './plan.ts';

/**
 * Puts the frozen parts of the published models into FOLDER, where training and ablations look for them: `node unpack.ts FOLDER`. Parts
 * that are there stay as they are.
 */
const [root = ''] = process.argv.slice(2);

/** The norm of the image's features, which is trained with the bridge, has a name of the image encoder. */
const BRIDGE_NORM = 'vision_model.post_layernorm.';

for (const { kind } of MODELS) {
  const modelFolder = fileURLToPath(new URL(`../models/${kind}`, import.meta.url));
  const model = await openCheckpointFolder(modelFolder);
  const weights = model.weights.names.map((name) => model.weights.get(name)!);
  const language = weights.flatMap((weight) => (isOf('language_model.', weight) ? [withoutPrefix(weight)] : []));
  await writePart(
    'vision',
    weights.filter((weight) => isOf('vision_model.', weight) && !isOf(BRIDGE_NORM, weight)),
  );
  if (await writePart(kind, language)) {
    const { text_config: config } = (await readCheckpointJson(model, 'config.json')) as { readonly text_config: unknown };
    writeFileSync(join(root, kind, 'config.json'), jsonBytes(config));
    const files = TOKENIZER_FILES.filter((name) => name !== 'vocab.txt' && existsSync(join(modelFolder, name)));
    for (const name of files) copyFileSync(join(modelFolder, name), join(root, kind, name));
  }
  model.dispose();
}

function isOf(prefix: string, { name }: Weight): boolean {
  return name.startsWith(prefix);
}

function withoutPrefix(weight: Weight): Weight {
  return renamedWeight(weight, weight.name.slice('language_model.'.length));
}

/** @returns whether it was written. */
async function writePart(name: string, weights: readonly Weight[]): Promise<boolean> {
  const folder = join(root, name);
  if (existsSync(join(folder, 'model.safetensors'))) return false;
  mkdirSync(folder, { recursive: true });
  await writeWeights(folder, weights, { dtype: 'F32', overwrite: true });
  console.log(`${folder}: written`);
  return true;
}

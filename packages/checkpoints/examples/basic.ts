// Writes a small model in the original (LAVIS) names, as two files with an index, and opens it under the Hub's names.
// Run: node packages/checkpoints/examples/basic.ts
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpointFolder, writeWeights } from '@blip2/checkpoints/node';

const folder = await mkdtemp(join(tmpdir(), 'blip2-example-'));
const ramp = (length: number): Float32Array => Float32Array.from({ length }, (_, index) => index / 8);
const files = await writeWeights(
  folder,
  [
    { name: 'query_tokens', shape: [1, 4, 8], values: ramp(32) },
    { name: 'visual_encoder.blocks.0.attn.q_bias', shape: [2], values: ramp(2) },
    { name: 'visual_encoder.blocks.0.attn.v_bias', shape: [2], values: ramp(2) },
    { name: 'Qformer.bert.embeddings.LayerNorm.weight', shape: [8], values: ramp(8) },
  ],
  { dtype: 'F16', maxShardBytes: 70 },
);
console.log(files.join('\n'));

const checkpoint = await openCheckpointFolder(folder);
for (const name of checkpoint.weights.names) {
  const weight = checkpoint.weights.get(name)!;
  console.log(name, weight.dtype, weight.shape, (await weight.read()).slice(0, 6));
}
checkpoint.dispose();
await rm(folder, { recursive: true });

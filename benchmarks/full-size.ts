/**
 * A model at its true dimensions, end to end, with random weights: `pnpm bench:full-size [--model blip2-itm-vit-g] [--engine compiled|eager]
 * [--dtype fp32|int8|int4] [--images 2]`.
 *
 * The checkpoint (fp16, sharded) is written once to the system's temporary folder. The measured run is a process of
 * its own, so that its peak memory is that of loading and running alone.
 */
import '@tensorflow/tfjs-backend-wasm';
import { spawnSync } from 'node:child_process';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseBlip2Config } from '@blip2/checkpoints';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { defaultWeightBudget, sizeOf } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import {
  BLIP2_CONFIGS,
  caption,
  type Dtype,
  type EngineName,
  estimateBlip2,
  expectedWeights,
  loadBlip2,
  match,
  type OfficialModel,
} from 'blip2/node';
import { writeRandomCheckpoint } from './random-checkpoint.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'blip2-itm-vit-g' },
    engine: { type: 'string', default: 'compiled' },
    dtype: { type: 'string', default: 'fp32' },
    images: { type: 'string', default: '2' },
    tokens: { type: 'string', default: '4' },
    folder: { type: 'string' },
    measure: { type: 'boolean', default: false },
  },
});
const model = values.model as OfficialModel;
const folder = values.folder ?? join(tmpdir(), `${model}-random-fp16`);
const IMAGE = fileURLToPath(new URL('../testing/fixtures/models/preprocessing/images/big.png', import.meta.url));

if (values.measure) await measure();
else {
  await prepareCheckpoint();
  const { status } = spawnSync(process.execPath, [...process.argv.slice(1), '--measure', '--folder', folder], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}

async function prepareCheckpoint(): Promise<void> {
  const begin = performance.now();
  const config = parseBlip2Config(BLIP2_CONFIGS[model]);
  const weights = expectedWeights(config);
  const parameters = weights.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  console.log(`${(parameters / 1e9).toFixed(2)} B random parameters as fp16 shards in ${folder} …`);
  const tokenizer = config.qformer_config.use_qformer_text_input ? 'bert' : (config.text_config.model_type as 'opt' | 't5');
  const isNew = await writeRandomCheckpoint(folder, { weights, config: BLIP2_CONFIGS[model], dtype: 'F16', tokenizer });
  console.log(isNew ? `written in ${seconds(performance.now() - begin)}` : 'were there');
}

async function measure(): Promise<void> {
  await tf.setBackend('wasm');
  console.log(
    `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.versions.node}, tfjs ${tf.version_core} wasm`,
  );
  const [engine, dtype] = [values.engine as EngineName, values.dtype as Dtype];
  const checkpoint = await openCheckpointFolder(folder);
  const writesText = checkpoint.weights.names.some((name) => name.startsWith('language_model.'));
  const { summary, weightBytes, residentBytes } = await estimateBlip2(checkpoint, { backend: 'wasm', writesText });
  if (engine === 'eager') console.log(`estimate before the work: ${summary}`);

  const begin = performance.now();
  using loaded = await loadBlip2(checkpoint, { engine, dtype });
  report('engine', loaded.engine);
  report('load', seconds(performance.now() - begin));
  const times: number[] = [];
  for (let index = 0; index < Number(values.images); index++) {
    const started = performance.now();
    if (writesText) await caption(loaded, IMAGE, { beams: 1, maxNewTokens: Number(values.tokens) });
    else await match(loaded, IMAGE, ['a dog on the beach']);
    times.push(performance.now() - started);
  }
  report('first image', seconds(times[0]!));
  report('time per image, median', seconds(times.toSorted((a, b) => a - b)[times.length >> 1]!));
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  report('weights in fp32', gigabytes(weightBytes));
  if (engine === 'eager') {
    report('weights resident, fp32', `${gigabytes(residentBytes)} (budget ${gigabytes(defaultWeightBudget('wasm'))})`);
    report('peak memory', `${gigabytes(peakBytes)}, that is resident weights + ${gigabytes(peakBytes - residentBytes)}`);
  } else report('peak memory', `${gigabytes(peakBytes)}, mapped files included`);
  report('tensors left', String(tf.memory().numTensors));
}

function report(what: string, value: string): void {
  console.log(`${what.padEnd(26)}${value}`);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

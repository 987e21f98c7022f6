/**
 * A model at its true dimensions, end to end, with random weights: `pnpm bench:full-size [--model blip2-itm-vit-g] [--images 2]`.
 *
 * The checkpoint (fp16, sharded) is written once to the system's temporary folder. The measured run is a process of
 * its own, so that its peak memory is that of loading and running alone.
 */
import '@tensorflow/tfjs-backend-wasm';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseBlip2Config } from '@blip2/checkpoints';
import { openCheckpointFolder, writeWeights } from '@blip2/checkpoints/node';
import { defaultWeightBudget, seededRandom, sizeOf, type TakenWeight, type Weight } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { BLIP2_CONFIGS, caption, estimateBlip2, expectedWeights, loadBlip2, match, type OfficialModel } from 'blip2/node';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'blip2-itm-vit-g' },
    images: { type: 'string', default: '2' },
    tokens: { type: 'string', default: '4' },
    folder: { type: 'string' },
    measure: { type: 'boolean', default: false },
  },
});
const model = values.model as OfficialModel;
const folder = values.folder ?? join(tmpdir(), `${model}-random-fp16`);
const IMAGE = fileURLToPath(new URL('../testing/fixtures/models/preprocessing/images/big.png', import.meta.url));

/** A million normal-looking numbers, read from a different place for each weight: drawing a billion would take minutes. */
const POOL: Float32Array = Float32Array.from({ length: 1 << 20 }, seededNormals());

if (values.measure) await measure();
else {
  if (!existsSync(join(folder, 'config.json'))) await writeRandomCheckpoint();
  const { status } = spawnSync(process.execPath, [...process.argv.slice(1), '--measure', '--folder', folder], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}

async function writeRandomCheckpoint(): Promise<void> {
  const begin = performance.now();
  const config = parseBlip2Config(BLIP2_CONFIGS[model]);
  const weights = expectedWeights(config).map(randomWeight);
  const parameters = weights.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  console.log(`Writing ${(parameters / 1e9).toFixed(2)} B random parameters as fp16 shards …`);
  await mkdir(folder, { recursive: true });
  await writeWeights(folder, weights, { dtype: 'F16', maxShardBytes: 1e9 });
  const tokenizer = config.qformer_config.use_qformer_text_input ? 'bert' : config.text_config.model_type;
  const source = fileURLToPath(new URL(`../testing/fixtures/models/tokenizers-real/${tokenizer}/`, import.meta.url));
  for (const file of await readdir(source)) if (file !== 'cases.json') await copyFile(join(source, file), join(folder, file));
  await writeFile(join(folder, 'config.json'), JSON.stringify(BLIP2_CONFIGS[model], undefined, 1)); // last: its presence says that all is there
  console.log(`written in ${seconds(performance.now() - begin)}`);
}

function seededNormals(): () => number {
  const random = seededRandom(1);
  return () => (random() + random() + random() + random() - 2) * Math.sqrt(3); // variance 1
}

function randomWeight({ name, shape }: TakenWeight, index: number): Weight {
  const isNorm = shape.length === 1 && name.endsWith('.weight');
  const scale = shape.length === 1 ? 0.02 : 1 / Math.sqrt(shape.at(-1)!);
  const read = (): Promise<Float32Array> => {
    const drawn = new Float32Array(sizeOf(shape));
    const offset = (index * 7919) % POOL.length;
    for (let i = 0; i < drawn.length; i++) drawn[i] = (isNorm ? 1 : 0) + scale * POOL[(i + offset) & (POOL.length - 1)]!;
    return Promise.resolve(drawn);
  };
  return { name, dtype: 'F32', shape, read, rows: () => Promise.reject(new Error('not needed to write')) as never };
}

async function measure(): Promise<void> {
  await tf.setBackend('wasm');
  console.log(
    `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.versions.node}, tfjs ${tf.version_core} wasm`,
  );
  const checkpoint = await openCheckpointFolder(folder);
  const writesText = checkpoint.weights.names.some((name) => name.startsWith('language_model.'));
  const { summary, weightBytes, residentBytes } = await estimateBlip2(checkpoint, { backend: 'wasm', writesText });
  console.log(`estimate before the work: ${summary}`);

  const begin = performance.now();
  using loaded = await loadBlip2(checkpoint);
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
  report('weights resident, fp32', `${gigabytes(residentBytes)} (budget ${gigabytes(defaultWeightBudget('wasm'))})`);
  report('peak memory', `${gigabytes(peakBytes)}, that is resident weights + ${gigabytes(peakBytes - residentBytes)}`);
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

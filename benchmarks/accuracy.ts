/**
 * How far quantised models are from float32, layer by layer, as Markdown: `pnpm bench:accuracy [--only SECTION] [--layers 8] [--data DIR] [--markdown FILE]`.
 */
import '@tensorflow/tfjs-backend-cpu';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { nodeTarget } from '@blip2/compiler/node';
import { InputError } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { SECTIONS } from './accuracy/sections.ts';
import { describeMachine } from './peers/machine.ts';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    layers: { type: 'string', default: '8' },
    data: { type: 'string', default: join(tmpdir(), 'blip2-benchmarks') },
    markdown: { type: 'string' },
  },
});
const unknown = options.only.find((name) => !(name in SECTIONS));
if (unknown !== undefined) {
  throw new InputError(`--only ${unknown}: there is no such section. There are ${Object.keys(SECTIONS).join(', ')}.`);
}
const layers = Number(options.layers);
if (!Number.isInteger(layers) || layers < 1) {
  throw new InputError(`--layers ${options.layers}: expected a whole number of layers, at least 1.`);
}

await tf.setBackend('cpu');
const { processor, cores, system, node } = describeMachine();
const { runtime } = await nodeTarget();
const parts = [
  `Measured on ${new Date().toISOString().slice(0, 10)}: ${processor} (${cores} cores), ${system}, Node ${node}, ${runtime.name}.`,
];
for (const [name, section] of Object.entries(SECTIONS)) {
  if (options.only.length > 0 && !options.only.includes(name)) continue;
  const onProgress = (message: string): void => void process.stderr.write(`${message}\n`);
  onProgress(name);
  const part = await section({ dataFolder: options.data, layers, onProgress });
  console.log(`${part}\n`);
  parts.push(part);
}
if (options.markdown !== undefined) await writeFile(options.markdown, `${parts.join('\n\n')}\n`);

/**
 * Our side of a comparison: a process that answers the requests of `protocol.ts`. `node our-side.ts [compiled|eager]`.
 *
 * Packages come from their sources, whose types Node strips at each start; a compile cache keeps the result, as a
 * built package would have none to strip.
 */
import '@tensorflow/tfjs-backend-wasm';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import { InputError } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { answerRequests } from './answer-requests.ts';
import { createEngine, type OurEngine } from './engine.ts';
import { type LoadedTask, loadDecode, loadEncodeImage, loadEncodeQueries, loadMatch } from './our-tasks.ts';
import type { OutputAnswer, RunAnswer, SideDescription, Task } from './protocol.ts';

const kind = (process.argv[2] ?? 'compiled') as OurEngine;
console.log = console.error; // standard output is for answers
console.info = console.error;
let loaded: LoadedTask | undefined;

await answerRequests({ load: (task) => load(task as Task), run, output });
process.exit(0); // sessions and workers would keep the process alive

async function load(task: Task): Promise<SideDescription> {
  await tf.setBackend('wasm');
  loaded = await loadTask(task);
  const require = createRequire(import.meta.url);
  const runtime = kind === 'compiled' ? 'onnxruntime-node' : '@tensorflow/tfjs-backend-wasm';
  const { version } = require(`${runtime}/package.json`) as { readonly version: string };
  return {
    runtime: `Node ${process.versions.node}`,
    libraries: { '@tensorflow/tfjs-core': tf.version_core, [runtime]: version },
    threads: kind === 'compiled' ? task.threads : 1, // tfjs has no threads in Node
  };
}

async function loadTask(task: Task): Promise<LoadedTask> {
  // Only training needs the gradients, and they take a while to load.
  if (task.kind === 'train') return (await import('./training.ts')).loadTraining(kind, task);
  const engine = await createEngine(kind, task);
  switch (task.kind) {
    case 'encode-image':
      return loadEncodeImage(task, engine);
    case 'encode-queries':
      return loadEncodeQueries(task, engine);
    case 'match':
      return loadMatch(task, engine);
    case 'decode':
      return loadDecode(task, engine);
  }
}

async function run(): Promise<RunAnswer> {
  const begin = performance.now();
  const result = await taskOrFail().run();
  return { ms: performance.now() - begin, ...result };
}

async function output(path: string): Promise<OutputAnswer> {
  const { shape, values } = await taskOrFail().output();
  writeFileSync(path, new Uint8Array(Float32Array.from(values).buffer));
  return { shape };
}

function taskOrFail(): LoadedTask {
  if (loaded === undefined)
    throw new InputError('our side: no task is loaded, expected one before this request. Send load first.');
  return loaded;
}

import '@tensorflow/tfjs-backend-wasm';
import { openCheckpointFolder, writeWeights } from '@blip2/checkpoints/node';
import { existsSync, mkdirSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { onnxEngine } from './node.ts';
import { createOpt, optConfig, randomOptWeights } from '../../llm-adapters/src/index.ts';
await tf.setBackend('wasm');
const layers = 8;
const config = optConfig('2.7b', { layers, vocabSize: 2000, padTokenId: 1 });
const folder = '/tmp/lm/opt';
if (!existsSync(folder)) {
  mkdirSync(folder, { recursive: true });
  const w = randomOptWeights(config);
  await writeWeights(
    folder,
    w.names.map((n) => w.get(n)!),
    { dtype: 'F16' },
  );
}
const checkpoint = await openCheckpointFolder(folder);
const tokenizer = {
  vocabSize: 2000,
  padTokenId: 1,
  encode: (t: string) => t.split(' ').map(Number),
  decode: () => '',
  tokenId: () => undefined,
};
const dtype = (process.argv[2] ?? 'int8') as 'int8';
const inner = await onnxEngine({ dtype });
let gather = 0,
  run = 0;
const engine: typeof inner = {
  ...inner,
  async prepare(c, o) {
    const f = await inner.prepare(c, o);
    const r = f.run.bind(f);
    f.run = async (...a) => {
      const s = performance.now();
      try {
        return await r(...a);
      } finally {
        run += performance.now() - s;
      }
    };
    return f;
  },
  async gatherRows(t, rows) {
    const s = performance.now();
    try {
      return await inner.gatherRows(t, rows);
    } finally {
      gather += performance.now() - s;
    }
  },
};
const t0 = performance.now();
const model = await createOpt(checkpoint.weights, config, tokenizer, { engine });
console.log('load', (performance.now() - t0).toFixed(0));
const visual = tf.randomNormal<tf.Rank.R3>([1, 32, 2560], 0, 1, 'float32', 1);
for (const [beams, change] of [
  [1, false],
  [5, false],
  [5, true],
] as const) {
  for (const repeat of [0, 1]) {
    const session = model.startDecoding(visual, ['10 20 30 40 50 60 70 80']);
    let s = performance.now();
    (await session.start()).dispose();
    const first = performance.now() - s;
    session.reorder(Array.from({ length: beams }, () => 0));
    const times: number[] = [];
    gather = run = 0;
    const steps = 20;
    for (let step = 0; step < steps; step++) {
      s = performance.now();
      const l = await session.step(Array.from({ length: beams }, (_, b) => 10 + b));
      await l.data();
      l.dispose();
      if (step > 0) times.push(performance.now() - s);
      if (change) session.reorder([0, 0, 1, 2, 3]);
    }
    session.dispose();
    times.sort((a, b) => a - b);
    if (repeat)
      console.log(
        `${dtype} beams ${beams} reorder ${change}: first ${first.toFixed(0)} ms, step median ${times[times.length >> 1]!.toFixed(1)} ms; per step run ${(run / steps).toFixed(1)} gather ${(gather / steps).toFixed(1)}`,
      );
  }
}
model.dispose();
process.exit(0);

// Times the layers at the size of one ViT-g block (257 tokens, width 1408) on tfjs wasm: node packages/core/bench/layers.ts
import '@tensorflow/tfjs-backend-wasm';
import { attend, gelu, layerNorm, linear } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';

const ROUNDS = 25;

await tf.setBackend('wasm');
const normal = <R extends tf.Rank>(shape: tf.ShapeMap[R]) => tf.randomNormal<R>(shape, 0, 1, 'float32', 1);
const x = normal<tf.Rank.R3>([1, 257, 1408]);
const rows = normal<tf.Rank.R2>([257, 1408]);
const wide = normal<tf.Rank.R3>([1, 257, 6144]);
const weight = normal<tf.Rank.R2>([6144, 1408]);
const ones = tf.ones([1408]) as tf.Tensor1D;
const heads = normal<tf.Rank.R4>([1, 16, 257, 88]);

/** The best of many rounds: the others were disturbed. */
function time(name: string, compute: () => tf.Tensor): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    compute().dispose();
    best = Math.min(best, performance.now() - started);
  }
  console.log(`${name.padEnd(48)} ${best.toFixed(1).padStart(8)} ms`);
}

time('linear 257×1408 → 6144', () => linear({ weight }, x));
time('  the same by tf.matMul(x, W, false, true)', () => tf.matMul(rows, weight, false, true));
time('attend 16 heads, 257×257, headWidth 88', () => attend(heads, heads, heads, { scale: 88 ** -0.5 }));
time('gelu 257×6144', () => gelu(wide));
time('layerNorm 257×1408', () => layerNorm({ weight: ones, bias: ones }, x, 1e-6));

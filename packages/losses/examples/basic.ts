// The losses of a batch of random features, and one step of gradient descent on the contrast: node examples/basic.ts
import { seededRandom } from '@blip2/core';
import { contrastiveLoss, drawNegatives, negativeWeights } from '@blip2/losses';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';

await tf.setBackend('wasm');

const [batch, queries, width] = [8, 32, 256];
const random = <R extends tf.Rank>(shape: tf.ShapeMap[R], seed: number): tf.Tensor<R> =>
  tf.randomNormal(shape, 0, 1, 'float32', seed);
const normalized = <X extends tf.Tensor>(x: X): X => tf.div(x, tf.norm(x, 2, -1, true));

const images = random<tf.Rank.R3>([batch, queries, width], 1); // what the queries saw
const texts = normalized(random<tf.Rank.R2>([batch, width], 2));
const temperature = tf.scalar(0.07);

const contrast = (x: tf.Tensor): tf.Scalar => contrastiveLoss({ images: normalized(x as tf.Tensor3D), texts }, temperature).loss;
const { value, grad } = tf.valueAndGrad(contrast)(images);
const better = tf.sub(images, tf.mul(grad, 20));
const [before, after] = [value.dataSync()[0]!, contrast(better).dataSync()[0]!];
console.log(
  `contrast ${before.toFixed(3)} → ${after.toFixed(3)} after one step (knowing nothing: ${Math.log(batch).toFixed(3)})`,
);

const { imageToText } = contrastiveLoss({ images: normalized(images), texts }, temperature);
const draw = seededRandom(3);
const draws = tf.tensor1d(Array.from({ length: batch }, draw));
const negatives = drawNegatives(negativeWeights(imageToText), draws);
console.log(`the hard negative text of each image: ${negatives.dataSync().join(' ')}`);

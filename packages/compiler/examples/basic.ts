// A function of ten lines and its gradient, compiled and run: node packages/compiler/examples/basic.ts
import { compile } from '@blip2/compiler/node';
import * as tf from '@tensorflow/tfjs';

interface Layer {
  readonly x: tf.Tensor2D; //      [rows, 3]
  readonly weight: tf.Tensor2D; // [3, 2]
}

function energy({ x, weight }: Layer): tf.Scalar {
  const hidden = tf.tanh(tf.matMul(x, weight)); // [rows, 2]
  return tf.mean(tf.square(hidden));
}

const inputs = { x: { shape: ['rows', 3] }, weight: { shape: [3, 2] } };
const compiled = await compile(
  (layer: Layer) => {
    const { value, grad } = tf.valueAndGrad((weight) => energy({ ...layer, weight: weight as tf.Tensor2D }))(layer.weight);
    return { value, gradient: grad };
  },
  { inputs },
);

const x = tf.tensor2d([
  [1, 2, 3],
  [0, 1, 0],
]);
const weight = tf.tensor2d([
  [0.1, 0.2],
  [0.3, -0.1],
  [0, 0.5],
]);
const { value, gradient } = await compiled.run({ x, weight });
console.log(gradient.shape, await value.data()); // [3, 2] [0.32…]
compiled.dispose();

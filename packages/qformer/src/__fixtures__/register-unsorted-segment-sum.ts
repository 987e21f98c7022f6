import * as tf from '@tensorflow/tfjs-core';

/**
 * The gradient of `tf.gather` adds rows up by index, with a kernel that the wasm backend lacks (tfjs 4.22).
 * Plain and slow: for tests. Training at full size needs a better one.
 */
tf.registerKernel({
  kernelName: tf.UnsortedSegmentSum,
  backendName: 'wasm',
  kernelFunc: ({ inputs, attrs }) => {
    const { x, segmentIds } = inputs as { x: tf.TensorInfo; segmentIds: tf.TensorInfo };
    const { numSegments } = attrs as unknown as tf.UnsortedSegmentSumAttrs;
    const backend = tf.backend();
    const values = backend.readSync(x.dataId) as Float32Array;
    const ids = backend.readSync(segmentIds.dataId) as Int32Array;
    const rowSize = values.length / ids.length;
    const sums = new Float32Array(numSegments * rowSize);
    ids.forEach((id, row) => {
      for (let index = 0; index < rowSize; index++) sums[id * rowSize + index]! += values[row * rowSize + index]!;
    });
    return tf
      .engine()
      .makeTensorFromDataId(
        backend.write(sums, [numSegments, rowSize], 'float32'),
        [numSegments, ...x.shape.slice(1)],
        'float32',
      );
  },
});

import { createHash } from 'node:crypto';
import '@tensorflow/tfjs-backend-cpu';
import { openCheckpoint } from '@blip2/checkpoints/node';
import { buildGraph, GRAPH_FORMAT } from '@blip2/compiler';
import type { Engine, FunctionIdentity } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { loadBlip2 } from './load-blip2.ts';

/**
 * Compiled graphs are kept from one start to the next under the numbers that packages give them. When a hash changes here, a
 * function became another graph: raise the GRAPH_VERSION of its package, the LAYERS_VERSION of core or the GRAPH_FORMAT of the
 * compiler, whichever changed, and then update the snapshot. Otherwise users keep running the old graph.
 */
it('graphs change only together with their numbers', async () => {
  await tf.setBackend('cpu');
  const hashes: Record<string, string> = {};
  const eager = eagerEngine();
  const engine: Engine = {
    ...eager,
    prepare(compute, options) {
      const { package: owner, version, layers, name } = options.identity as FunctionIdentity & { readonly layers: number };
      const swapped = (inputs: never, weights: never): unknown => compute(weights, inputs);
      const { graph, outputAxes } = buildGraph(swapped, options.inputs, options.params);
      const text = JSON.stringify({ ...graph, weights: graph.weights.map((weight) => [weight.name, weight.type]), outputAxes });
      hashes[`${owner} ${name}, version ${version}, layers ${layers}, format ${GRAPH_FORMAT}`] = createHash('sha256')
        .update(text)
        .digest('hex')
        .slice(0, 12);
      return eager.prepare(compute, options);
    },
  };
  for (const name of ['blip2-opt', 'blip2-flan-t5', 'blip2-itm']) {
    const checkpoint = await openCheckpoint(fixturePath(`models/${name}`));
    (await loadBlip2(checkpoint, { engine })).dispose();
    expect(hashes).toMatchSnapshot(name);
    for (const key of Object.keys(hashes)) delete hashes[key];
  }
});

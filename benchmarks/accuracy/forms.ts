import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openSafetensorsFile, writeSafetensorsFile } from '@blip2/checkpoints/node';
import { buildGraph } from '@blip2/compiler';
import { nodeTarget } from '@blip2/compiler/node';
import type { Engine, EngineInputs, HostTensor, PrepareOptions } from '@blip2/core';
import { createVisionEncoder, EVA_VIT_G } from '@blip2/vision-encoder';
import type { OnnxGraph } from '../../packages/compiler/src/onnx/graph.ts';
import { observeProducts, type ProductStatistics } from '../../packages/compiler/src/passes/observe-products.ts';
import type { QuantizationPolicy } from '../../packages/compiler/src/passes/place-weights.ts';
import { placeGraph } from '../../packages/compiler/src/place-graph.ts';
import { measureForms } from '../../packages/compiler/src/quantize/measure-forms.ts';
import { outputError } from '../../packages/compiler/src/quantize/output-errors.ts';
import { blocksOf, isLargeMatrix } from '../../packages/compiler/src/quantize/policy.ts';
import type { TracedGraph } from '../../packages/compiler/src/trace/graph-builder.ts';
import { flattenTree } from '../../packages/compiler/src/tree.ts';
import { encoderWithOutliers, type Outliers } from './outliers.ts';
import { cosine, markdownTable } from './table.ts';

/** Random weights, and what trained ones have. */
const KINDS: readonly { readonly name: string; readonly outliers: Outliers }[] = [
  { name: 'random weights', outliers: {} },
  { name: 'channels × 50', outliers: { gain: 50 } },
  { name: 'channels × 200', outliers: { gain: 200 } },
  { name: 'massive 100', outliers: { massive: 100 } },
  { name: 'massive 400', outliers: { massive: 400 } },
  { name: 'channels × 100, massive 200', outliers: { gain: 100, massive: 200 } },
];

/** Blocks of ViT-g's widths. */
const LAYERS = 4;

/** How products are computed; `tensor` is the one that was given up. */
type Form = 'tensor' | 'rows' | 'scaled rows' | 'blocks' | 'scaled blocks' | 'chosen';
const FORMS: readonly Form[] = ['tensor', 'rows', 'scaled rows', 'blocks', 'scaled blocks', 'chosen'];

/**
 * Every form for all products of an encoder, and the choice by measurement: the least cosine of a token with float32, over images that were not
 * measured with.
 *
 * @param folder - For weights and what the compiler makes of them; emptied after each kind.
 * @param images - `[batch, 224, 224, 3]`
 */
export async function formsTable(folder: string, images: HostTensor, onProgress: (message: string) => void): Promise<string> {
  const rows: string[][] = [];
  for (const { name, outliers } of KINDS) {
    onProgress(`forms: ${name}`);
    rows.push([name, ...(await cellsOf(folder, outliers, images))]);
  }
  const header = ['', ...FORMS.map((form) => (form === 'tensor' ? 'one scale for all' : form)), 'forms chosen'];
  return markdownTable(header, rows);
}

async function cellsOf(folder: string, outliers: Outliers, images: HostTensor): Promise<string[]> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const config = { ...EVA_VIT_G, layers: LAYERS, layersInCheckpoint: LAYERS };
  const path = join(folder, 'model.safetensors');
  await writeSafetensorsFile(path, encoderWithOutliers(config, outliers), { dtype: 'F16' });
  const file = await openSafetensorsFile(path);
  const { compute, options } = await capture(async (engine) => {
    (
      await createVisionEncoder({ ...file, name: path, names: file.names, get: (name) => file.get(name) }, config, { engine })
    ).dispose();
  });
  const built = buildGraph((inputs: never, weights: never) => compute(weights, inputs), options.inputs, options.params);
  const target = await nodeTarget({ cache: join(folder, 'cache') });
  const samples = await options.samples!();
  const run = async (graph: TracedGraph, policy: QuantizationPolicy, inputs: EngineInputs<unknown>, form?: Form) => {
    const ready = await placeGraph(target.weights, graph, policy, { name: 'encoder' });
    const session = await target.runtime.createSession(
      form === 'tensor' ? withOneScale(ready.graph) : ready.graph,
      ready.settings,
    );
    const given = new Map(flattenTree<HostTensor>(inputs).map(({ path: name, leaf }) => [name, leaf]));
    const results = await session.run(built.inputs.map(({ name }) => given.get(name)!));
    const values = await Promise.all(
      results.map(async (one) => ({ shape: one.shape, data: Float32Array.from(await one.data()) })),
    );
    for (const one of results) one.dispose();
    await session.dispose();
    return values;
  };
  const observed = observeProducts(built.graph, isLargeMatrix, 128);
  const statistics = observed.read((await run(observed.graph, () => undefined, samples)).slice(1).map(({ data }) => data));
  const chosen = await measureForms(target, built, samples, { name: 'encoder' });
  const inputs = { ...(samples as object), images };
  const expected = (await run(built.graph, () => undefined, inputs))[0]!.data;
  const cells: string[] = [];
  for (const form of FORMS) {
    const policy = form === 'chosen' ? chosen.policy : policyOf(form, statistics);
    const actual = (await run(built.graph, policy, inputs, form))[0]!;
    cells.push(cosine(outputError({ name: '', ...actual }, expected).cosine.min));
  }
  file.dispose();
  const counts = Map.groupBy(chosen.report.products, (product) => product.form);
  return [...cells, [...counts].map(([form, { length }]) => `${length} ${form}`).join(', ')];
}

type Captured = { compute: (params: never, inputs: never) => unknown; options: PrepareOptions<unknown, unknown> };

/** What a stage asks an engine to prepare. */
async function capture(load: (engine: Engine) => Promise<void>): Promise<Captured> {
  let captured: Captured | undefined;
  await load({
    name: 'capture',
    prepare: (compute, options) => {
      captured = { compute, options } as unknown as Captured;
      return Promise.resolve({ run: () => Promise.reject(new Error('not to be run')), dispose: () => undefined });
    },
    gatherRows: () => Promise.reject(new Error('not to be run')),
  });
  return captured!;
}

function policyOf(form: Exclude<Form, 'chosen'>, statistics: readonly ProductStatistics[]): QuantizationPolicy {
  const exponents = new Map(statistics.map((one) => [one.name, one.exponents]));
  return (weight, name) => {
    if (!isLargeMatrix(weight)) return undefined;
    const scaling = form.startsWith('scaled') ? { inputExponents: exponents.get(name)! } : {};
    return form.endsWith('blocks') ? { ...blocksOf(8), ...scaling } : { kind: 'columns', ...scaling };
  };
}

/** Rows are not divided by their magnitudes: `DynamicQuantizeMatMul` then has one scale for all activations. */
function withOneScale(graph: OnnxGraph): OnnxGraph {
  const nodes = graph.nodes.map((node) => {
    if (node.operator === 'Div' && node.outputs[0]!.endsWith('.rows'))
      return { ...node, operator: 'Identity', inputs: [node.inputs[0]!] };
    const isRestoring = node.operator === 'Mul' && node.inputs[0]!.endsWith('.product');
    return isRestoring ? { ...node, operator: 'Identity', inputs: [node.inputs[0]!] } : node;
  });
  return { ...graph, nodes };
}

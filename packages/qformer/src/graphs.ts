import { type Described, type InputSpecs, linear, type LinearParams, type TensorSpec } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { captionLogits, matchingLogits, projectContrastive } from './heads.ts';
import { runCaptionStep, runJointPass, runQueryPass, runTextPass, type TextTensors } from './passes.ts';
import { type KeyValues, normalizeImage, type QFormerLayerParams, type QFormerParams, sliceRows } from './qformer.ts';
import type { QFormerConfig } from './qformer-config.ts';
import type { PassOutputs, ProjectionName, WantedOutputs } from './qformer-runner.ts';

/**
 * The Q-Former's tasks as whole functions for an engine: what each takes, which weights it uses, what it computes. All are
 * made of the passes in `passes.ts`.
 */

/** A whole function. */
export interface Graph<Params, Inputs, Outputs> {
  /** Unique among the graphs of a Q-Former. */
  readonly name: string;
  readonly params: Described<Params>;
  readonly inputs: InputSpecs<Inputs>;
  readonly compute: (params: Params, inputs: Inputs) => Outputs;
}

/** What a pass reads. */
export interface PassTensors {
  readonly image?: Tensor3D; //                  [batch or 1, imageTokens, imageFeatureWidth], before ln_vision
  readonly text?: TextTensors; //                [batch, tokens]
}

/** Which pass: what it reads, and what it gives besides its output. */
export interface PassKind extends WantedOutputs {
  readonly reads: 'image' | 'text' | 'image and text';
  /** Whether one image stands before many texts: its keys and values are then computed once. */
  readonly oneImage?: boolean;
}

/** One pass through all layers, with the normalisation of the image. Text with an image is seen by all, as in `jointMask('bidirectional')`. */
export function passGraph(
  described: Described<QFormerParams>,
  config: QFormerConfig,
  kind: PassKind,
): Graph<QFormerParams, PassTensors, PassOutputs> {
  return {
    name: nameOf(kind),
    params: kind.reads === 'image' ? withoutText(described) : withText(described),
    inputs: passSpecs(config, kind),
    compute: (params, inputs) => computePass(params, config, inputs, kind),
  };
}

/** A pass over image and text, and the matching head: `[batch, 2]`. */
export function matchingGraph(
  described: Described<QFormerParams>,
  config: QFormerConfig,
  kind: Pick<PassKind, 'oneImage'>,
): Graph<QFormerParams, PassTensors, Tensor2D> {
  const pass: PassKind = { ...kind, reads: 'image and text' };
  return {
    name: `matching of ${nameOf(pass)}`,
    params: { ...withText(described), heads: { matching: described.heads.matching! } },
    inputs: passSpecs(config, pass),
    compute: (params, inputs) => matchingLogits(params.heads.matching!, computePass(params, config, inputs, pass).output), // [batch, 2]
  };
}

/** A head that is a linear function of rows: `[batch, rows, width]` → `[batch, rows, …]`. */
export function projectionGraph(
  described: Described<QFormerParams>,
  config: QFormerConfig,
  name: ProjectionName,
): Graph<LinearParams, { readonly rows: Tensor3D }, Tensor3D> {
  return {
    name: { promptProjection: 'projection to a prompt', imageProjection: 'image projection', textProjection: 'text projection' }[
      name
    ],
    params: described.heads[name]!,
    inputs: { rows: { shape: ['batch', 'rows', config.width] } },
    compute: (params, { rows }) => (name === 'promptProjection' ? linear(params, rows) : projectContrastive(params, rows)),
  };
}

/** The queries' pass as captions begin: keys and values of each layer, `[batch, heads, queries, headWidth]`. */
export function captionStartGraph(
  described: Described<QFormerParams>,
  config: QFormerConfig,
): Graph<QFormerParams, { readonly image: Tensor3D }, readonly KeyValues[]> {
  return {
    name: 'beginning of captions',
    params: withoutText(described),
    inputs: { image: imageSpec(config, 'batch') },
    compute: (params, { image }) => runQueryPass(params, config, normalizeImage(params.inputs, config, image)).keyValues,
  };
}

/** What one more token of every caption takes. */
export interface CaptionStepTensors {
  readonly ids: Tensor2D; //                     int32 [batch, 1]
  readonly positions: Tensor1D; //               int32 [1]
  readonly past: readonly KeyValues[]; //        [batch, heads, past, headWidth] for each layer
}

/** What it gives. */
export interface CaptionStepOutputs {
  readonly logits: Tensor2D; //                  [batch, vocab]
  readonly keyValues: readonly KeyValues[]; //   [batch, heads, past + 1, headWidth] for each layer
}

/** One more token of every caption; the cache grows. */
export function captionStepGraph(
  described: Described<QFormerParams>,
  config: QFormerConfig,
): Graph<QFormerParams, CaptionStepTensors, CaptionStepOutputs> {
  const { layers, heads, width } = config;
  const cached: TensorSpec = { shape: ['batch', heads, 'past', width / heads] };
  return {
    name: 'step of captions',
    params: { ...withText(described), text: described.text },
    inputs: {
      ids: { shape: ['batch', 1], dtype: 'int32' },
      positions: { shape: [1], dtype: 'int32' },
      past: Array.from({ length: layers }, () => ({ keys: cached, values: cached })),
    },
    compute: (params, { ids, positions, past }) => {
      const { output, keyValues } = runCaptionStep(params, config, past, ids, positions); // [batch, 1, width]
      const logits = captionLogits(params.text!.captionHead!, config, output); // [batch, 1, vocab]
      return { logits: tf.squeeze<Tensor2D>(logits, [1]), keyValues };
    },
  };
}

function computePass(
  params: QFormerParams,
  config: QFormerConfig,
  { image, text }: PassTensors,
  wanted: WantedOutputs,
): PassOutputs {
  const seen = image && normalizeImage(params.inputs, config, image); // [images, imageTokens, imageFeatureWidth]
  const options = { returnAttention: wanted.attention };
  const pass =
    seen === undefined
      ? runTextPass(params, config, text!)
      : text === undefined
        ? runQueryPass(params, config, seen, options)
        : runJointPass(params, config, seen, text, 'bidirectional', options);
  return {
    output: seen && text ? sliceRows(pass.output, 0, config.queries) : pass.output, // [batch, queries or tokens, width]
    layers: wanted.layers ? pass.hiddenStates : [],
    attention: pass.crossAttention,
  };
}

function passSpecs(config: QFormerConfig, { reads, oneImage }: PassKind): InputSpecs<PassTensors> {
  const text: TensorSpec = { shape: ['batch', 'tokens'], dtype: 'int32' };
  return {
    ...(reads !== 'text' && { image: imageSpec(config, oneImage ? 1 : 'batch') }),
    ...(reads !== 'image' && { text: { ids: text, mask: text } }),
  };
}

function imageSpec({ imageFeatureWidth }: QFormerConfig, images: string | number): TensorSpec {
  return { shape: [images, 'imageTokens', imageFeatureWidth] };
}

function nameOf({ reads, oneImage, layers, attention }: PassKind): string {
  const read = oneImage ? 'one image and many texts' : reads;
  return [read, layers && 'with layers', attention && 'with attention'].filter(Boolean).join(', ');
}

/** What queries alone use. */
function withoutText({ inputs, layers }: Described<QFormerParams>): Described<QFormerParams> {
  const bare = layers.map(({ selfAttention, crossAttention, queryFeedForward }): Described<QFormerLayerParams> => ({
    selfAttention,
    ...(crossAttention && { crossAttention }),
    queryFeedForward,
  }));
  return { inputs, layers: bare, heads: {} };
}

/** What passes over text use: no heads. */
function withText({ inputs, layers, text }: Described<QFormerParams>): Described<QFormerParams> {
  return { inputs, layers, ...(text && { text: { words: text.words, positions: text.positions } }), heads: {} };
}

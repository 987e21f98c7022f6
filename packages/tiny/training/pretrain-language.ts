import '@tensorflow/tfjs';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWeights } from '@blip2/checkpoints/node';
import { type Described, type HostTensor, IGNORED_LABEL, tokenBatch, type Tokenizer, WeightReader } from '@blip2/core';
import {
  describeLanguageModel,
  type OptConfig,
  optConfigFromJson,
  type OptParams,
  randomOptWeights,
  randomT5Weights,
  type T5Config,
  t5ConfigFromJson,
  type T5Params,
  t5StandardDeviation,
} from '@blip2/llm-adapters';
import { createTokenizer } from '@blip2/tokenizers';
import {
  checkpointFolder,
  createTrainingStep,
  indexedBatches,
  languageLoss,
  namedTensors,
  type HostOptTexts,
  separateParameters,
  t5Texts,
  train,
  warmupCosine,
} from '@blip2/training/node';
import { type OptDocument, optDocument, t5Document } from './documents.ts';
import { jsonBytes } from './file-bytes.ts';
import { progressLog } from './progress-log.ts';
import { OPT_SIZES, optJson, t5Json } from './sizes.ts';
import { THREADS } from './threads.ts';
import { optFiles } from './tokenizers/opt-files.ts';
import { t5Files } from './tokenizers/t5-files.ts';

const BATCH = 64;
const TEXTS = 200_000;
/** Highest learning rates. */
const PEAK_RATES = { opt: 4e-3, t5: 2e-3 } as const;

/** Pre-trains one of the language models on texts of the world, and writes it as a model of its own. */
export async function pretrainLanguage(size: keyof typeof OPT_SIZES | 't5', folder: string, totalSteps: number): Promise<void> {
  const kind = size === 't5' ? 't5' : 'opt';
  const files = kind === 'opt' ? optFiles() : t5Files();
  const tokenizer = createTokenizer(files, { kind });
  const json = size === 't5' ? t5Json(tokenizer.vocabSize) : optJson(tokenizer.vocabSize, tokenizer.tokenId('Ċ')!, size);
  const source =
    kind === 'opt'
      ? randomOptWeights(optConfigFromJson(json), { seed: 1, standardDeviation: 0.06 })
      : randomT5Weights(t5ConfigFromJson(json), { seed: 1, standardDeviation: (name) => t5Spread(name, t5ConfigFromJson(json)) });
  const described = describeLanguageModel(new WeightReader(source, 'language model'), json) as Described<OptParams | T5Params>;
  const parameters = separateParameters<OptParams | T5Params>(described);
  const [optConfig, t5Config] = kind === 'opt' ? [optConfigFromJson(json)] : [undefined, t5ConfigFromJson(json)];
  const make = (rows: readonly number[]) => {
    if (optConfig) return optDocuments(rows.map(optDocument), tokenizer, optConfig);
    const texts = rows.map(t5Document);
    const batch = { prompts: texts.map(({ prompt }) => prompt), targets: texts.map(({ target }) => target) };
    return t5Texts(tokenizer, t5Config!, batch, { promptTokens: 64, targetTokens: 36 });
  };
  const step = await createTrainingStep<OptParams | T5Params, never>(
    (params, texts) => ({
      loss: optConfig
        ? languageLoss({ kind: 'opt', config: optConfig, params: params as OptParams }, undefined, texts)
        : languageLoss({ kind: 't5', config: t5Config!, params: params as T5Params }, undefined, texts),
    }),
    {
      parameters,
      example: make(Array.from({ length: BATCH }, (_, row) => row)) as never,
      clipNorm: 1,
      weightDecay: 0.01,
      ...(t5Config && { rateScale: (path: string) => relativeRate(parameters.trained[path]!.name, t5Config) }),
      betas: [0.9, 0.98],
      target: { threads: THREADS },
    },
  );
  await train({
    step: step as never,
    batches: indexedBatches({ length: TEXTS, batchSize: BATCH, seed: 1, inOrder: true, make }),
    schedule: warmupCosine({ peak: PEAK_RATES[kind], totalSteps, warmupSteps: 100 }),
    totalSteps,
    checkpoints: checkpointFolder(join(folder, 'checkpoints'), { identity: { kind, totalSteps } } as never),
    saveEvery: 500,
    loggers: [progressLog(kind)],
  });
  const { params } = await step.state();
  const shapes = new Map(source.names.map((name) => [name, source.get(name)!.shape]));
  mkdirSync(folder, { recursive: true });
  await writeWeights(
    folder,
    namedTensors(parameters.trained, params as never, (name) => shapes.get(name)),
    { overwrite: true },
  );
  writeFileSync(join(folder, 'config.json'), jsonBytes(json));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes as Uint8Array);
  step.dispose();
}

/** What words and layers add to T5's residual stream, in its own unit. */
const RESIDUAL_SCALE = 0.05;

/**
 * Spreads of T5's weights, but with a residual stream so small that a bridge's projection, which learns as slowly as everything
 * else, soon fills it: T5's is as large as its words, which have a spread of 1. Its norms take the scale away, so the model is the same.
 */
function t5Spread(name: string, config: T5Config): number {
  if (name.endsWith('lm_head.weight')) return config.width ** -0.5;
  const spread = t5StandardDeviation(name, config);
  return /\.(shared|o|wo)\.weight$/.test(name) ? RESIDUAL_SCALE * spread : spread;
}

/**
 * How fast a weight of T5 learns: as far as it is spread, as with Adafactor, which T5 was made for. Adam's steps are of one size; those
 * that suit most of its weights throw queries, which have a sixth of the spread since attention divides by no root, from one end to the other.
 */
function relativeRate(name: string, config: T5Config): number {
  return Math.min(1, t5Spread(name, config) / config.width ** -0.5);
}

const OPT_TOKENS = 88;

/** Documents as OPT reads them: each sentence begins with the begin token, and what stands first is given, as an image's prompt will be. */
function optDocuments(documents: readonly OptDocument[], tokenizer: Tokenizer, config: OptConfig): HostOptTexts {
  const rows = documents.map(({ before, sentences }) => {
    const ids = [...tokenizer.encode(before, { addSpecialTokens: false })];
    const labels = ids.map(() => IGNORED_LABEL);
    for (const { prompt, target } of sentences) {
      const given = tokenizer.encode(prompt);
      const written = tokenizer.encode(prompt === '' ? target : ` ${target}`, { addSpecialTokens: false });
      const learned = [...written, config.endTokenIds[0]!];
      ids.push(...given, ...learned);
      labels.push(...given.map(() => IGNORED_LABEL), ...learned);
    }
    return { ids, labels };
  });
  const padded = (padTokenId: number, list: readonly (readonly number[])[]): HostTensor => {
    const cut = list.map((row) => row.slice(0, OPT_TOKENS));
    const { ids } = tokenBatch(cut, { padTokenId, length: OPT_TOKENS });
    return { shape: [rows.length, OPT_TOKENS], data: Int32Array.from(ids.flat()) };
  };
  return {
    ids: padded(
      config.padTokenId,
      rows.map(({ ids }) => ids),
    ),
    labels: padded(
      IGNORED_LABEL,
      rows.map(({ labels }) => labels),
    ),
  };
}

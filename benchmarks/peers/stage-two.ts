import {
  type Checkpoint,
  type Described,
  type EngineInputs,
  type HostTensor,
  readCheckpointJson,
  WeightReader,
} from '@blip2/core';
import { describeLanguageModel, optConfigFromJson, type OptParams, t5ConfigFromJson, type T5Params } from '@blip2/llm-adapters';
import { describeQFormer, qformerConfigFromJson, type QFormerParams } from '@blip2/qformer';
import { type LanguageModelParams, separateParameters, type StageTwoBatch, stageTwoLoss } from '@blip2/training';
import type { CompiledTraining } from './compiled-training.ts';
import type { InputReader } from './training.ts';

/** What trains, and the language model, which does not. */
export interface StageTwoParams {
  readonly bridge: QFormerParams;
  readonly language: OptParams | T5Params;
}

/** The second stage for the compiled engine: the language model is frozen and stays in its file until the runtime reads it. */
export async function compiledStageTwo(
  checkpoint: Checkpoint,
  read: InputReader,
): Promise<CompiledTraining<StageTwoParams, StageTwoBatch>> {
  const json = (await readCheckpointJson(checkpoint, 'config.json')) as { readonly text_config: { readonly model_type: string } };
  const text = json.text_config;
  const config = qformerConfigFromJson(json);
  const described = {
    bridge: describeQFormer(new WeightReader(checkpoint.weights, 'Q-Former'), config),
    language: describeLanguageModel(new WeightReader(checkpoint.weights, 'language model'), text),
  };
  const model: Pick<LanguageModelParams, 'kind' | 'config'> =
    text.model_type === 't5' ? { kind: 't5', config: t5ConfigFromJson(text) } : { kind: 'opt', config: optConfigFromJson(text) };
  const batch = { features: await read('features'), texts: await readTexts(read, model.kind) };
  return {
    parameters: separateParameters<StageTwoParams>(described as Described<StageTwoParams>, (_, path) =>
      path.startsWith('bridge.'),
    ),
    batch: batch as unknown as EngineInputs<StageTwoBatch>,
    loss: ({ bridge, language }, inputs) =>
      stageTwoLoss(bridge, config, { ...model, params: language } as LanguageModelParams, inputs),
  };
}

async function readTexts(read: InputReader, kind: LanguageModelParams['kind']): Promise<Readonly<Record<string, HostTensor>>> {
  const labels = await read('labels'); // [batch, tokens]
  if (kind === 'opt') return { ids: await read('text_ids'), labels }; // [batch, tokens]
  return {
    promptIds: await read('prompt_ids'), // [batch, prompt tokens]
    promptMask: await read('prompt_mask'), // [batch, prompt tokens]
    decoderIds: await read('decoder_ids'), // [batch, tokens]
    labels,
  };
}

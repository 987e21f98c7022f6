import type { Protocol } from '@blip2/eval';
import type {
  ChoiceOption,
  Defaulted,
  FlagOption,
  IntegerOption,
  ListOption,
  NumberOption,
  TextOption,
  Values,
} from '../command-line.ts';

/** Options of `eval`: which belong to which benchmark is said in the descriptions. */
export type EvalOptionTable = {
  readonly [
    Name in
      | 'annotations'
      | 'predictions'
      | 'sceneGraphs'
      | 'attentions'
      | 'scores'
      | 'metrics'
      | 'images'
      | 'output'
      | 'prompt'
      | 'template'
      | 'meteorData'
      | 'meteorJar'
      | 'spiceJar'
      | 'java'
  ]: TextOption;
} & { readonly [Name in 'questions' | 'choices']: ListOption } & {
  readonly [Name in 'limit' | 'batch' | 'beams' | 'maxNewTokens' | 'minNewTokens' | 'rerank']: IntegerOption;
} & { readonly lengthPenalty: NumberOption; readonly resume: FlagOption; readonly split: Defaulted<TextOption> } & {
  readonly [Name in 'protocol' | 'normalization']: Defaulted<ChoiceOption>;
};

const PROTOCOL_CHOICES: readonly Protocol[] = ['zero-shot', 'fine-tuned'];

export const EVAL_OPTIONS: EvalOptionTable = {
  annotations: { type: 'text', hint: 'FILE', description: "what people said or answered, in the benchmark's own format" },
  questions: {
    type: 'texts',
    hint: 'FILE…',
    description: 'vqav2, gqa: the questions; gqa takes the parts of a split file, or their folder',
  },
  predictions: { type: 'text', hint: 'FILE', description: 'an official result file to score' },
  scores: {
    type: 'text',
    hint: 'FILE',
    description: 'flickr30k, coco-retrieval: safetensors with i2t [images, texts] and t2i [texts, images]',
  },
  split: { type: 'text', hint: 'NAME', description: "of Karpathy's files", default: 'test' },
  metrics: { type: 'text', hint: 'LIST', description: 'captions: some of bleu,rouge,cider,meteor,spice; default: all' },
  meteorData: { type: 'text', hint: 'FOLDER', description: "captions: METEOR's data; METEOR needs no Java then" },
  meteorJar: { type: 'text', hint: 'FILE', description: 'captions: METEOR 1.5, run with Java; default: METEOR_JAR' },
  spiceJar: { type: 'text', hint: 'FILE', description: 'captions: SPICE 1.0, run with Java; default: SPICE_JAR' },
  java: { type: 'text', hint: 'FILE', description: 'the Java to run them with; default: EVAL_JAVA, else java' },
  normalization: {
    type: 'choice',
    choices: ['challenge', 'lavis'],
    description: "vqav2: how answers are compared: as the challenge does, or as BLIP-2's code scored itself",
    default: 'challenge',
  },
  choices: { type: 'texts', hint: 'FILE…', description: 'gqa: valid and plausible answers' },
  sceneGraphs: { type: 'text', hint: 'FILE', description: 'gqa: boxes of objects, for grounding' },
  attentions: { type: 'text', hint: 'FILE', description: 'gqa: where the model looked, for grounding' },
  images: { type: 'text', hint: 'FOLDER', description: "run the model on the benchmark's images instead of scoring a file" },
  output: {
    type: 'text',
    hint: 'FOLDER',
    description:
      'keeps predictions, scores, settings, a table and a page with examples; with --images also what a crash would lose',
  },
  resume: { type: 'flag', description: 'go on with a run that was interrupted, in the same --output' },
  limit: { type: 'integer', hint: 'N', min: 1, description: 'only the first N images, or questions' },
  batch: { type: 'integer', hint: 'N', min: 1, description: 'items that the model is given at once; default: 8' },
  protocol: {
    type: 'choice',
    choices: PROTOCOL_CHOICES,
    description: 'prompt and decoding of the published zero-shot or fine-tuned numbers',
    default: 'zero-shot',
  },
  prompt: { type: 'text', hint: 'TEXT', description: "captions: instead of the protocol's prompt" },
  template: { type: 'text', hint: 'TEXT', description: "questions: instead of the protocol's, with {} in the question's place" },
  beams: { type: 'integer', hint: 'N', min: 1, description: "instead of the protocol's beams" },
  lengthPenalty: { type: 'number', hint: 'X', description: "instead of the protocol's penalty" },
  maxNewTokens: { type: 'integer', hint: 'N', min: 1, description: "instead of the protocol's longest text" },
  minNewTokens: { type: 'integer', hint: 'N', min: 0, description: "captions: instead of the protocol's shortest text" },
  rerank: {
    type: 'integer',
    hint: 'N',
    min: 0,
    description: "retrieval: candidates that matching ranks again, instead of the protocol's 128; 0: none",
  },
};

export type EvalValues = Values<EvalOptionTable>;

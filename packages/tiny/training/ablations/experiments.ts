import type { StageOneOptions } from '@blip2/training';

/** One run of the first stage, scored by retrieval. */
export interface StageOneExperiment {
  readonly name: string;
  readonly options: StageOneOptions;
  /** Part of the training folder with the frozen encoder. */
  readonly vision: VisionPart;
}

/** One run of the second stage, scored by questions that nothing was trained on. */
export interface StageTwoExperiment {
  readonly name: string;
  /** The run of the first stage that it begins with; drawn weights where there is none. */
  readonly from?: string;
  /** Part of the training folder with the frozen language model. */
  readonly language: 'opt' | 't5' | 'opt-small';
  readonly vision: VisionPart;
}

export type VisionPart = 'vision' | 'vision-small';

/** Section 4.1 of the paper, figure 5 and table 6, in small; and the pooling of its contrastive loss. */
export const STAGE_ONE: readonly StageOneExperiment[] = [
  { name: 'all losses', options: {}, vision: 'vision' },
  { name: 'without captioning (ITG)', options: { captioning: false }, vision: 'vision' },
  { name: 'mean over queries', options: { pooling: 'mean' }, vision: 'vision' },
  { name: 'small image encoder', options: {}, vision: 'vision-small' },
];

export const STAGE_TWO: readonly StageTwoExperiment[] = [
  { name: 'OPT after stage 1', from: 'all losses', language: 'opt', vision: 'vision' },
  { name: 'OPT without stage 1', language: 'opt', vision: 'vision' },
  { name: 'T5 after stage 1', from: 'all losses', language: 't5', vision: 'vision' },
  { name: 'T5 without stage 1', language: 't5', vision: 'vision' },
  { name: 'small image encoder', from: 'small image encoder', language: 'opt', vision: 'vision-small' },
  { name: 'small OPT', from: 'all losses', language: 'opt-small', vision: 'vision' },
];

/** One part of the models and how long it is trained, in steps of 64. */
export interface PlannedPart {
  readonly part: string;
  readonly steps: number;
}

/** All that the published models are made of, in the order in which one part needs another. */
export const PLAN: readonly PlannedPart[] = [
  { part: 'vision', steps: 4000 },
  { part: 'opt', steps: 4000 },
  { part: 'stage1', steps: 800 },
  { part: 'stage2-opt', steps: 600 },
  { part: 'joint-opt', steps: 4000 },
];

/** The published models, by the language model that they have. */
export const MODELS = ['opt'] as const;

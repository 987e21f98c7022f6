/** One part of the models. */
export interface PlannedPart {
  readonly part: string;
  /** How long it is trained, in steps of 64. */
  readonly steps: number;
  /** Parts that it begins with. */
  readonly needs: readonly string[];
}

/** All that the published models are made of; a part stands behind those that it needs. */
export const PLAN: readonly PlannedPart[] = [
  { part: 'vision', steps: 4000, needs: [] },
  { part: 'opt', steps: 4000, needs: [] },
  { part: 'stage1', steps: 600, needs: ['vision'] },
  { part: 't5', steps: 2500, needs: [] },
  { part: 'stage2-opt', steps: 600, needs: ['stage1', 'opt'] },
  { part: 'joint-opt', steps: 3500, needs: ['stage2-opt'] },
  { part: 'stage2-t5', steps: 500, needs: ['stage1', 't5'] },
  { part: 'joint-t5', steps: 2500, needs: ['stage2-t5'] },
];

/** The published models, by the language model that they have. */
export const MODELS = ['opt', 't5'] as const;

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
  { part: 'opt', steps: 3600, needs: [] },
  { part: 'stage1', steps: 600, needs: ['vision'] },
  { part: 't5', steps: 4500, needs: [] },
  { part: 'stage2-opt', steps: 500, needs: ['stage1', 'opt'] },
  { part: 'joint-opt', steps: 3800, needs: ['stage2-opt'] },
  { part: 'stage2-t5', steps: 500, needs: ['stage1', 't5'] },
  { part: 'joint-t5', steps: 2800, needs: ['stage2-t5'] },
];

/** A published model: its name is that of its language model. */
export interface PublishedModel {
  readonly kind: 'opt' | 't5';
  /** The part that its bridge is taken from. */
  readonly bridge: string;
}

export const MODELS: readonly PublishedModel[] = [
  { kind: 'opt', bridge: 'joint-opt' },
  { kind: 't5', bridge: 'joint-t5' },
];

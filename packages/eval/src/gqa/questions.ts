/** A question of `questions1.2`, the keys that are scored; `questions` is an object of them by id. */
export interface GqaQuestion {
  readonly question: string;
  readonly answer: string;
  readonly imageId: string;
  readonly isBalanced: boolean;
  readonly types: { readonly structural: string; readonly semantic: string; readonly detailed: string };
  readonly groups?: { readonly global?: string | null };
  readonly semantic: readonly { readonly operation: string; readonly argument: string }[];
  /** Questions whose answers follow from this one's. */
  readonly entailed: readonly string[];
  /** Objects that words refer to, by the position of the word. */
  readonly annotations?: {
    readonly question: Readonly<Record<string, string>>;
    readonly fullAnswer: Readonly<Record<string, string>>;
  };
}

/** A model's answer. */
export interface GqaPrediction {
  readonly questionId: string;
  readonly prediction: string;
}

/** Answers that fit a question at all (`valid`), and that occur for it in the world (`plausible`). */
export interface GqaChoices {
  readonly valid: readonly string[];
  readonly plausible: readonly string[];
}

/** Boxes of an image, in pixels. */
export interface GqaSceneGraph {
  readonly width: number;
  readonly height: number;
  readonly objects: Readonly<Record<string, { readonly x: number; readonly y: number; readonly w: number; readonly h: number }>>;
}

/** Where a model looked: `[7, 7]`, first index along x, second along y. */
export interface GqaAttention {
  readonly questionId: string;
  readonly attention: readonly (readonly number[])[];
}

/** A share in percent, and of how many questions. */
export interface GqaShare {
  readonly accuracy: number;
  readonly count: number;
}

/** What the official script prints, unrounded. Percent, except `distribution`. */
export interface GqaScores {
  readonly accuracy: number;
  /** Of questions that are not open. */
  readonly binary: number;
  /** Of questions whose structural type is `query`. */
  readonly open: number;
  /** 0 without choices. */
  readonly validity: number;
  /** 0 without choices. */
  readonly plausibility: number;
  /** 0 without predictions for all questions. */
  readonly consistency: number;
  /** 0 without attention. */
  readonly grounding: number;
  /** Chi-square between predicted and true answers over 100; lower is better. */
  readonly distribution: number;
  readonly perStructuralType: ReadonlyMap<string, GqaShare>;
  readonly perSemanticType: ReadonlyMap<string, GqaShare>;
  /** By the number of reasoning steps. */
  readonly perSteps: ReadonlyMap<number, GqaShare>;
  /** By the number of words. */
  readonly perWords: ReadonlyMap<number, GqaShare>;
}

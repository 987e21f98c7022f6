/** Which published numbers a run is to be compared with. */
export type Protocol = 'zero-shot' | 'fine-tuned';
export const PROTOCOLS: readonly Protocol[] = ['zero-shot', 'fine-tuned'];

/** What a protocol pins for captions. */
export interface CaptionSettings {
  /** Side of the images that the published model read. */
  readonly imageSize: number;
  readonly prompt: string;
  readonly beams: number;
  readonly lengthPenalty: number;
  readonly maxNewTokens: number;
  readonly minNewTokens: number;
}

/** What a protocol pins for answers. */
export interface AnswerSettings {
  readonly imageSize: number;
  /** Text around the question. @default that of the language model's family */
  readonly template?: string;
  readonly beams: number;
  readonly lengthPenalty: number;
  readonly maxNewTokens: number;
}

/** What a protocol pins for retrieval. */
export interface RetrievalSettings {
  readonly imageSize: number;
  /** Candidates of each row that matching ranks again; 0 leaves the ranks of similarity. */
  readonly rerank: number;
}

/**
 * Captions of COCO and NoCaps. Published NoCaps numbers are those of models that were fine-tuned on COCO.
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 4.2 and appendix; LAVIS `generate` and `caption_coco_ft.yaml`.
 */
export const CAPTION_SETTINGS: Readonly<Record<Protocol, CaptionSettings>> = {
  'zero-shot': { imageSize: 224, prompt: 'a photo of', beams: 5, lengthPenalty: 1, maxNewTokens: 30, minNewTokens: 1 },
  'fine-tuned': { imageSize: 364, prompt: 'a photo of', beams: 5, lengthPenalty: 1, maxNewTokens: 30, minNewTokens: 8 },
};

/** Answers to questions of VQAv2 and GQA. Source: BLIP-2, sections 4.1 and 4.3 and appendix; LAVIS `predict_answers`. */
export const ANSWER_SETTINGS: Readonly<Record<Protocol, AnswerSettings>> = {
  'zero-shot': { imageSize: 224, beams: 5, lengthPenalty: -1, maxNewTokens: 10 },
  'fine-tuned': { imageSize: 490, template: 'Question: {} Answer:', beams: 5, lengthPenalty: -1, maxNewTokens: 10 },
};

/**
 * Retrieval in two stages. Published Flickr30K numbers, zero-shot, are those of models that were fine-tuned on COCO.
 *
 * Source: BLIP-2, section 4.4 and appendix; LAVIS `ret_coco_eval.yaml`, `k_test`.
 */
export const RETRIEVAL_SETTINGS: Readonly<Record<Protocol, RetrievalSettings>> = {
  'zero-shot': { imageSize: 224, rerank: 128 },
  'fine-tuned': { imageSize: 364, rerank: 128 },
};

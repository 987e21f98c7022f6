/** One of the BLIP-2 repositories of the authors' organisation on the Hub. Plain data: ask it before you download. */
export interface OfficialRepository {
  readonly id: string;
  readonly description: string;
  /** Generative models answer with text; matching models score image and text and have no language model. */
  readonly kind: 'generation' | 'matching';
  /** Side of the square input image, pixels. */
  readonly imageSize: 224 | 364;
  /** Repository of the frozen language model inside, `undefined` for matching models. */
  readonly languageModel?: string;
  /** Bytes of all safetensors files, to within a few per cent. */
  readonly approximateSizeBytes: number;
  /** Commit that is downloaded by default, `undefined` where none is established: then the branch `main`. */
  readonly revision?: string;
  /** Licence that the model card declares, SPDX id; `undefined` where it is not established. */
  readonly licence?: string;
  /** Licence of the language model's own weights, which this repository contains too. */
  readonly languageModelLicence?: string;
}

const OPT_LICENCE = 'OPT-175B License Agreement (non-commercial research)';
const CARD_LICENCE = 'MIT';

/**
 * The nine official BLIP-2 repositories, by id. Sizes are those of the fp32 files. A commit is given only where several
 * independent public projects pin the same one; the others follow `main`.
 *
 * Source: the Hub pages under `Salesforce/`; sizes and files as `docs/hub.md` says.
 *
 * @example
 * const { approximateSizeBytes } = OFFICIAL_REPOSITORIES['Salesforce/blip2-itm-vit-g'];
 * console.log(`${(approximateSizeBytes / 1e9).toFixed(1)} GB`); // 4.7 GB
 */
export const OFFICIAL_REPOSITORIES: Readonly<Record<OfficialRepositoryId, OfficialRepository>> = {
  'Salesforce/blip2-opt-2.7b': {
    id: 'Salesforce/blip2-opt-2.7b',
    description: 'ViT-g and OPT-2.7B, pre-trained; captions and prompted text',
    kind: 'generation',
    imageSize: 224,
    languageModel: 'facebook/opt-2.7b',
    approximateSizeBytes: 14_979_207_136,
    revision: '59a1ef6c1e5117b3f65523d1c6066825bcf315e3',
    licence: CARD_LICENCE,
    languageModelLicence: OPT_LICENCE,
  },
  'Salesforce/blip2-opt-6.7b': {
    id: 'Salesforce/blip2-opt-6.7b',
    description: 'ViT-g and OPT-6.7B, pre-trained; captions and prompted text',
    kind: 'generation',
    imageSize: 224,
    languageModel: 'facebook/opt-6.7b',
    approximateSizeBytes: 31e9,
    licence: CARD_LICENCE,
    languageModelLicence: OPT_LICENCE,
  },
  'Salesforce/blip2-opt-2.7b-coco': {
    id: 'Salesforce/blip2-opt-2.7b-coco',
    description: 'ViT-g and OPT-2.7B, fine-tuned on COCO captions; its image encoder differs from the pre-trained one',
    kind: 'generation',
    imageSize: 364,
    languageModel: 'facebook/opt-2.7b',
    approximateSizeBytes: 15e9,
    licence: CARD_LICENCE,
    languageModelLicence: OPT_LICENCE,
  },
  'Salesforce/blip2-opt-6.7b-coco': {
    id: 'Salesforce/blip2-opt-6.7b-coco',
    description: 'ViT-g and OPT-6.7B, fine-tuned on COCO captions; its image encoder differs from the pre-trained one',
    kind: 'generation',
    imageSize: 364,
    languageModel: 'facebook/opt-6.7b',
    approximateSizeBytes: 31e9,
    licence: CARD_LICENCE,
    languageModelLicence: OPT_LICENCE,
  },
  'Salesforce/blip2-flan-t5-xl': {
    id: 'Salesforce/blip2-flan-t5-xl',
    description: 'ViT-g and Flan-T5 XL, pre-trained; follows instructions, answers questions',
    kind: 'generation',
    imageSize: 224,
    languageModel: 'google/flan-t5-xl',
    approximateSizeBytes: 15.8e9,
    revision: '0eb0d3b46c14c1f8c7680bca2693baafdb90bb28',
    licence: CARD_LICENCE,
    languageModelLicence: 'Apache-2.0',
  },
  'Salesforce/blip2-flan-t5-xl-coco': {
    id: 'Salesforce/blip2-flan-t5-xl-coco',
    description: 'ViT-g and Flan-T5 XL, fine-tuned on COCO captions; its image encoder differs from the pre-trained one',
    kind: 'generation',
    imageSize: 364,
    languageModel: 'google/flan-t5-xl',
    approximateSizeBytes: 15.8e9,
    licence: CARD_LICENCE,
    languageModelLicence: 'Apache-2.0',
  },
  'Salesforce/blip2-flan-t5-xxl': {
    id: 'Salesforce/blip2-flan-t5-xxl',
    description: 'ViT-g and Flan-T5 XXL, pre-trained; follows instructions, answers questions',
    kind: 'generation',
    imageSize: 224,
    languageModel: 'google/flan-t5-xxl',
    approximateSizeBytes: 48.9e9,
    licence: CARD_LICENCE,
    languageModelLicence: 'Apache-2.0',
  },
  'Salesforce/blip2-itm-vit-g': {
    id: 'Salesforce/blip2-itm-vit-g',
    description: 'ViT-g and Q-Former with text branch, pre-trained; image-text matching and embeddings',
    kind: 'matching',
    imageSize: 224,
    approximateSizeBytes: 4.69e9,
  },
  'Salesforce/blip2-itm-vit-g-coco': {
    id: 'Salesforce/blip2-itm-vit-g-coco',
    description: 'ViT-g and Q-Former with text branch, fine-tuned on COCO retrieval; image-text matching and embeddings',
    kind: 'matching',
    imageSize: 364,
    approximateSizeBytes: 4_690_593_960,
  },
};

/** Ids of the official repositories. */
export type OfficialRepositoryId =
  | 'Salesforce/blip2-opt-2.7b'
  | 'Salesforce/blip2-opt-6.7b'
  | 'Salesforce/blip2-opt-2.7b-coco'
  | 'Salesforce/blip2-opt-6.7b-coco'
  | 'Salesforce/blip2-flan-t5-xl'
  | 'Salesforce/blip2-flan-t5-xl-coco'
  | 'Salesforce/blip2-flan-t5-xxl'
  | 'Salesforce/blip2-itm-vit-g'
  | 'Salesforce/blip2-itm-vit-g-coco';

/** The commit that an official repository is pinned to, if it is official and one is established. */
export function pinnedRevision(repositoryId: string): string | undefined {
  return Object.hasOwn(OFFICIAL_REPOSITORIES, repositoryId)
    ? OFFICIAL_REPOSITORIES[repositoryId as OfficialRepositoryId].revision
    : undefined;
}

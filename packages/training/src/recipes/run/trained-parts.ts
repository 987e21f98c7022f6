import type { CompleteRecipe } from '../complete-recipe.ts';
import type { TrainedParts } from '../recipe-config.ts';
import { isImageNorm } from './vision-part.ts';

/** The part that a weight belongs to; the language model's belong to none, and never train. */
export function trainedPartOf(name: string): keyof TrainedParts | undefined {
  if (name.startsWith('language_model.')) return undefined;
  if (isImageNorm(name)) return 'imageNorm';
  if (name.startsWith('vision_model.')) return 'vision';
  if (name === 'query_tokens') return 'queries';
  if (name.startsWith('language_projection.')) return 'projection';
  if (name.startsWith('embeddings.') || /^qformer\.encoder\.layer\.\d+\.(intermediate|output)\./.test(name)) return 'text';
  return name.startsWith('qformer.') ? 'qformer' : 'heads';
}

/** Heads of objectives that are off have no gradient. */
const HEADS: Readonly<Record<CompleteRecipe['objectives'][number], RegExp>> = {
  contrast: /^(vision_projection|text_projection)\.|^temp$/,
  matching: /^itm_head\./,
  captioning: /^cls\./,
};

/**
 * Whether a recipe trains the weight of a name, at a path of the tree. Biases of EVA's keys never do: nothing depends on them, so their
 * gradients are rounding errors, which Adam would blow up to steps of full length; the original layout has no place for them.
 */
export function isTrainedBy({ train, objectives }: CompleteRecipe): (name: string, path: string) => boolean {
  return (name, path) => {
    const part = trainedPartOf(name);
    if (part === undefined || !train[part] || isFusedKeyBias(name, path)) return false;
    return part !== 'heads' || objectives.some((objective) => HEADS[objective].test(name));
  };
}

function isFusedKeyBias(name: string, path: string): boolean {
  return name.endsWith('.qkv.bias') && path.endsWith('.key.bias');
}

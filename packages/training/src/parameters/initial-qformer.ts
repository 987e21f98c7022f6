import {
  randomWeights,
  type RandomWeightsOptions,
  renamedWeight,
  type Weight,
  weightFromValues,
  type WeightSource,
} from '@blip2/core';
import { describeQFormer, type QFormerConfig } from '@blip2/qformer';

/** Where a Q-Former starts. */
export interface InitialQFormerOptions extends Pick<RandomWeightsOptions, 'seed' | 'standardDeviation'> {
  /**
   * Weights to begin with: those of an earlier stage, under their names on the Hub, or of BERT (`bert.encoder.layer.0…`). What they
   * lack, or have in another shape, is drawn; a row for `[DEC]` is added to BERT's words. @default none
   */
  readonly from?: Pick<WeightSource, 'get'>;
  /** The temperature of contrast, where `from` has none. @default 0.07 */
  readonly temperature?: number;
}

/**
 * Weights of a Q-Former that is to be trained: BERT's or an earlier stage's where there are some, normal numbers elsewhere. The
 * feed-forward layers of the queries begin as copies of those of the text.
 *
 * @returns all weights that the configuration asks for, under their names on the Hub; nothing is read before it is used.
 *
 * @example
 * const weights = initialQFormer(QFORMER_STAGE_1, { from: bert.weights, seed: 1 });
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.1; LAVIS `Blip2Base.init_Qformer` and `Blip2Qformer.__init__`.
 */
export function initialQFormer(config: QFormerConfig, options: InitialQFormerOptions = {}): WeightSource {
  const { seed, standardDeviation, from, temperature = 0.07 } = options;
  const drawn = randomWeights((reader) => describeQFormer(reader, config), { seed, standardDeviation });
  const given = (name: string): Weight | undefined => {
    const found = [name, ...bertNames(name)].map((each) => from?.get(each)).find((weight) => weight !== undefined);
    return found && fitted(found, drawn.get(name)!);
  };
  const weights = new Map<string, Weight>();
  for (const name of drawn.names) {
    const twin = textTwin(name);
    const found = given(name) ?? (twin === undefined ? undefined : (given(twin) ?? drawn.get(twin)));
    const start = name === 'temp' ? weightFromValues(name, [], Float32Array.of(temperature)) : drawn.get(name)!;
    weights.set(name, found === undefined ? start : renamedWeight(found, name));
  }
  return { name: drawn.name, names: [...weights.keys()], get: (name) => weights.get(name) };
}

/** A weight of the right shape; or one that lacks rows for tokens added since, with those drawn; else nothing. */
function fitted(found: Weight, drawn: Weight): Weight | undefined {
  if (found.shape.join() === drawn.shape.join()) return found;
  const [rows, ...rest] = drawn.shape;
  const lacksRows = TOKEN_ROWS.test(drawn.name) && found.shape[0]! < rows! && found.shape.slice(1).join() === rest.join();
  if (!lacksRows) return undefined;
  return {
    ...drawn,
    read: async (options) => {
      const values = Float32Array.from(await drawn.read(options));
      values.set(await found.read(options));
      return values;
    },
  };
}

/** Weights with a row for each token: `[DEC]` comes after BERT's. */
const TOKEN_ROWS = /^(embeddings\.word_embeddings\.weight|cls\.predictions\.bias)$/;

/** The feed-forward weight of text that one of queries begins as. */
function textTwin(name: string): string | undefined {
  const twin = name.replace('.intermediate_query.', '.intermediate.').replace('.output_query.', '.output.');
  return twin === name ? undefined : twin;
}

/** What BERT calls a weight of the Q-Former; models with heads have a prefix that bare ones lack. */
function bertNames(name: string): string[] {
  if (name.startsWith('cls.')) return []; // the same name
  const bare = name.startsWith('qformer.layernorm.')
    ? name.replace('qformer.layernorm.', 'embeddings.LayerNorm.')
    : name.replace(/^qformer\./, '').replace(/\.attention\.attention\./, '.attention.self.');
  return [`bert.${bare}`, bare];
}

import type { GenerateOptions } from '@blip2/core';
import type { Blip2 } from 'blip2';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D } from '@tensorflow/tfjs-core';

/** What the language model writes after texts alone: the visual prompt is empty. */
export async function writeWithoutImage(
  { languageModel }: Blip2,
  prompts: readonly string[],
  options: GenerateOptions,
): Promise<string[]> {
  const nothing = tf.zeros([prompts.length, 0, languageModel!.embeddingWidth]) as Tensor3D; // [prompts, 0, width]
  try {
    const written = await languageModel!.generate(nothing, prompts, options);
    return written.map(([best]) => best!.text);
  } finally {
    nothing.dispose();
  }
}

import { withTensorScope } from '@blip2/core';
import { decodeImage } from '@blip2/image/node';
import { preprocess } from '@blip2/image';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Blip2 } from 'blip2/node';

/** Prints what each stage makes of an image, as `caption` runs them. */
export async function showStages(model: Blip2, path: string): Promise<void> {
  const { engine, imageProcessor, visionEncoder, qformer, languageModel } = model;
  await withTensorScope(async (scope) => {
    const image = await decodeImage(path);
    row('image', `${image.width} × ${image.height} RGB`);
    const pixels = scope.own(preprocess([image], imageProcessor));
    row('preprocessing', `${shape(pixels)}  Pillow's bicubic, normalised`);
    const features = scope.own(await visionEncoder.encode(pixels));
    row('image encoder', `${shape(features)}  ${visionEncoder.config.layers} layers`);
    const queries = scope.own(await qformer.encodeQueries(features));
    row('Q-Former', `${shape(queries)}  ${qformer.config.queries} queries have read the image`);
    const prompt = scope.own(await qformer.projectToPrompt(queries));
    row('projection', `${shape(prompt)}  a prompt for the language model`);
    row('language model', `${languageModel!.architecture}, ${languageModel!.tokenizer.vocabSize} tokens`);
    row('engine', engine);
  });
}

function shape(tensor: Tensor): string {
  return `[${tensor.shape.join(', ')}]`;
}

function row(stage: string, result: string): void {
  console.log(`  ${stage.padEnd(16)}${result}`);
}
